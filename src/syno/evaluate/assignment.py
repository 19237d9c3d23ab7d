"""Assignments: one operator for each group of sites, or none.

What an operator saves and what it costs differs from group to group: cheap operators belong where
the time is. Which to take where is a knapsack problem with one choice a group (Kellerer, Pferschy,
Pisinger 2004, chapter 11), and `pareto` solves it exactly: it returns every assignment that no
other beats in both time and loss. Leaving a group alone is always a choice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from syno.ir.errors import ModelError, SynoError
from syno.ir.operator import Operator
from syno.ir.parser import parse
from syno.nn.sites import Site, select_sites
from syno.zoo.bound import BoundOperator, bound

ALONE = "original"  # what the text of an assignment says of a group without an operator
GROUPINGS = ("stage", "kind", "shape")
_INDENT = "\n    "

_Sum = tuple[float, float, "tuple[Choice, ...]"]


@dataclass(frozen=True)
class Group:
    """Sites, by name, that get the same operator."""

    name: str
    sites: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """An operator at one group: milliseconds it saves in one inference, and its predicted loss.

    Whatever measures the loss, it is 0 for the original, and that of an assignment is taken to be
    the sum over its groups. `details` are other figures, for people.
    """

    group: str
    operator: BoundOperator
    saved_ms: float
    loss: float
    details: Mapping[str, float] = field(default_factory=dict, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        figures = {"saved_ms": self.saved_ms, "loss": self.loss, **self.details}
        return {"group": self.group, "operator": self.operator.name, **figures}


@dataclass(frozen=True)
class Selection:
    """For each group the operator that was chosen; a group that `chosen` lacks stays as it is.

    `saved_ms` and `loss` are predictions, the sums over the groups; two selections are equal where
    groups and operators are. `str` prints what `parse_selection` reads.
    """

    groups: tuple[Group, ...]
    chosen: Mapping[str, BoundOperator]
    saved_ms: float = field(default=0.0, compare=False)
    loss: float = field(default=0.0, compare=False)

    @property
    def assignment(self) -> dict[str, Operator]:
        """The operator of each site by name, as `substitute` and the rungs of a ladder take it."""
        return {
            site: self.chosen[group.name].operator
            for group in self.groups
            if group.name in self.chosen
            for site in group.sites
        }

    def __str__(self) -> str:
        said = ((each.name, str(self.chosen.get(each.name, ALONE))) for each in self.groups)
        return "\n".join(f"{name}: {text}".replace("\n", _INDENT) for name, text in said)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, which `selection_from` reads back."""
        rows = [_row(group, self.chosen.get(group.name)) for group in self.groups]
        return {"saved_ms": self.saved_ms, "loss": self.loss, "groups": rows}


def groups(sites: Sequence[Site], by: str = "stage") -> tuple[Group, ...]:
    """Return `sites` in named groups, in the order of the network.

    By `stage`, what names have in common up to the first part that ends in a number makes a group
    (`layer1.*`, `features.denseblock1.*`, `h.0.*`), not counting parts that all sites share; by
    `kind`, their form does (`conv3x3`, `linear`); by `shape`, form, sizes and stride. Raises
    SynoError for another way.
    """
    if by not in GROUPINGS:
        raise SynoError(f"Sites are grouped by {', '.join(GROUPINGS)}, not by {by!r}.")
    stage = partial(_stage, shared=_shared(sites))
    keys: Mapping[str, Callable[[Site], str]] = {"stage": stage, "kind": _kind, "shape": _shape}
    found: dict[str, list[str]] = {}
    for site in sites:
        found.setdefault(keys[by](site), []).append(site.name)
    return tuple(Group(name, tuple(members)) for name, members in found.items())


def pareto(groups: Sequence[Group], choices: Iterable[Choice]) -> tuple[Selection, ...]:
    """Return all assignments that no other beats, from the least saved to the most.

    One beats another that saves no more and loses no less, unless both are equal; of equal ones
    that with the fewest operators is returned. Group after group is added to the assignments of
    those before it, and what is beaten is dropped at once: it stays beaten whatever follows. There
    may be as many as there are assignments, but usually are few (Beier, Voecking 2004).

    A choice whose figures are not finite is never taken. Raises SynoError for one of a group that
    is not among `groups`.
    """
    options: dict[str, list[Choice]] = {group.name: [] for group in groups}
    for choice in choices:
        if choice.group not in options:
            raise SynoError(f"There is a choice for {choice.group!r}, which is none of the groups.")
        if math.isfinite(choice.saved_ms) and math.isfinite(choice.loss):
            options[choice.group].append(choice)
    front: list[_Sum] = [(0.0, 0.0, ())]
    for each in options.values():
        added = [
            (saved + choice.saved_ms, loss + choice.loss, (*taken, choice))
            for saved, loss, taken in front
            for choice in each
        ]
        front = _unbeaten([*front, *added])
    return tuple(
        Selection(tuple(groups), {one.group: one.operator for one in taken}, saved, loss)
        for saved, loss, taken in front
    )


def choose(front: Iterable[Selection], *, at_most: float) -> Selection:
    """Return the fastest assignment whose predicted loss is `at_most` that; SynoError for none."""
    within = [each for each in front if each.loss <= at_most]
    if not within:
        raise SynoError(f"No assignment has a predicted loss of {at_most:g} or less.")
    return max(within, key=lambda each: (each.saved_ms, -each.loss))


def parse_selection(text: str, sites: Sequence[Site]) -> Selection:
    """Return the selection that `text` says, such as `layer1.*: separable-convolution`.

    Each line says what stands at one group: the name of an operator with its sizes, a formula, or
    `original`; what is indented continues the line before. A group is called as `groups` calls it,
    or by patterns of `select_sites` with commas between them. Raises SynoError where a line cannot
    be read, ModelError where a site is named twice or a pattern fits none.
    """
    known = {group.name: group for by in GROUPINGS for group in groups(sites, by)}
    found: list[Group] = []
    chosen: dict[str, BoundOperator] = {}
    for line in _entries(text):
        name, separator, operator = line.partition(": ")
        if not separator:
            raise SynoError(
                f"A line of an assignment is written GROUP: OPERATOR; this is {line!r}."
            )
        found.append(known.get(name) or _matching(name, sites))
        if operator != ALONE:
            chosen[name] = bound(operator)
    _check_disjoint(found)
    return Selection(tuple(found), chosen)


def selection_from(data: Mapping[str, Any]) -> Selection:
    """Return the selection that `Selection.to_dict` wrote; SynoError where it did not."""
    try:
        rows = data["groups"]
        found = tuple(Group(row["name"], tuple(row["sites"])) for row in rows)
        chosen = {
            row["name"]: BoundOperator(row["operator"], parse(row["formula"]))
            for row in rows
            if row["operator"] is not None
        }
        selection = Selection(found, chosen, float(data["saved_ms"]), float(data["loss"]))
    except (KeyError, TypeError, ValueError) as error:
        raise SynoError(
            f"This is no assignment as syno assign writes it: {type(error).__name__}, {error}."
        ) from None
    _check_disjoint(found)
    return selection


def read_selection(path: Path) -> Selection:
    """Return the selection in a file of `syno assign`.

    Raises SynoError where the file holds something else, OSError where it cannot be read.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SynoError(f"{path} is no JSON file: {error}.") from None
    return selection_from(data)


def _unbeaten(sums: Iterable[_Sum]) -> list[_Sum]:
    """Return those that no other beats, from the least saved to the most."""
    kept: list[_Sum] = []
    for each in sorted(sums, key=lambda one: (-one[0], one[1], len(one[2]))):
        if not kept or each[1] < kept[-1][1]:
            kept.append(each)
    return kept[::-1]


def _shared(sites: Sequence[Site]) -> int:
    """Return how many leading parts all names have in common, leaving one to tell them apart."""
    names = [site.name.split(".") for site in sites]
    common = sum(
        1 for _ in takewhile(lambda parts: len(set(parts)) == 1, zip(*names, strict=False))
    )
    return min(common, *(len(parts) - 1 for parts in names)) if len(names) > 1 else 0


def _stage(site: Site, *, shared: int) -> str:
    parts = site.name.split(".")
    numbered = (n for n in range(shared, len(parts)) if parts[n][-1:].isdigit())
    stage = parts[: next(numbered, shared) + 1]
    return site.name if stage == parts else ".".join([*stage, "*"])


def _kind(site: Site) -> str:
    return site.form


def _shape(site: Site) -> str:
    """Return form, channels and output, as in `conv3x3 16 to 32, 16x16, stride 2`."""
    window = f" {'x'.join(map(str, site.kernel))}" if site.groups > 1 else ""
    sizes = site.sizes
    rows = f"{sizes['N']} rows" if site.kind == "linear" else f"{sizes['H']}x{sizes['W']}"
    return (
        f"{site.form}{window} {sizes['C_in']} to {sizes['C_out']}, {rows}"
        + (f", {site.groups} groups" if site.groups > 1 else "")
        + (f", stride {site.stride}" if site.stride > 1 else "")
    )


def _row(group: Group, op: BoundOperator | None) -> dict[str, Any]:
    name, formula = (None, None) if op is None else (op.name, str(op.operator))
    return {
        "name": group.name,
        "sites": list(group.sites),
        "operator": name,
        "formula": formula,
    }


def _entries(text: str) -> list[str]:
    """Return the lines of an assignment, each with those that continue it."""
    found: list[str] = []
    for line in text.splitlines():
        if line[:1].isspace() and found and line.strip():
            found[-1] += f"\n{line.strip()}"
        elif line.strip():
            found.append(line.strip())
    return found


def _matching(name: str, sites: Sequence[Site]) -> Group:
    patterns = [each.strip() for each in name.split(",")]
    return Group(name, tuple(site.name for site in select_sites(sites, patterns)))


def _check_disjoint(found: Sequence[Group]) -> None:
    seen: dict[str, str] = {}
    for group in found:
        for site in group.sites:
            if site in seen:
                raise ModelError(f"The site {site} is in two groups: {seen[site]}, {group.name}.")
            seen[site] = group.name
