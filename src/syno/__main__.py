"""`python -m syno` is the command `syno`."""

from syno.cli import main

if __name__ == "__main__":
    main()
