"""The command line: syno search | enumerate | show | train | bench | report | export | data."""

from syno.cli import searching, operators, networks, files  # noqa: I001 -- the order of the help
from syno.cli.app import app, main

__all__ = ["app", "files", "main", "networks", "operators", "searching"]
