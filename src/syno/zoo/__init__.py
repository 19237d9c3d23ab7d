"""Operators with a name."""
