"""From an operator back to the moves of a space that make it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

from syno.ir.coord import Coord, split
from syno.ir.errors import OperatorError, SpecError
from syno.ir.operator import Operator
from syno.ir.steps import Step, steps
from syno.space.moves import made, next_reduction
from syno.space.state import Move, State

if TYPE_CHECKING:
    from syno.space.space import SynthesisSpace


def path_to(space: SynthesisSpace, op: Operator) -> list[Move]:
    """Return legal moves of `space` from its root to `op`, or to its canonical form.

    Weights are met in the order of the operator where that is allowed, else in another one. Raises
    OperatorError, or SpecError for a sum that the spec lacks, naming the first step that the space
    does not allow in the first order.
    """
    if (op.input, op.output) != (space.spec.input_sizes, space.spec.output_sizes):
        raise OperatorError(f"The spec {space.spec.name} asks for other shapes than: {op}")
    target = space.form(op)
    refused: list[OperatorError | SpecError] = []
    for spelled in dict.fromkeys((op, target)):
        for through in _orders(spelled):
            try:
                return _walk(space, through, target)
            except (OperatorError, SpecError) as problem:
                refused.append(problem)
    raise refused[0]


def _walk(space: SynthesisSpace, through: Sequence[Step], op: Operator) -> list[Move]:
    """Return the moves that are these steps, and the one that ends them in `op`."""
    state, found = space.root(), list[Move]()
    names = {leaf: leaf for leaf in state.coords}
    for step in through:
        move = _as_move(step, state, names, space)
        if not space.offers(state, move):
            raise OperatorError(f"The spec {space.spec.name} does not allow {move}.\n  in: {op}")
        found.append(move)
        called = {wanted: names[wanted] for wanted in names if wanted not in step.consumes}
        if step.primitive == "contract":
            called |= {wanted: names[wanted] for wanted in step.yields}
        else:
            called |= dict(zip(step.yields, made(move), strict=True))
        state, moved = space.follow(state, move)
        names = {wanted: moved[name] for wanted, name in called.items()}
    for move in space.finishing(state):
        if space.apply(state, move).operator is op and space.allows(state, move):
            return [*found, move]
    raise OperatorError(f"The steps end elsewhere than in the operator.\n  in: {op}")


def _orders(op: Operator) -> Iterator[tuple[Step, ...]]:
    """Yield the steps of an operator with its weights in every order, first in its own."""
    found = list(_binary(steps(op)))
    places = [place for place, step in enumerate(found) if step.primitive == "contract"]
    for order in permutations(places):
        moved = list(found)
        for place, source in zip(places, order, strict=True):
            moved[place] = found[source]
        yield tuple(_keeping(moved, op))


def _keeping(found: Sequence[Step], op: Operator) -> Iterator[Step]:
    """Yield the steps; a weight keeps what it sees where that is needed later."""
    for place, step in enumerate(found):
        if step.primitive == "contract":
            later = {coord for each in found[place + 1 :] for coord in each.consumes}
            kept = tuple(c for c in step.consumes if c in later or c in op.data)
            yield replace(step, yields=kept)
        else:
            yield step


def _binary(found: tuple[Step, ...]) -> Iterator[Step]:
    """Yield the steps with splits of several digits taken one after the other."""
    for step in found:
        low = step.consumes[-1] if step.consumes else None
        if step.primitive == "split" and low is not None:
            for high in reversed(step.consumes[1:-1]):
                joined = split(high, low)
                yield Step("split", (high, low), (joined,))
                low = joined
            yield Step("split", (step.consumes[0], low), step.yields)
        else:
            yield step


def _as_move(step: Step, state: State, names: dict[Coord, Coord], space: SynthesisSpace) -> Move:
    """Return the move of `space` that is `step`; `names` maps its coordinates to the state's."""
    if step.primitive == "reduce":
        wanted = step.yields[0].size
        move = next_reduction(space.spec, state, wanted)
        if move is None:
            raise SpecError(f"The spec {space.spec.name} has no reduction of size {wanted}.")
        return move
    if not all(coord in names for coord in step.consumes):
        raise OperatorError(f"What {step} consumes is not there yet.")
    renamed = tuple(names[coord] for coord in step.consumes)
    if step.primitive == "contract":
        operands = tuple(sorted(renamed, key=lambda coord: coord.key))
        kept = {names[coord] for coord in step.yields}
        return Move("contract", operands, None, tuple(c for c in operands if c in kept))
    arg = step.arg if step.primitive in ("merge", "shift", "stride") else None
    return Move(step.primitive, renamed, arg)
