"""The command line.

syno search, enumerate, prunes, certify, show, train, bench, assign, calibrate, report, export,
data.
"""

# in the order of the help
from syno.cli import searching, operators, prunes, certify, networks, assign, calibrate  # noqa: I001
from syno.cli import files
from syno.cli.app import app, main

__all__ = [
    "app",
    "assign",
    "calibrate",
    "certify",
    "files",
    "main",
    "networks",
    "operators",
    "prunes",
    "searching",
]
