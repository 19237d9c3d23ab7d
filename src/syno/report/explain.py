"""One operator explained: what it reads, how it is built, what it costs, and its code."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from syno.ir.coord import Coord
from syno.ir.errors import OperatorError, SizeError
from syno.ir.operator import Operator
from syno.ir.parser import parse
from syno.ir.steps import Step, steps
from syno.ir.text import Names, format_coord, leaf_names
from syno.ir.verify import Problem, verify
from syno.lower.backends import MissingBackend, program_of, write_source, writers
from syno.lower.plan import Plan, plan
from syno.report.loops import loop_nest

Sizes = Mapping[str, int]
_USUAL = {
    "N": 1,
    "C_in": 64,
    "C_out": 64,
    "C": 64,
    "H": 32,
    "W": 32,
    "T": 16,
    "D": 64,
    "k": 3,
    "s": 2,
}
_NOTES = {
    "unfold": "a read outside gives 0",
    "shift": "wraps around",
    "stride": "strided",
}


def explain(formula: str, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Return all there is to say about the operator of `formula`, as plain data.

    `sections` maps titles to text for people, in order; the other keys hold the same for machines.
    What depends on numbers (plan, costs, code) is there only where `sizes` gives every symbol.
    Raises ParseError where the formula cannot be read, OperatorError where it is no operator,
    SizeError where a given size is not positive.
    """
    op = parse(formula)
    missing = sorted(op.symbols - set(sizes))
    unused = sorted(set(sizes) - op.symbols)
    bound = {name: sizes[name] for name in sorted(op.symbols) if name in sizes}
    for name, value in bound.items():
        if value < 1:
            raise SizeError(f"The size {name} is {value}: it has to be a positive integer.")
    problems = problems_of(op, None if missing else bound)
    result = _structure(op, problems) | {"sizes": bound, "missing": missing, "unused": unused}
    sections = _structure_sections(op, result)
    if missing:
        sections["Sizes"] = _ask_for(missing, bound, unused)
    elif any(each.check in ("sizes", "steps") for each in problems):
        sections["Sizes"] = _given(bound, unused) + "\nNo plan: the problems above come first."
    else:
        made = plan(op, bound)
        result |= numbers_of(made)
        sections |= {"Sizes": _given(bound, unused), **_number_sections(made, result)}
    return {"sections": sections, **result}


def problems_of(op: Operator, sizes: Sizes | None) -> tuple[Problem, ...]:
    """Return what the verifier finds; what no primitives can build is a problem called `steps`."""
    try:
        return verify(op, () if sizes is None else (sizes,))
    except OperatorError as error:
        return (Problem("steps", str(error)),)
    except SizeError as error:  # too large to be checked element by element
        return (Problem("influence", str(error)),)


def numbers_of(made: Plan) -> dict[str, Any]:
    """Return what a plan costs, its text, and its source in every backend that is installed."""
    shapes = made.op.weight_shapes(made.sizes)
    code: dict[str, str] = {}
    absent: dict[str, str] = {}
    for backend in writers():
        try:
            program = program_of(made.op, made.sizes, backend)
            code[backend] = write_source(program, backend)
        except MissingBackend as error:
            absent[backend] = f"not available here: {error}"
    return {
        "input_shape": list(made.op.input_shape(made.sizes)),
        "output_shape": list(made.op.output_shape(made.sizes)),
        "weights": {name: list(shape) for name, shape in shapes.items()},
        "plan": str(program_of(made.op, made.sizes, "torch").plan),
        "flops": made.flops,
        "parameters": made.parameters,
        "code": code,
        "code_absent": absent,
    }


def steps_of(op: Operator) -> list[str]:
    """Return one line for each primitive, in the order of building; OperatorError where none is."""
    names = leaf_names(op)
    return [_describe(step, op, names) for step in steps(op)]


def _structure(op: Operator, problems: tuple[Problem, ...]) -> dict[str, Any]:
    """Return what the formula alone says."""
    buildable = not any(each.check == "steps" for each in problems)
    names = leaf_names(op)
    return {
        "formula": str(op),
        "valid": not problems,
        "problems": [{"check": each.check, "message": each.message} for each in problems],
        "symbols": sorted(op.symbols),
        "coordinates": [
            {
                "dimension": number,
                "size": str(coord.size),
                "index": format_coord(coord, names),
                "made_of": [names[leaf] for leaf in coord.leaves()],
                "notes": [note for op_, note in _NOTES.items() if _has(coord, op_)],
            }
            for number, coord in enumerate(op.data)
        ],
        "steps": steps_of(op) if buildable else [],
        "loops": loop_nest(op),
    }


def _structure_sections(op: Operator, found: Mapping[str, Any]) -> dict[str, str]:
    steps_text = "\n".join(f"{n:>2}. {line}" for n, line in enumerate(found["steps"], start=1))
    return {
        "Formula": found["formula"],
        "Check": _verdict(found),
        "Coordinates": _coordinates(op, found["coordinates"]),
        "Steps": steps_text or "The primitives cannot build it; see the check above.",
        "Loop nest": found["loops"],
    }


def _verdict(found: Mapping[str, Any]) -> str:
    if found["valid"]:
        return "valid" + ("; numbers for its sizes may still not fit" if found["missing"] else "")
    return "\n".join(
        ["not valid:", *(f"- {p['check']}: {p['message']}" for p in found["problems"])]
    )


def _number_sections(made: Plan, found: Mapping[str, Any]) -> dict[str, str]:
    size_in, size_out = prod(found["input_shape"]), prod(found["output_shape"])
    cost = [
        f"{made.flops:,} multiply-adds for one call at the least, each counted as one",
        f"{made.parameters:,} parameters",
        f"{size_in:,} input and {size_out:,} output elements",
    ]
    weights = [f"{name}: {_shape(shape)}" for name, shape in found["weights"].items()]
    code = {f"Code: {name}": text.rstrip() for name, text in found["code"].items()}
    code |= {f"Code: {name}": text for name, text in found["code_absent"].items()}
    return {
        "Plan": found["plan"],
        "Cost": "\n".join(cost),
        "Weights": "\n".join(weights) or "none",
        **code,
    }


def _coordinates(op: Operator, rows: list[dict[str, Any]]) -> str:
    """Return a line for each dimension of x, then who else uses the iterators."""
    names = leaf_names(op)
    summed = {names[leaf] for leaf in op.reductions}
    cells = [
        (f"x dimension {row['dimension']}", row["index"], f"size {row['size']}") for row in rows
    ]
    widths = [max((len(each[place]) for each in cells), default=0) for place in range(3)]
    lines = []
    for cell, row in zip(cells, rows, strict=True):
        padded = "  ".join(text.ljust(width) for text, width in zip(cell, widths, strict=True))
        parts = [f"{'summed' if name in summed else 'output'} {name}" for name in row["made_of"]]
        made_of = "; ".join([", ".join(parts), *row["notes"]])
        lines.append(f"{padded}  made of {made_of}")
    read = {leaf for coord in op.data for leaf in coord.leaves()}
    others = [leaf for leaf in (*op.outputs, *op.reductions) if leaf not in read]
    lines += [f"{names[leaf]} of size {leaf.size}: {_only_weights(op, leaf)}" for leaf in others]
    return "\n".join(lines)


def _only_weights(op: Operator, leaf: Coord) -> str:
    users = [f"w{n}" for n, index in enumerate(op.weights, 1) if leaf in _leaves(index)]
    what = "an output" if leaf.op == "output" else "a sum"
    return f"{what} that x is not read with" + (f", only {' and '.join(users)}" if users else "")


def _leaves(index: tuple[Coord, ...]) -> set[Coord]:
    return {leaf for coord in index for leaf in coord.leaves()}


def _has(coord: Coord, kind: str) -> bool:
    return any(node.op == kind for node in coord.walk())


def _describe(step: Step, op: Operator, names: Names) -> str:
    def show(coords: tuple[Coord, ...]) -> str:
        return ", ".join(f"{format_coord(each, names)} : {each.size}" for each in coords)

    if step.primitive == "reduce":
        return f"reduce: sum over {show(step.yields)}"
    if step.primitive == "expand":
        return f"expand: x does not depend on {show(step.consumes)}"
    if step.primitive == "contract":
        assert step.weight is not None
        kept = set(step.yields)
        outer = tuple(each for each in step.consumes if each not in kept)
        alone = f"; it alone keeps {show(outer)}" if outer else ""
        return f"share: weight w{step.weight + 1} over {show(step.consumes)}{alone}"
    by = "" if step.arg is None else f" by {step.arg}"
    return f"{step.primitive}{by}: {show(step.consumes)}  ->  {show(step.yields)}"


def _given(bound: Sizes, unused: list[str]) -> str:
    text = ", ".join(f"{name}={value}" for name, value in bound.items()) or "none needed"
    return text + _mention(unused)


def _ask_for(missing: list[str], bound: Sizes, unused: list[str]) -> str:
    """Return the sentence that says how to get numbers."""
    example = " ".join(f"-s {name}={_USUAL.get(name, 4)}" for name in missing)
    have = f" (given: {', '.join(f'{n}={v}' for n, v in bound.items())})" if bound else ""
    return (
        f"For plan, costs, weight shapes and code, give numbers for {', '.join(missing)}{have}: "
        f"{example}" + _mention(unused)
    )


def _mention(unused: list[str]) -> str:
    if not unused:
        return ""
    one = len(unused) == 1
    return f"\nNot in the formula: {', '.join(unused)} ({'it is' if one else 'they are'} ignored)."


def _shape(shape: list[int]) -> str:
    return "x".join(map(str, shape)) + f" = {prod(shape):,}"


__all__ = ["explain", "numbers_of", "problems_of", "steps_of"]
