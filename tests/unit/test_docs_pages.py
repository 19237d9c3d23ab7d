"""The documentation is true: links resolve, commands exist, blocks print what the page says.

In the pages, a block marked `python` is run, all blocks of a page in one namespace; a `text` block
right after it is what it prints. A `console` block is a session: `$ syno ...` and what it prints.
A line `...` stands for any lines. A `sh` block is not run, but its commands and options have to
exist. `--update-golden` writes what is printed into the pages.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *DOCS.rglob("*.md"))
    if "results" not in path.relative_to(ROOT).parts
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
COLUMNS = 100


@dataclass(frozen=True)
class Block:
    """A fenced block; `output` is the `text` block right after it, if there is one."""

    kind: str
    code: str
    output: str | None = None


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    found = list(FENCE.finditer(text))
    for number, match in enumerate(found):
        after = found[number + 1] if number + 1 < len(found) else None
        is_output = after and after[1] == "text" and not text[match.end() : after.start()].strip()
        yield Block(match[1], match[2], after[2] if after and is_output else None)


def with_kind(kind: str) -> list[Path]:
    return [page for page in PAGES if any(block.kind == kind for block in blocks(page))]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def agrees(expected: str, printed: str) -> bool:
    parts = [re.escape(part.strip("\n")) for part in re.split(r"(?m)^\.\.\.$", expected)]
    return re.fullmatch(r"\s*(?s:.*)\s*".join(parts), printed.strip("\n")) is not None


def compare(page: Path, expected: str, printed: str, *, update: bool) -> None:
    lines = "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())
    if update and expected and not agrees(expected, lines):
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace(expected, lines), encoding="utf-8")
        return
    assert agrees(expected, lines), (
        f"{named(page)} says:\n{expected}\nbut this is printed:\n{lines}"
    )


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.mark.parametrize("page", with_kind("python"), ids=named)
def test_python_blocks_print_what_the_page_says(
    page: Path, update: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {"__name__": "__page__"}
    for block in blocks(page):
        if block.kind == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(block.code, named(page), "exec"), space)  # noqa: S102 -- our own pages
            compare(page, block.output or "", printed.getvalue(), update=update)


@pytest.mark.parametrize("page", with_kind("console"), ids=named)
def test_sessions_print_what_the_page_says(page: Path, update: bool, tmp_path: Path) -> None:
    environment = os.environ | {"COLUMNS": str(COLUMNS), "NO_COLOR": "1", "TERM": "dumb"}
    for block in blocks(page):
        for command, expected in sessions(block):
            done = subprocess.run(
                [Path(sys.executable).with_name("syno"), *shlex.split(command)[1:]],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
                text=True,
                timeout=60,
            )
            compare(page, expected, done.stdout, update=update)


def sessions(block: Block) -> Iterator[tuple[str, str]]:
    if block.kind == "console":
        for part in re.split(r"(?m)^\$ ", block.code)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


@pytest.mark.parametrize("page", with_kind("sh"), ids=named)
def test_commands_and_their_options_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for block in blocks(page):
        for line in block.code.splitlines() if block.kind == "sh" else ():
            words = shlex.split(line, comments=True)
            if words and Path(words[0]).name == "syno":
                understand(words[1:])
            elif words and words[0] == "make":
                assert words[1] in targets, line


def understand(words: list[str]) -> None:
    """Let the command line read the words without running them; it raises where it cannot."""
    from syno.cli import app

    command, rest = typer.main.get_command(app), [word for word in words if word != "--help"]
    while rest and isinstance(getattr(command, "commands", None), dict):
        command, rest = command.commands[rest[0]], rest[1:]
    if rest:
        command.make_context("syno", list(rest))


def links(page: Path) -> list[str]:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [target for target in LINK.findall(text) if "://" not in target]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_resolve(page: Path) -> None:
    missing = [each for each in links(page) if not (page.parent / each.partition("#")[0]).exists()]
    assert missing == []


def test_every_page_has_a_line_in_the_index() -> None:
    index = DOCS / "index.md"
    linked = {(DOCS / each.partition("#")[0]).resolve() for each in links(index)}
    pages = {page for page in PAGES if page.is_relative_to(DOCS)} | {DOCS / "primer.py"}
    assert {named(each) for each in pages - linked - {index}} == set()


def test_the_language_page_is_what_the_tables_say(update: bool) -> None:
    import runpy

    made = runpy.run_path(str(DOCS / "generate.py"))
    if update:
        made["PAGE"].write_text(made["page"](), encoding="utf-8")
    assert made["PAGE"].read_text(encoding="utf-8") == made["page"](), "run docs/generate.py"


def test_the_certificates_on_the_page_are_those_that_are_kept() -> None:
    import runpy

    made = runpy.run_path(str(DOCS / "generate.py"))
    assert made["FORMS"].read_text(encoding="utf-8") == made["forms"](), "run docs/generate.py"


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\nb\n", "a\nc\n", False),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n...\nd\n", "a\nb\nc\ne\n", False),
        ("", "a\n", False),
    ],
)
def test_what_is_printed_is_compared(expected: str, printed: str, same: bool) -> None:
    assert agrees(expected, printed) is same
