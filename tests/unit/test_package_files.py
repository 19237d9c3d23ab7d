"""House rules that can be read off the files: sizes, paths, dependencies and their reasons."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Distributions whose module has another name.
MODULES = {
    "apache-tvm": "tvm",
    "iree-base-runtime": "iree",
    "pillow": "PIL",
    "scikit-learn": "sklearn",
    "z3-solver": "z3",
}


def distribution(requirement: str) -> str:
    """Return the normalized name at the head of a requirement."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name
    return re.sub(r"[-_.]+", "-", name.group()).lower()


REQUIRED = {distribution(each) for each in PROJECT["dependencies"]}
EXTRAS = PROJECT["optional-dependencies"]
TESTING = {distribution(each) for each in EXTRAS["testing"]}
OTHERS = {distribution(each) for name in ("compilers", "models") for each in EXTRAS[name]}
TOOLS = {distribution(each) for each in EXTRAS["dev"] if not each.startswith("syno[")}


def imported(sources: Iterable[Path]) -> set[str]:
    """Return every package outside the standard library that the sources import."""
    found = set()
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                found |= {
                    str(each.value).partition(".")[0]
                    for each in node.args
                    if isinstance(each, ast.Constant)
                }
    return found - set(sys.stdlib_module_names) - {"syno"}


def pinned() -> dict[str, str]:
    """Return the constraints: distribution and exact version."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {distribution(name): version for name, version in pairs}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    plain = imported(path for path in SOURCES if "testing" not in path.parts)
    extras = {MODULES.get(each, each) for each in OTHERS}
    assert plain - extras == {MODULES.get(each, each) for each in REQUIRED} - extras


def test_what_only_testing_imports_is_an_extra() -> None:
    testing = [path for path in SOURCES if "testing" in path.parts]
    extra = {MODULES.get(each, each) for each in TESTING}
    assert imported(testing) - imported(set(SOURCES) - set(testing)) == extra


def test_the_tools_bring_the_testing_extra_along() -> None:
    assert "syno[compilers,models,testing]" in EXTRAS["dev"]


def test_everything_is_pinned() -> None:
    assert pinned().keys() >= REQUIRED | TESTING | OTHERS | TOOLS
    assert pinned()["torch"] == "2.13.0"


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \|(.+)\|$", text, re.MULTILINE)
    assert {distribution(name) for name, _ in rows} == REQUIRED | TESTING | OTHERS | TOOLS
    for name, rest in rows:
        cells = [cell.strip() for cell in rest.split("|")]
        assert len(cells) == 3, name
        assert all(cells), name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_files_are_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500


def test_no_absolute_paths() -> None:
    pattern = re.compile(r"(?<![\w.:/])/(?:home|root|work|Users|opt|mnt)/\w")
    folders = ("src", "tests", "docs", "bench", "examples", ".ci")
    texts = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {"", ".py", ".md", ".txt", ".sh", ".toml"} and path.is_file()
    ]
    texts += [*ROOT.glob("*.md"), ROOT / "Makefile", ROOT / "pyproject.toml"]
    found = [str(each.relative_to(ROOT)) for each in texts if pattern.search(each.read_text())]
    assert found == []


def test_the_version_is_written_once_for_users_and_once_for_the_package() -> None:
    import syno

    assert syno.__version__ == PROJECT["version"]
