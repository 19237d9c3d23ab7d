"""How long `import syno` takes in a fresh process; the design allows 0.3 s.

Run: python bench/import_time.py [ROUNDS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys

CODE = "import time; start = time.perf_counter(); import syno; print(time.perf_counter() - start)"


def main(rounds: int) -> None:
    """Print the median and the range of the import time over fresh processes."""
    seconds = [
        float(subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True).stdout)
        for _ in range(rounds)
    ]
    middle = statistics.median(seconds)
    print(
        f"import syno: {middle:.3f} s ({min(seconds):.3f} to {max(seconds):.3f}, {rounds} rounds)"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
