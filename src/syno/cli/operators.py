"""syno enumerate, show, export: operators without a network."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from syno.cli.app import BAD_INPUT, Json, Sizes, SmallSpec, app, emit, err, out
from syno.ir.errors import SizeError
from syno.ir.operator import Operator
from syno.run.progress import plain_progress

_NAME = re.compile(r"[A-Za-z][\w-]*")
_SIZE = re.compile(r"\s*([A-Za-z]\w*)\s*=\s*([0-9]{1,9})\s*", re.ASCII)
_TICK = 0.2

Formula = Annotated[
    str,
    typer.Argument(
        metavar="OPERATOR",
        help="An index formula in quotes, or the name of a known operator, such as convolution.",
    ),
]


@app.command(name="enumerate")
def enumerate_command(
    spec: SmallSpec = "linear",
    depth: Annotated[
        int | None,
        typer.Option(min=1, help="Most steps of an operator.", show_default="the spec's"),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Stop after this many operators.")] = 100,
    seconds: Annotated[float, typer.Option(min=0, help="Stop after this time.")] = 60.0,
    as_json: Json = False,
) -> None:
    """List the operators of a small spec, those of few steps first.

    A spec says which shapes go in and out, which steps an operator may take and how many. What is
    listed are all operators within it, each once, whether they are worth anything or not.

    Example: syno enumerate --spec pool1d --depth 3
    """
    from syno.space.enumerate import enumerate_operators
    from syno.space.space import SynthesisSpace
    from syno.space.specs import small_spec

    chosen = small_spec(spec)
    if depth is not None:
        chosen = chosen.up_to(depth)
    found: list[Operator] = []
    with plain_progress(err, f"operators of {chosen.name}") as step:
        operators = enumerate_operators(SynthesisSpace(chosen, distinct=True))
        stream = Timed(operators, seconds, lambda spent: step(spent, seconds))
        for op in stream:
            if len(found) == limit:
                break
            found.append(op)
            out.print(str(op).splitlines()[-1])
        else:
            stream.complete = not stream.late
    end = "all of them" if stream.complete else "stopped at the limit: there may be more"
    out.print(f"{len(found)} operators of {chosen.name} ({end})")
    texts = [str(op) for op in found]
    emit(as_json, {"spec": spec, "operators": texts, "complete": stream.complete})


class Timed:
    """The items of an iterator that come within a time, wherever it spends that time.

    They are made in a thread: an enumeration may work for minutes between two operators.
    """

    def __init__(
        self, items: Iterator[Operator], seconds: float, tick: Callable[[float], None]
    ) -> None:
        self.items, self.seconds, self.tick = items, seconds, tick
        self.late = self.complete = False

    def __iter__(self) -> Iterator[Operator]:
        found: queue.Queue[Operator | BaseException | None] = queue.Queue(maxsize=1)
        threading.Thread(target=_drain, args=(self.items, found), daemon=True).start()
        start = time.monotonic()
        while (spent := time.monotonic() - start) < self.seconds:
            self.tick(spent)
            try:
                item = found.get(timeout=min(_TICK, self.seconds - spent))
            except queue.Empty:
                continue
            if isinstance(item, BaseException):
                raise item
            if item is None:
                return
            yield item
        self.late = True


@app.command()
def show(
    formula: Formula,
    size: Sizes = None,
    as_json: Json = False,
) -> None:
    """Explain an operator: formula, coordinates, loop nest, plan, FLOPs, parameters, code.

    Examples: syno show convolution, syno show paper-operator-1, or

    syno show 'y[n,o,h,w] = sum[c:C_in, a:k] x[n, c, h+a-k//2, w] * w1[o,c,a]' -s C_in=64

    Output iterators n, o, c, h, w, t, d have the sizes N, C_out, C, H, W, T, D; others carry
    theirs, as in y[i:I], or come with a header line: '[N, C_in] -> [N, C_out]'. A known operator
    brings sizes of its own; --size replaces them one by one. What is not valid, or does not fit the
    sizes, is shown with its problems and ends with exit code 2.
    """
    from syno.report.explain import explain

    result = explain(*resolve(formula, parse_sizes(size or [])))
    for title, text in result["sections"].items():
        out.rule(title, align="left")
        out.print(text)
    emit(as_json, result)
    if not result["valid"]:
        out.file.flush()
        err.print(f"error: The operator is not valid. {result['problems'][0]['message']}")
        raise typer.Exit(BAD_INPUT)


@app.command()
def export(
    formula: Formula,
    size: Sizes = None,
    backend: Annotated[str, typer.Option(help="torch, numpy or triton.")] = "torch",
    output: Annotated[
        Path | None, typer.Option("--out", help="Write to this file.", show_default="the terminal")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the source of an operator for one backend: plain code that needs no Syno.

    The code is made for the sizes given, so that every symbol of the formula needs one; a known
    operator brings its own.

    Example: syno export pointwise-convolution -s C_in=64 -s C_out=64 --out layer.py
    """
    from syno.ir.files import write_atomically
    from syno.ir.parser import parse
    from syno.lower.backends import program_of, write_source

    text, sizes = resolve(formula, parse_sizes(size or []))
    source = write_source(program_of(parse(text), sizes, backend), backend)
    if output is None:
        print(source)
    else:
        write_atomically(output, source)
        out.print(f"wrote {output}")
    emit(as_json, {"backend": backend, "source": source, "file": str(output) if output else None})


def resolve(text: str, sizes: Mapping[str, int]) -> tuple[str, dict[str, int]]:
    """Return the formula that `text` is or names, and its sizes: those given, else the name's own.

    Raises SynoError, with all names, where `text` is a name that nothing has.
    """
    from syno.zoo.bound import look_up

    name = text.strip()
    if not _NAME.fullmatch(name):
        return text, dict(sizes)
    formula, own = look_up(name)
    return formula, {**own, **sizes}


def parse_sizes(texts: list[str]) -> dict[str, int]:
    """Read sizes such as `C_in=64`; SizeError with the offending text otherwise."""
    found = {}
    for text in texts:
        match = _SIZE.fullmatch(text)
        if match is None or int(match[2]) < 1:
            raise SizeError(
                f"A size is written NAME=NUMBER, as in -s C_in=64, with a whole number of 1 or "
                f"more and at most 9 digits; this is {text!r}."
            )
        found[match[1]] = int(match[2])
    return found


def _drain(items: Iterator[Operator], found: queue.Queue[Operator | BaseException | None]) -> None:
    """Hand on all items, then None, or what went wrong."""
    try:
        for item in items:
            found.put(item)
        found.put(None)
    except BaseException as error:  # noqa: BLE001 -- raised again by whoever reads the queue
        found.put(error)
