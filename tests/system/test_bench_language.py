"""The benchmark of language models on a text of a few sentences: cells, resumption, the table."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from syno.evaluate import models
from syno.evaluate.library_models import Gpt2
from syno.evaluate.models import ModelInfo
from syno.evaluate.text import Document, in_tokens
from syno.evaluate.training import NotANumber
from syno.ir.parser import parse
from syno.nn.sites import Site, find_sites, select_sites
from syno.nn.substitution import sizes_at

SCRIPT = Path(__file__).resolve().parents[2] / "bench" / "language.py"
VERSE = "the state of the union is strong and the union of the states is good. "
OPTIONS = ("--tokens", "1024", "--rounds", "2", "--rows", "grouped-2", "--json")

SEEDED = ("seconds-seed0", "tokens-seed0")

Run = Callable[..., dict[str, Any]]


def tiny(_name: str = "tiny", *, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return Gpt2(1, width=32, heads=2, length=128, tokens=257, dropout=0.0)


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_language", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(
    bench: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """The benchmark with a tiny network; it returns what is printed as JSON."""
    row = ModelInfo(
        "tiny", (1, 128), 257, None, tiny, "", vocabulary=257, sites=("*.c_attn", "*.mlp.*")
    )
    years = {1790: 40, 1794: 20, 1799: 20}
    text = in_tokens("small", [Document(year, VERSE * n) for year, n in years.items()], "bytes")
    monkeypatch.setattr(bench, "info", lambda _name: row)
    monkeypatch.setattr(bench, "build", tiny)
    monkeypatch.setattr(bench, "load_text", lambda: text)

    def call(*options: str) -> dict[str, Any]:
        command = [str(SCRIPT), "--out", str(tmp_path), *OPTIONS, *options]
        monkeypatch.setattr(sys, "argv", command)
        bench.main()
        found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return found

    return call


def cells(folder: Path) -> dict[str, dict[str, Any]]:
    files = folder.glob("gpt2-mini/*.json")
    return {file.stem: json.loads(file.read_text()) for file in files if file.stem != "summary"}


def test_a_row_stands_beside_the_original_under_both_budgets(run: Run, tmp_path: Path) -> None:
    found, kept = run(), cells(tmp_path)
    assert set(kept) == {
        "original-seed0",
        *(f"{row}-{kind}" for row in found["rows"] for kind in ("steps", *SEEDED)),
    }
    for name, row in found["rows"].items():
        longer = kept[f"{name}-seconds-seed0"]["result"]["tokens"]
        assert longer == pytest.approx(row["steps"]["ratio"] * 1024, abs=512)
        assert kept[f"{name}-tokens-seed0"]["result"]["tokens"] == 1024
        loss = kept[f"{name}-tokens-seed0"]["result"]["validation_loss"]
        apart = loss - kept["original-seed0"]["result"]["validation_loss"]
        assert row["tokens"]["difference"] == pytest.approx(apart)
        assert row["tokens"]["parameters"][1] < row["tokens"]["parameters"][0]


def test_every_cell_says_how_it_was_made(run: Run, tmp_path: Path) -> None:
    run("--budgets", "tokens")
    for cell in cells(tmp_path).values():
        assert cell["machine"]["processor"] and cell["versions"]["tokenizers"] and cell["date"]
        assert {"model", "text", "vocabulary", "recipe"} < set(cell["identity"])
        assert "commit" in cell


def test_a_finished_cell_is_not_repeated(
    run: Run, tmp_path: Path, bench: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, before = run(), cells(tmp_path)
    (tmp_path / "gpt2-mini" / "grouped-2-tokens-seed0.json").unlink()
    trained: list[int] = []
    real = bench.train_language

    def train(*arguments: Any, **options: Any) -> Any:
        trained.append(options["tokens"])
        return real(*arguments, **options)

    monkeypatch.setattr(bench, "train_language", train)
    again, after = run(), cells(tmp_path)
    assert trained == [1024]
    missing = before.pop("grouped-2-tokens-seed0")
    anew = after.pop("grouped-2-tokens-seed0")
    assert before == after
    assert anew["result"]["validation_loss"] == missing["result"]["validation_loss"]
    assert json.loads((tmp_path / "gpt2-mini" / "summary.json").read_text()) == again
    assert again["rows"]["grouped-2"]["seconds"] == first["rows"]["grouped-2"]["seconds"]


def test_cells_of_another_experiment_are_not_mixed_in(run: Run) -> None:
    run("--budgets", "tokens")
    with pytest.raises(SystemExit, match=r"another experiment.*--out"):
        run("--budgets", "tokens", "--tokens", "2048")


def test_a_divergence_is_a_result(
    run: Run, bench: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = bench.train_language, 0

    def train(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise NotANumber("at step 7")
        return real(*arguments, **options)

    monkeypatch.setattr(bench, "train_language", train)
    found = run("--budgets", "tokens")["rows"]["grouped-2"]["tokens"]
    assert (found["loss"], found["difference"]) == ([None], None)
    assert found["original_loss"][0] > 0


def test_minutes_become_tokens_and_seeds_a_spread(run: Run) -> None:
    options = ("--tokens", "0", "--minutes", "0.001", "--seeds", "2", "--budgets", "tokens")
    found = run(*options)
    assert found["tokens"] % 512 == 0 and found["tokens"] > 0
    assert len(found["rows"]["grouped-2"]["tokens"]["loss"]) == 2
    assert found["rows"]["grouped-2"]["tokens"]["spread"] >= 0


@pytest.mark.parametrize("model", ["gpt2-mini", "gpt2-midi"])
def test_every_row_fits_all_its_sites(bench: ModuleType, model: str) -> None:
    known = models.info(model)
    with torch.device("meta"):
        found = find_sites(models.build(model), known.example_input().to("meta"))
    for row in bench.ROWS.values():
        op = parse(row.text)
        for site in select_sites(found, row.sites or known.sites):
            sizes = sizes_at(op, site, row.sizes(known_width(found)))
            assert math.prod(op.output_shape(sizes)) == site.sizes["N"] * site.sizes["C_out"]
            assert op.weight_shapes(sizes)


def known_width(sites: list[Site]) -> int:
    return sites[0].sizes["C_in"]
