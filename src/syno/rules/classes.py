"""Operators put into classes by fingerprint, under several bindings: the arbiter at work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from syno.ir.operator import Operator
from syno.ir.verify import verify
from syno.rules.canonical import canonical
from syno.rules.degenerate import degenerate
from syno.rules.fingerprint import fingerprint

Key = tuple[str, ...]
"""One fingerprint for each binding."""


class Classes:
    """Classes of operators that are equal under every one of `bindings`, in the order of finding.

    `members` maps the key of a class to its operators as they are spelled; the first one stands for
    the class.
    """

    def __init__(self, bindings: Iterable[Mapping[str, int]]) -> None:
        self.bindings = tuple(bindings)
        self.members: dict[Key, list[Operator]] = {}
        self._first: dict[Operator, bool] = {}

    def is_first(self, op: Operator) -> bool:
        """Put `op` into its class, and tell whether it is the one that stands for it.

        Raises SizeError where the bindings are too large for fingerprints.
        """
        if op not in self._first:
            members = self.members.setdefault(self.key(op), [])
            self._first[op] = not members
            members.append(op)
        return self._first[op]

    def key(self, op: Operator) -> Key:
        """Return the key of the class that `op` is in."""
        return tuple(fingerprint(op, sizes) for sizes in self.bindings)

    def why_void(self, key: Key) -> str | None:
        """Return why the operators of a class are none, or None.

        That is told by their terms (see `degenerate`), or by the check of the verifier that the
        canonical form does not pass: what sums reach depends on how a formula is written.
        """
        op = self.members[key][0]
        reasons = (degenerate(op, sizes) for sizes in self.bindings)
        reason = next((each for each in reasons if each is not None), None)
        if reason is None:
            problems = verify(canonical(op, self.bindings), self.bindings)
            reason = problems[0].check if problems else None
        return reason

    @property
    def operators(self) -> int:
        """Number of operators, as they are spelled."""
        return len(self._first)


__all__ = ["Classes", "Key"]
