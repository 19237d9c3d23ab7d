"""What all commands share: the application, its exit codes, its consoles and its options."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from syno import __version__
from syno.ir.errors import SynoError

NOT_EXACT, BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # under the standard output

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Syno invents neural-network layers: it searches for operators that stand in the place of "
    "convolutions, trains and times them, and reports what it measured.\n\n"
    "Start with `syno search --model convnet --data digits --minutes 5`, then "
    "`syno report --study convnet-digits.db`. To see what an operator is: `syno show convolution`.",
    epilog="Exit codes: 0 done, 1 not exact (certify alone), 2 bad input (one paragraph says what "
    "and how to mend it), 130 interrupted (nothing is lost: the same command continues).",
)

# Formulas hold brackets, which rich would take for markup, and are made to be copied.
out = Console(markup=False, highlight=False, soft_wrap=True)
err = Console(markup=False, highlight=False, soft_wrap=True, stderr=True)

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object as the last line of the output.")
]
SmallSpec = Annotated[str, typer.Option(help="conv1d, conv2d, image, linear or pool1d.")]
Model = Annotated[
    str,
    typer.Option(
        help="convnet (8x8 digits), resnet20, resnet18-cifar-16 or resnet18-cifar (CIFAR); to time "
        "only: resnet18, resnet34, densenet121, resnext29-2x64d, efficientnetv2-s, vit-s (all "
        "ImageNet), gpt2, gpt2-mini, gpt2-midi."
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        help="digits (built in) or cifar10 (once: syno data fetch cifar10).",
        show_default="the model's",
    ),
]
Sizes = Annotated[
    list[str] | None,
    typer.Option(
        "--size", "-s", metavar="NAME=NUMBER", help="A size, as in -s C_in=64; repeat it."
    ),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"syno {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,  # before it is said that a command is missing
            callback=_print_version,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Options before any command."""


def main() -> NoReturn:
    """Run the command line and exit; deliberate errors become one paragraph and exit code 2."""
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:
        code = _discard_output(BROKEN_PIPE)
    except OSError as error:
        if error.errno not in _DISK:
            raise
        code = _discard_output(
            _fail(f"The output could not be written: {error.strerror}.", "OSError")
        )
    sys.exit(code)


def emit(as_json: bool, result: Mapping[str, Any]) -> None:
    """Print the result as one line of JSON where that was asked for."""
    if as_json:
        sys.stdout.flush()
        print(json.dumps(result))


def default_data(model: str, data: str | None) -> str:
    """Return the data set of a command: the chosen one, else the model's; SynoError for none."""
    from syno.evaluate.models import info

    found = data or info(model).default_data
    if found is None:
        raise SynoError(
            f"There is no data set here for {model}: it can be timed (syno bench --model {model}), "
            "not trained. Choose another model, such as convnet or resnet20."
        )
    return found


def place(study: str) -> str | Path:
    """Return where a study is: a database URL as it stands, a file as a path."""
    return study if "://" in study else Path(study)


def _run() -> int:
    """Run one command and return its exit code."""
    try:
        code = app(standalone_mode=False, prog_name="syno") or 0
    except SynoError as error:
        return _fail(str(error), type(error).__name__)
    except typer.TyperException as error:
        return _usage(error)
    except (MemoryError, RuntimeError) as error:
        from syno.run.executor import is_out_of_memory

        if not is_out_of_memory(error):
            raise
        return _fail("Memory ran out. Choose a smaller batch, model or size.", "MemoryError")
    except OSError as error:
        if isinstance(error, BrokenPipeError) or error.filename is None:
            raise
        return _fail(f"{error.filename}: {error.strerror}.", type(error).__name__)
    if code == INTERRUPTED:  # Typer turns Ctrl-C into this code
        message = "interrupted: what is finished is kept, and the same command continues"
        return _fail(message, "KeyboardInterrupt", INTERRUPTED, title="")
    return int(code)


def _usage(error: typer.TyperException) -> int:
    """Say what is wrong with the command itself; a bare `syno` has shown its help already."""
    message = error.format_message()
    if not message.strip():
        return BAD_INPUT
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "syno"
    return _fail(f"{message.rstrip('.')}. See: {command} --help", type(error).__name__)


def _fail(message: str, kind: str, code: int = BAD_INPUT, title: str = "error: ") -> int:
    err.print(Text.assemble((title, "bold red"), message))
    if "--json" in sys.argv:
        print(json.dumps({"error": message, "kind": kind}))
    return code


def _discard_output(code: int) -> int:
    """Send what is still buffered nowhere, so that the interpreter's exit does not fail over it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return code


def wait_passively(threads: int) -> None:
    """Let a thread that waits for others leave its core to them: else two are slower than one.

    OpenMP reads this when torch is loaded.
    """
    if threads == 1 or "OMP_WAIT_POLICY" in os.environ:
        return
    if "torch" in sys.modules:
        raise SynoError(
            "Several threads need OMP_WAIT_POLICY=passive in the environment before torch is "
            "loaded, and it is loaded already. Set it and start Python anew."
        )
    os.environ["OMP_WAIT_POLICY"] = "passive"
