"""Exact rules, canonical forms, and the fingerprint that is the arbiter of both."""

from syno.rules.canonical import Canonical, canonical
from syno.rules.fingerprint import fingerprint, same_operator
from syno.rules.table import RULES, Rule

__all__ = ["RULES", "Canonical", "Rule", "canonical", "fingerprint", "same_operator"]
