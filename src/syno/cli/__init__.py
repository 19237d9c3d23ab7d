"""The command line.

syno search | enumerate | prunes | show | train | bench | report | export | data.
"""

from syno.cli import searching, operators, prunes, networks, files  # noqa: I001 -- as in the help
from syno.cli.app import app, main

__all__ = ["app", "files", "main", "networks", "operators", "prunes", "searching"]
