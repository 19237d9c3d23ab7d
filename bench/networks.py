"""The spaces of networks that benchmarks search."""

from __future__ import annotations

from random import Random

from syno.ir.operator import Operator
from syno.space.networks import convolution_spec
from syno.space.space import SynthesisSpace
from syno.space.spec import Spec
from syno.space.specs import named_spec

SITES = {
    "resnet20": [(16, 16, 32), (16, 32, 16), (32, 32, 16), (32, 64, 8), (64, 64, 8)],
    "resnet18": [
        (64, 64, 56),
        (64, 128, 28),
        (128, 128, 28),
        (128, 256, 14),
        (256, 256, 14),
        (256, 512, 7),
        (512, 512, 7),
    ],
}
"""(channels in, channels out, height and width) of the 3x3 convolutions, as `syno search` asks."""


def spec_of(name: str) -> Spec:
    """Return the spec of a network's sites, or the named spec."""
    if name not in SITES:
        return named_spec(name)
    bindings = [{"C_in": i, "C_out": o, "H": h, "W": h} for i, o, h in SITES[name]]
    return convolution_spec(bindings, name)


def draw(spec: Spec, count: int, seed: int) -> list[Operator]:
    """Return so many distinct random operators."""
    space, rng = SynthesisSpace(spec), Random(seed)
    found: dict[Operator, None] = {}
    while len(found) < count:
        passed = space.roll_out(space.root(), rng)
        operator = space.result(passed[-1]) if passed else None
        if operator is not None:
            found[operator] = None
    return list(found)
