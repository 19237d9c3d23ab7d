"""The command line.

syno search, enumerate, prunes, certify, show, train, bench, calibrate, report, export, data.
"""

# in the order of the help
from syno.cli import searching, operators, prunes, certify, networks, calibrate, files  # noqa: I001
from syno.cli.app import app, main

__all__ = [
    "app",
    "calibrate",
    "certify",
    "files",
    "main",
    "networks",
    "operators",
    "prunes",
    "searching",
]
