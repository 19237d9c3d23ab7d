"""Prints, for every operator with a name, the moves by which `resnet18-imagenet` reaches it.

Run: python bench/reach.py. The formulas are those of `syno.zoo.named` in the symbols of the spec:
windows of k_1, both image dimensions H, ranks of 8 (`g/s^2`), which is what the spec allows. Where
the spec does not reach one, the reason is printed, and the moves without its window of
multiply-adds if those reach it. Prints one JSON object as its last line: steps by name, or why not.
"""

from __future__ import annotations

import json
from dataclasses import replace

from syno import parse
from syno.ir.errors import SynoError
from syno.space.paths import path_to
from syno.space.space import SynthesisSpace
from syno.space.specs import named_spec
from syno.zoo.named import NAMED

_SHAPE = "[N, C_in, H, H] -> [N, C_out, H, H]\n"
_WINDOWS = "h + a - k_1//2, w + b - k_1//2"
_RANK = "g/(s*s)"

FORMULAS = {
    "convolution": f"y[n,o,h,w] = sum[c:C_in, a:k_1, b:k_1] x[n, c, {_WINDOWS}] * w1[o,c,a,b]",
    "grouped-convolution": (
        "y[n,o,h,w] = sum[c:C_in/g, a:k_1, b:k_1] "
        f"x[n, (o // (C_out/g))*(C_in/g) + c, {_WINDOWS}] * w1[o,c,a,b]"
    ),
    "grouped-convolution, 8 groups": (
        "y[n,o,h,w] = sum[c:C_in*s*s/g, a:k_1, b:k_1] "
        f"x[n, (o // (C_out*s*s/g))*(C_in*s*s/g) + c, {_WINDOWS}] * w1[o,c,a,b]"
    ),
    "pointwise-convolution": "y[n,o,h,w] = sum[c:C_in] x[n, c, h, w] * w1[o,c]",
    "dilated-convolution": (
        "y[n,o,h,w] = sum[c:C_in, a:k_1, b:k_1] "
        "x[n, c, h + s*a - (k_1*s)//2, w + s*b - (k_1*s)//2] * w1[o,c,a,b]"
    ),
    "separable-convolution": (
        f"y[n,o,h,w] = sum[c:C_in, a:k_1, b:k_1] x[n, c, {_WINDOWS}] * w1[o,c] * w2[c,a,b]"
    ),
    "shifted-convolution-1d": (
        "y[n,o,h,w] = sum[c:C_in, a:k_1] x[n, c, (h + a - k_1//2 + 1) % H, w] * w1[o,c,a]"
    ),
    "low-rank-linear": (f"y[n,o,h,w] = sum[c:C_in, r:{_RANK}] x[n, c, h, w] * w1[o,r] * w2[c,r]"),
    "paper-operator-1": (
        f"y[n,o,h,w] = sum[d:g, c:C_in/g, a:k_1, b:k_1, r:{_RANK}] "
        f"x[n, d*(C_in/g) + c, {_WINDOWS}] * w1[d,a,b,o,r] * w2[d*(C_in/g) + c, b, r]"
    ),
    "paper-operator-2": (
        f"y[n,o,h,w] = sum[d:g, c:C_in/g, a:k_1, b:k_1, r:{_RANK}] "
        "x[n, d*(C_in/g) + c, (h + a - k_1//2 + 1) % H, w + b - k_1//2] "
        "* w1[d,a,o,r] * w2[d*(C_in/g) + c, b, r]"
    ),
}
ELSEWHERE = {
    "depthwise-convolution": "as many channels out as in",
    "average-pooling": "as many channels out as in, and fewer places",
    "pixel-shuffle": "other shapes",
    "linear": "other shapes; on an image it is pointwise-convolution",
    "gpt2-projection": "other shapes; the spec gpt2-linear asks for them",
}


def main() -> None:
    """Print the moves to every operator."""
    spec = named_spec("resnet18-imagenet")
    space = SynthesisSpace(spec)
    free = SynthesisSpace(replace(spec, limits=replace(spec.limits, flops=None)))
    found: dict[str, object] = {}
    for name, text in FORMULAS.items():
        op = parse(_SHAPE + text)
        flops = space.costs.flops(op)
        print(f"{name}: {flops:,} multiply-adds")
        for place, label in ((space, ""), (free, " without the window of multiply-adds")):
            try:
                moves = path_to(place, op)
            except SynoError as problem:
                found[name] = str(problem).splitlines()[0]
                print(f"  not reached{label}: {found[name]}")
                continue
            found[name] = f"{len(moves) - 1} steps{label}"
            print(f"  reached{label} in {len(moves) - 1} steps:")
            print(*(f"    {number}. {move}" for number, move in enumerate(moves, 1)), sep="\n")
            break
    for name, why in ELSEWHERE.items():
        found[name] = f"not asked for: {why}"
        print(f"{name}: {found[name]}")
    missing = set(NAMED) - set(found)
    print(json.dumps({**found, **dict.fromkeys(sorted(missing), "forgotten")}))


if __name__ == "__main__":
    main()
