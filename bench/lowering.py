"""How fast operators run where ResNet-18 has its convolutions.

    python bench/lowering.py --json
    python bench/lowering.py --operators paper-operator-1 --backends torch,inductor,onnx

For every operator, site and backend: the time of the convolution that stands there, of the operator
in its place (a strided site is pooled first) and, where there is one, of the same operator written
by hand, all in turns in one run. `attainable` is the share of what a roofline allows: the larger of
multiply-adds over the best rate and bytes over the bandwidth that this run measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from syno.evaluate.latency import compiler_named, machine
from syno.ir.errors import SizeError
from syno.ir.parser import parse
from syno.lower.machine import Target
from syno.lower.plan import plan
from syno.nn import substitute
from syno.nn.inference import for_inference
from syno.nn.module import SynthesizedOperator

CONVOLUTION = (
    "[N, C_in, H*t, W*t] -> [N, C_out, H, W]\n"
    "y[n,o,h,w] = sum[c:C_in, a:k, b:k] x[n, c, t*h + a - k//2, t*w + b - k//2] * w1[o,c,a,b]"
)
PLAIN = "y[n,o,h,w] = sum[c:C_in, a:k, b:k] x[n, c, h+a-k//2, w+b-k//2] * w1[o,c,a,b]"
POINTS = "y[n,o,h,w] = sum[c:C_in] x[n,c,h,w] * w1[o,c]"
SKIPPED = (
    "[N, C_in, H*t, W*t] -> [N, C_out, H, W]\ny[n,o,h,w] = sum[c:C_in] x[n, c, t*h, t*w] * w1[o,c]"
)


@dataclass(frozen=True)
class Site:
    """A convolution of ResNet-18: channels, height and width of the input, kernel, stride."""

    name: str
    inside: int
    outside: int
    length: int
    kernel: int = 3
    stride: int = 1

    def layer(self) -> nn.Conv2d:
        """Return the convolution."""
        torch.manual_seed(0)
        sizes = (self.inside, self.outside, self.kernel, self.stride, self.kernel // 2)
        return nn.Conv2d(*sizes, bias=False)

    def example(self) -> Tensor:
        """Return an input of a batch of one."""
        return torch.randn(1, self.inside, self.length, self.length)


SITES = (
    Site("stem", 3, 64, 224, 7, 2),
    Site("layer1", 64, 64, 56),
    Site("layer2.0.conv1", 64, 128, 56, 3, 2),
    Site("layer2.0.downsample", 64, 128, 56, 1, 2),
    Site("layer2", 128, 128, 28),
    Site("layer3.0.conv1", 128, 256, 28, 3, 2),
    Site("layer3.0.downsample", 128, 256, 28, 1, 2),
    Site("layer3", 256, 256, 14),
    Site("layer4.0.conv1", 256, 512, 14, 3, 2),
    Site("layer4.0.downsample", 256, 512, 14, 1, 2),
    Site("layer4", 512, 512, 7),
)


class Hand(nn.Module):
    """A layer as an engineer writes it: `run(x, *weights)`, a strided site pooled first."""

    def __init__(self, run: Callable[..., Tensor], shapes: Sequence[Sequence[int]], stride: int):
        super().__init__()
        self.run, self.stride = run, stride
        self.weights = nn.ParameterList(0.1 * torch.randn(*shape) for shape in shapes)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        if self.stride > 1:
            x = functional.avg_pool2d(x, self.stride, ceil_mode=True)
        return self.run(x, *self.weights)


def grouped(site: Site, groups: int) -> Hand:
    """Return a grouped convolution."""
    shape = (site.outside, site.inside // groups, 3, 3)
    return Hand(
        lambda x, w: functional.conv2d(x, w, padding=1, groups=groups), [shape], site.stride
    )


def separable(site: Site) -> Hand:
    """Return a depthwise convolution, then a pointwise one."""
    shapes = [(site.inside, 1, 3, 3), (site.outside, site.inside, 1, 1)]
    return Hand(
        lambda x, one, two: functional.conv2d(
            functional.conv2d(x, one, padding=1, groups=site.inside), two
        ),
        shapes,
        site.stride,
    )


def low_rank(site: Site, rank: int) -> Hand:
    """Return a row convolution to a few channels, then a column convolution."""
    shapes = [(rank, site.inside, 1, 3), (site.outside, rank, 3, 1)]
    return Hand(
        lambda x, one, two: functional.conv2d(
            functional.conv2d(x, one, padding=(0, 1)), two, padding=(1, 0)
        ),
        shapes,
        site.stride,
    )


def shifted(site: Site) -> Hand:
    """Return a roll, then a pointwise convolution."""
    return Hand(
        lambda x, w: functional.conv2d(torch.roll(x, -1, 2), w),
        [(site.outside, site.inside, 1, 1)],
        site.stride,
    )


@dataclass(frozen=True)
class Case:
    """One operator: its text, its coefficients at a site, and how it is written by hand."""

    text: str
    coefficients: Callable[[Site], dict[str, int]]
    hand: Callable[[Site], nn.Module] | None = None


def cases() -> dict[str, Case]:
    """Return all operators by name."""
    from syno.zoo.named import NAMED

    def paper(site: Site) -> dict[str, int]:
        return {"k": 3, "G": 32, "R": max(1, site.outside // 64)}

    rank = (
        "y[n,o,h,w] = sum[c:C_in, a:k, b:k, r:R] "
        "x[n, c, h+a-k//2, w+b-k//2] * w1[o,a,r] * w2[c,b,r]"
    )
    shift = "y[n,o,h,w] = sum[c:C_in] x[n, c, (h+1) % H, w] * w1[o,c]"
    texts = {name: row.text for name, row in NAMED.items()}
    return {
        "convolution": Case(PLAIN, lambda s: {"k": s.kernel, "t": s.stride}, Site.layer),
        "grouped-convolution": Case(
            texts["grouped-convolution"], lambda _: {"k": 3, "g": 32}, lambda s: grouped(s, 32)
        ),
        "separable-convolution": Case(
            texts["separable-convolution"], lambda _: {"k": 3}, separable
        ),
        "low-rank-convolution": Case(
            rank,
            lambda s: {"k": 3, "R": s.outside // 4},
            lambda s: low_rank(s, s.outside // 4),
        ),
        "shifted-pointwise": Case(shift, lambda _: {}, shifted),
        "paper-operator-1": Case(texts["paper-operator-1"], paper),
        "paper-operator-2": Case(texts["paper-operator-2"], paper),
    }


def in_place(name: str, case: Case, site: Site) -> nn.Module:
    """Return the operator where the convolution of a site stands."""
    sizes = case.coefficients(site)
    if name == "convolution":  # the formula says the stride itself
        text = (POINTS if site.stride == 1 else SKIPPED) if site.kernel == 1 else case.text
        text = CONVOLUTION if site.kernel > 1 and site.stride > 1 else text
        out = site.length // site.stride
        bound = {"N": 1, "C_in": site.inside, "C_out": site.outside, "H": out, "W": out, **sizes}
        return SynthesizedOperator(parse(text), bound, seed=0)
    return substitute(site.layer(), {"": parse(case.text)}, site.example(), coefficients=sizes)


def in_turns(calls: Sequence[Callable[[], Any]], rounds: int) -> list[list[float]]:
    """Return seconds of every call in every round, blocks of about 10 ms in turns."""
    repeats = []
    for call in calls:
        for _ in range(3):
            call()
        start = time.perf_counter()
        call()
        repeats.append(max(2, min(500, round(0.01 / (time.perf_counter() - start)))))
    found: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds):
        order = range(len(calls)) if turn % 2 == 0 else reversed(range(len(calls)))
        for place in order:
            start = time.perf_counter()
            for _ in range(repeats[place]):
                calls[place]()
            found[place].append((time.perf_counter() - start) / repeats[place])
    return found


def peaks() -> tuple[float, float]:
    """Return the best multiply-adds and bytes a second: of a large product, of a large copy."""
    one, two = torch.randn(1024, 1024), torch.randn(1024, 1024)
    data, target = torch.randn(16_000_000), torch.empty(16_000_000)
    product, copy = in_turns([lambda: one @ two, lambda: target.copy_(data)], 7)
    return 1024**3 / min(product), 2 * 4 * data.numel() / min(copy)


def row_of(
    name: str, case: Case, site: Site, backend: str, options: argparse.Namespace, best: Any
) -> dict[str, Any]:
    """Time one operator at one site with one backend."""
    compile_module = compiler_named(backend).load().compile_module
    example = site.example()
    modules = [site.layer(), in_place(name, case, site)]
    if case.hand is not None and name != "convolution":
        modules.append(case.hand(site))
    compiled = [
        compile_module(
            for_inference(
                each.requires_grad_(False).eval(),
                Target(compiled=backend != "torch", threads=options.threads),
            ),
            [example],
        )
        for each in modules
    ]
    times = in_turns([lambda run=run: run(example) for run in compiled], options.rounds)
    middle = [statistics.median(each) for each in times]
    ratios = [one / two for one, two in zip(times[0], times[1], strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    operator = next(m for m in modules[1].modules() if isinstance(m, SynthesizedOperator))
    work = plan(operator.op, operator.sizes).flops
    weights = sum(each.numel() for each in modules[1].parameters())
    moved = 4 * (example.numel() + compiled[1](example).numel() + weights)
    row: dict[str, Any] = {
        "operator": name,
        "site": site.name,
        "backend": backend,
        "convolution_ms": 1e3 * middle[0],
        "operator_ms": 1e3 * middle[1],
        "ratio": statistics.median(ratios),
        "ratio_low": low,
        "ratio_high": high,
        "attainable": max(work / best[0], moved / best[1]) / middle[1],
        "multiply_adds": work,
        "parameters": weights,
    }
    if len(times) > 2:
        over = [one / two for one, two in zip(times[1], times[2], strict=True)]
        row |= {"hand_ms": 1e3 * middle[2], "over_hand": statistics.median(over)}
    return row


def main() -> None:
    """Print a table, and JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operators", default=",".join(cases()))
    parser.add_argument("--backends", default="torch,inductor")
    parser.add_argument("--sites", default="")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    with torch.no_grad():
        best = peaks()
        for backend in options.backends.split(","):
            for name in options.operators.split(","):
                for site in SITES:
                    if options.sites and site.name not in options.sites.split(","):
                        continue
                    if name != "convolution" and (site.kernel != 3 or site.inside < 32):
                        continue
                    try:
                        row = row_of(name, cases()[name], site, backend, options, best)
                    except SizeError as error:
                        print(f"{name} at {site.name}: {error}", file=sys.stderr)
                        continue
                    rows.append(row)
                    show(row)
    answer = {
        "rows": rows,
        "threads": options.threads,
        "peak": {"multiply_adds_per_second": best[0], "bytes_per_second": best[1]},
        "machine": machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if options.out:
        options.out.write_text(json.dumps(answer, indent=1) + "\n")
    if options.json:
        print(json.dumps(answer))


def show(row: dict[str, Any]) -> None:
    """Print one line."""
    hand = f"  {row['over_hand']:.2f} of hand-written" if "over_hand" in row else ""
    print(
        f"{row['backend']:10} {row['operator']:24} {row['site']:20} "
        f"{row['convolution_ms']:7.3f} {row['operator_ms']:7.3f} ms  {row['ratio']:5.2f}x "
        f"({row['ratio_low']:.2f} to {row['ratio_high']:.2f})  "
        f"{100 * row['attainable']:3.0f} %{hand}",
        flush=True,
    )


if __name__ == "__main__":
    main()
