"""From a program to readable source: one printer for all backends that write.

What weights alone decide (another layout, a product of two of them) goes into a function of its
own, `prepare`, so that inference does it once; `forward` is both together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from syno.lower.plan import describe
from syno.lower.program import Program, Statement, Value

_PLAIN = ("input", "reshape", "permute")
_REPEATED = ("diagonal", "densify")  # their source names the operand several times
_INFIX = ("add", "multiply")  # their source needs brackets inside of more
_NAMES = "tuvabcdefghijklm"


class Words:
    """What arrays of NumPy and tensors of torch spell alike; a method for each operation."""

    def reshape(self, value: Value, code: str) -> str:
        """Return a reshape."""
        extents = value.options["extents"]
        return f"{code}.reshape({', '.join(extents) or '()'})"

    def slice(self, value: Value, code: str) -> str:
        """Return a slice along one axis or several."""
        cuts = value.options["cuts"]
        index = []
        for axis in range(max(cuts) + 1):
            start, stop, step = cuts.get(axis, (0, None, 1))
            first, last = "" if start == 0 else str(start), "" if stop is None else str(stop)
            index.append(f"{first}:{last}{'' if step == 1 else f':{step}'}")
        return f"{code}[{', '.join(index)}]"


def diagonal_parts(value: Value, code: str) -> list[str]:
    """Return the slices of a diagonal, one for each place."""
    axis, places = value.options["axis"], value.options["places"]
    length = value.shape[axis]
    parts = []
    for place in range(value.shape[places]):
        index = [":"] * (max(axis, places) + 1)
        index[places], index[axis] = str(place), f"{place}:{place + length}"
        parts.append(f"{code}[{', '.join(index)}]")
    return parts


def write(program: Program, words: Any, header: str) -> str:
    """Return a module with `forward(x, w1, ...)` and, where weights are worked on, `prepare`.

    `words` has a method for each operation, which takes the value and the source of its operands.
    """
    given = {each: str(each.options["name"]) for each in program.inputs}
    names = list(given.values())
    kept = prepared_values(program)
    made = {each: given.get(each, f"k{place}") for place, each in enumerate(kept, start=1)}
    body = _Printer(words, made or given | {program.inputs[0]: "x"}, program.inputs[0])
    remarks = [describe(program.plan.op, stage) for stage in program.plan.stages]
    lines = body.lines(program.statements, [program.result], remarks)
    if any(extent == "n" or extent.startswith("n *") for extent in body.extents):
        lines.insert(0, "n = x.shape[0]")
    if not kept:
        return "\n\n".join([header, _definition("forward", names, lines)])
    weights = ", ".join(names[1:])
    parts = [
        _definition("prepare", names[1:], _Printer(words, given, None).lines((), kept)),
        _definition("compute", ["x", *made.values()], lines),
        _definition("forward", names, [f"return compute(x, *prepare({weights}))"]),
    ]
    return "\n\n".join([header, "\n\n".join(parts)])


def prepared_values(program: Program) -> tuple[Value, ...]:
    """Return what `prepare` makes for `compute`; nothing where weights serve as they are."""
    pairs = [
        (operand, each)
        for each in program.values()
        if not each.fixed
        for operand in each.operands
        if operand.fixed
    ]
    if not any(_works(value) and not _turned(value, user) for value, user in pairs):
        return ()
    return tuple(dict.fromkeys(value for value, _ in pairs))


def _works(value: Value) -> bool:
    """Tell whether anything is computed or copied for a value of weights alone."""
    if value.op not in _PLAIN or value.copies or not value.contiguous:
        return True
    return any(map(_works, value.operands))


def _turned(value: Value, user: Value) -> bool:
    """Tell whether a value is a matrix that its user, a matrix product, reads turned as well."""
    return (
        value.op == "permute"
        and len(value.shape) == 2
        and user.op in ("linear", "matmul")
        and not any(map(_works, value.operands))
    )


def _definition(name: str, names: Sequence[str], lines: Iterable[str]) -> str:
    return f"def {name}({', '.join(names)}):\n" + "".join(f"    {line}\n" for line in lines)


class _Printer:
    """Expressions as deep as they are used once; what is used again gets a name."""

    def __init__(self, words: Any, given: Mapping[Value, str], x: Value | None) -> None:
        self.words = words
        self.names = dict(given)
        if x is not None:
            self.names[x] = "x"
        self.given = frozenset(self.names)
        self.extents: set[str] = set()
        self.uses: Counter[Value] = Counter()
        self.named: set[Value] = set()
        self.done: list[str] = []

    def lines(
        self,
        statements: Sequence[Statement],
        results: Sequence[Value],
        remarks: Sequence[str] = (),
    ) -> list[str]:
        """Return the lines of a function body that ends in a return of `results`."""
        for result in results:
            self.count(result)
        self.named |= {
            each.value for each in statements if each.value is not None and each.value in self.uses
        } - self.given
        for result in results:  # what is named last is what is returned
            if self.uses[result] == 1:
                self.named.discard(result)
        for each in statements:
            if each.stage is not None:
                self.done.append(f"# {each.stage + 1}. {remarks[each.stage]}")
            if each.value in self.named:
                self.state(each.value)
        for result in results:
            self.settle(result)
        one = len(results) == 1 and results[0] not in self.names
        codes = (
            self.expression(results[0]) if one else ", ".join(self.code(each) for each in results)
        )
        comma = "," if len(results) == 1 and not statements else ""
        return [*self.done, f"return {codes}{comma}"]

    def count(self, value: Value) -> None:
        """Count the uses of all values below, and note which need a name."""
        self.uses[value] += 1
        if value in self.given or self.uses[value] > 1:
            if value not in self.given and value.op != "input":
                self.named.add(value)
            return
        self.extents.update(value.options.get("extents", ()))
        for operand in value.operands:
            self.count(operand)
            if value.op in _REPEATED and operand not in self.given:
                self.named.add(operand)

    def state(self, value: Value) -> None:
        """Give a value a name, in a line of its own, if it has none yet."""
        if value in self.names:
            return
        for operand in value.operands:
            self.settle(operand)
        code = self.expression(value)
        taken = {name for each, name in self.names.items() if self.uses[each] > 0}
        name = next(name for name in _NAMES if name not in taken)
        self.done.append(f"{name} = {code}")
        self.names[value] = name

    def settle(self, value: Value) -> None:
        """State all that a value needs by name: a name may be taken again once it was used."""
        if value in self.named:
            self.state(value)
        elif value not in self.names:
            for operand in value.operands:
                self.settle(operand)

    def code(self, value: Value) -> str:
        """Return the source of one use of a value."""
        if value in self.names:
            self.uses[value] -= 1
            return self.names[value]
        code = self.expression(value)
        return f"({code})" if value.op in _INFIX else code

    def expression(self, value: Value) -> str:
        codes = [self.code(operand) for operand in value.operands]
        return str(getattr(self.words, value.op)(value, *codes))
