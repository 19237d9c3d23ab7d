"""Exact rules, their proofs, and the fingerprint that tells when two operators are the same."""

from syno.rules.fingerprint import fingerprint, same_operator
from syno.rules.table import RULES, Offer, Rule, rejects

__all__ = ["RULES", "Offer", "Rule", "fingerprint", "rejects", "same_operator"]
