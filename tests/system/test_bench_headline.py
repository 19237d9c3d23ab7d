"""The headline benchmark at its smallest: killed and gone on with, its cells, its table."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from commands import until

from syno.evaluate import fidelities
from syno.evaluate import teacher as teachers
from syno.evaluate.assignment import groups, parse_selection
from syno.evaluate.fidelities import LadderSettings
from syno.evaluate.fit import FitSettings
from syno.evaluate.language import Point
from syno.evaluate.models import build, info
from syno.evaluate.packages import cache_folder
from syno.evaluate.training import NotANumber
from syno.nn.sites import find_sites
from syno.run.lock import lock_beside

BENCH = Path(__file__).resolve().parents[2] / "bench"
ROW = "grouped-convolution-g-4-k-3"
SETTING = "2-epochs-cpu-float32-random"
SHORT = "0.2-epochs-cpu-float32"

Run = Callable[..., Path]
Cell = dict[str, Any]


def command(folder: Path, *options: str) -> list[str]:
    script = str(BENCH / "headline.py")
    return [sys.executable, script, "--quick", "--epochs", "2", "--folder", str(folder), *options]


def unhindered(folder: Path) -> dict[str, str]:
    """An environment in which trainings do not hold while somebody times on this machine."""
    return {**os.environ, "TMPDIR": str(folder)}


def finish(words: list[str], folder: Path) -> str:
    """Run a command to its end and return what it tells."""
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env=unhindered(folder)
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def read(file: Path) -> Cell:
    found: Cell = json.loads(file.read_text())
    return found


def aside() -> list[Path]:
    """What lies in the cache of the row's trainings."""
    return [*cache_folder().glob(f"headline/convnet-{ROW}-*")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a quick run that was killed in the first training of its row."""
    folder = tmp_path_factory.mktemp("headline")
    options: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    options |= {"start_new_session": True, "env": unhindered(folder)}
    with subprocess.Popen(command(folder), **options) as process:
        begun = until(lambda: any(each.suffix == ".pt" for each in aside()), 240)
        os.killpg(process.pid, signal.SIGKILL)
    assert begun, "no checkpoint was written"
    assert not (folder / "convnet" / ROW / f"{SETTING}-seed-0.json").exists()
    finish(command(folder), folder)
    return folder


@pytest.mark.timeout(600)  # the first of them runs the command twice, and each fills a core
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
class TestKilled:
    def test_all_cells_are_made_and_nothing_is_left_aside(self, finished: Path) -> None:
        seeds = {f"{SETTING}-seed-{seed}.json" for seed in (0, 1)}
        rows = {each.name: {file.name for file in each.iterdir()} for each in finished.glob("*/*")}
        own = {"latency-torch.json", "programs-cpu-float32.json"}
        assert rows == {"original": seeds, ROW: seeds | own}
        assert aside() == []

    def test_a_cell_says_how_it_was_made(self, finished: Path) -> None:
        cell = read(finished / "convnet" / ROW / f"{SETTING}-seed-1.json")
        identity = cell["identity"]
        assert (identity["model"], identity["data"], identity["seed"]) == ("convnet", "digits", 1)
        assert identity["recipe"]["epochs"] == 2 and identity["recipe"]["ema"] > 0
        assert 0 < cell["test_accuracy"] <= 1 and cell["result"]["steps"] == 32
        assert len(cell["result"]["validation_history"]) == 2
        assert cell["processor_seconds"] > 0 and cell["result"]["seconds"] > 0
        assert cell["commit"] and cell["date"] and cell["machine"]["processor"]
        assert cell["versions"]["torch"]

    def test_the_same_programs_end_at_the_same_last_bit(
        self, finished: Path, tmp_path: Path
    ) -> None:
        """What was killed and what was not."""
        programs = Path("convnet", ROW, "programs-cpu-float32.json")
        (tmp_path / programs).parent.mkdir(parents=True)
        shutil.copy(finished / programs, tmp_path / programs)
        finish(command(tmp_path, "--seeds", "1", "--backends"), tmp_path)
        for row in ("original", ROW):
            file = Path("convnet", row, f"{SETTING}-seed-0.json")
            one, two = read(finished / file), read(tmp_path / file)
            for cell in (one, two):
                del cell["date"], cell["commit"], cell["processor_seconds"]
                del cell["result"]["seconds"]
            assert one == two

    def test_the_table_has_what_the_cells_have(self, finished: Path) -> None:
        (group,) = read(finished / "headline.json")["groups"]
        plain, row = group["rows"]
        assert (plain["name"], row["name"]) == ("original", ROW)
        cell = read(finished / "convnet" / ROW / f"{SETTING}-seed-1.json")
        assert row["test_accuracy"]["1"] == cell["test_accuracy"]
        assert row["parameters"] < plain["parameters"] / 3
        timed = read(finished / "convnet" / ROW / "latency-torch.json")["latency"]
        assert row["latency"][0]["ratio"] == timed["ratio"]  # how much is the machine's business
        page = (finished / "README.md").read_text()
        assert "## convnet on digits: 2 of 40 epochs" in page
        assert "**A short training: 2 of the recipe's 40 epochs.**" in page
        assert "report no accuracy on CIFAR-10" in page
        assert f"| {100 * row['mean']:.2f} ± {100 * row['deviation']:.2f} |" in page

    def test_its_commands_find_every_cell_finished(self, finished: Path) -> None:
        line = next(
            line
            for line in (finished / "README.md").read_text().splitlines()
            if line.startswith("python bench/headline.py --model")
        )
        script = str(BENCH / "headline.py")
        again = [sys.executable, script, *shlex.split(line)[2:], "--folder", str(finished)]
        told = finish([*again, "--rounds", "3"], finished)
        assert told.count("was finished") == 5 and "begins" not in told


# ------------------------------------------------------------------------------------- in process


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH))
        yield importlib.import_module("headline")


@pytest.fixture
def run(bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Three steps in this process, nothing tuned; it returns the folder of the model."""
    monkeypatch.setattr(bench, "tune_for_training", lambda *_given, **_options: None)
    monkeypatch.setattr(bench, "wait_for_quiet", lambda: None)

    def call(*options: str, epochs: str = "0.2") -> Path:
        words = ["--quick", "--epochs", epochs, "--folder", str(tmp_path), "--seeds", "1"]
        words += ["--language", str(tmp_path / "nowhere")]
        monkeypatch.setattr(sys, "argv", ["headline", *words, "--backends", *options])
        bench.main()
        return tmp_path / "convnet"

    return call


def test_a_finished_cell_is_not_made_again_and_a_longer_one_stands_beside(run: Run) -> None:
    folder = run("--name")
    first = {file: file.read_text() for file in folder.rglob("*.json")}
    run("--name")
    assert {file: file.read_text() for file in folder.rglob("*.json")} == first
    run("--name", epochs="0.3")
    names = {file.name for file in (folder / "original").iterdir()}
    assert names == {f"{n}-epochs-cpu-float32-random-seed-0.json" for n in ("0.2", "0.3")}
    groups = read(folder.parent / "headline.json")["groups"]
    assert [group["recipe"]["epochs"] for group in groups] == [0.2, 0.3]


def test_a_cell_of_another_recipe_is_not_mixed_in(run: Run) -> None:
    file = run("--name") / "original" / f"{SHORT}-random-seed-0.json"
    cell = read(file)
    cell["identity"]["recipe"]["learning_rate"] = 0.3
    file.write_text(json.dumps(cell))
    with pytest.raises(SystemExit, match=r"another experiment: its recipe is .*--folder"):
        run("--name")


def test_what_another_process_is_at_is_left_to_it(
    run: Run, bench: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: list[Path] = []
    honest = bench.lock_beside
    monkeypatch.setattr(bench, "lock_beside", lambda path: here.append(path) or honest(path))
    folder = run("--name")
    made = folder / "original" / f"{SHORT}-random-seed-0.json"
    made.unlink()
    with lock_beside(here[0]), pytest.raises(SystemExit, match="no cells"):
        run("--name")
    assert not made.exists()
    run("--name")
    assert made.exists()


def test_the_test_set_is_opened_once_for_each_training(
    run: Run, bench: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = bench.data_for("convnet", "digits")
    monkeypatch.setattr(bench, "data_for", lambda *_: splits)
    run("--seeds", "2")
    setting = f"{SHORT}, random, seed"
    assert splits.test_reads == [
        f"headline: {row}, {setting} {seed}" for seed in (0, 1) for row in ("original", ROW)
    ]


def test_a_divergence_is_a_result(
    run: Run, bench: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = bench.train

    def train(network: Any, *given: Any, **options: Any) -> Any:
        if any(isinstance(each, bench.SynthesizedOperator) for each in network.modules()):
            raise NotANumber("at step 7")
        return real(network, *given, **options)

    monkeypatch.setattr(bench, "train", train)
    folder = run()
    row = read(folder.parent / "headline.json")["groups"][0]["rows"][1]
    assert (row["failed"], row["mean"], row["difference"]) == ({"0": "at step 7"}, None, None)
    assert "(diverged: 1 of 1)" in (folder.parent / "README.md").read_text()


def test_a_fitted_start_is_a_row_of_its_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    short = {name: replace(r, epochs=0.5) for name, r in teachers.TEACHER_RECIPES.items()}
    monkeypatch.setattr(teachers, "TEACHER_RECIPES", short)
    little = LadderSettings(FitSettings(positions=512, images=16, sweeps=1, iterations=2), 50)
    monkeypatch.setattr(fidelities, "LADDERS", {"digits": little})
    monkeypatch.setattr(fidelities, "tune_for_training", lambda *_given, **_options: None)
    folder = run("--start", "random", "fitted")
    plain, row, fitted = read(folder.parent / "headline.json")["groups"][0]["rows"]
    assert [each["start"] for each in (plain, row, fitted)] == ["random", "random", "fitted"]
    cell = read(folder / ROW / f"{SHORT}-fitted-seed-0.json")
    assert cell["identity"]["recipe"]["distillation"] > 0
    assert "the original has no such help" in (folder.parent / "README.md").read_text()
    kept = [file for file in aside() if "fitted" in file.name]
    assert len(kept) == 1  # the weights, so that a cell made again begins with them
    kept[0].unlink()


def test_an_assignment_is_a_row_with_its_file(run: Run, tmp_path: Path) -> None:
    sites = find_sites(build("convnet"), info("convnet").example_input())
    first = groups(sites)[1].name
    chosen = parse_selection(f"{first}: grouped-convolution g=4 k=3", sites)
    file = tmp_path / "given.json"
    file.write_text(json.dumps(chosen.to_dict()))
    folder = run("--name", "--assignment", str(file))
    (row,) = (each for each in folder.iterdir() if each.name.startswith("assignment-"))
    assert read(row / "assignment.json") == chosen.to_dict()
    page = (tmp_path / "README.md").read_text()
    assert str(chosen) in page and f"--assignment {row}/assignment.json" in page


def test_an_operator_may_be_a_formula_with_sizes(run: Run) -> None:
    formula = "y[n,o,h,w] = sum[c:C_in/q] x[n, (o // (C_out/q))*(C_in/q) + c, h, w] * w1[o,c]"
    folder = run("--name", "--operator", formula, "--size", "q=8")
    (row,) = (each for each in folder.iterdir() if each.name.startswith("formula-"))
    text = read(row / f"{SHORT}-random-seed-0.json")["identity"]["row"]
    assert "C_in/8" in text and "q" not in text
    assert text in (folder.parent / "README.md").read_text()


def test_an_estimate_makes_no_cell(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run("--name", "--estimate", "--seeds", "3")
    assert not folder.exists()
    assert re.search(r"original: \d+ images/s; .* h for 3 seeds", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "choose a --model"),
        (("--model", "convnet", "--device", "cuda", "--backends", "torch"), "only the processor"),
    ],
)
def test_options_that_make_no_sense_are_told(
    bench: ModuleType, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        bench.read_options(words)
    assert message in capsys.readouterr().err


def test_on_cuda_the_default_is_bfloat16_and_no_timing(bench: ModuleType) -> None:
    options = bench.read_options(["--model", "resnet20", "--device", "cuda:1"])
    assert options.backends == []
    recipe = bench.recipe_of(options)
    assert (recipe.precision, recipe.epochs) == ("bfloat16", 100)
    options = bench.read_options(["--model", "resnet20", "--epochs", "10"])
    assert bench.recipe_of(options).precision == "float32"
    assert options.backends == ["torch", "inductor"]


@pytest.mark.parametrize("model", ["gpt2", "nosuch"])
def test_a_model_without_data_is_told(run: Run, model: str) -> None:
    with pytest.raises(SystemExit, match="error: There is no"):
        run("--model", model)


# ------------------------------------------------------------------------------------- the table


@pytest.fixture(scope="module")
def table(bench: ModuleType) -> ModuleType:
    return sys.modules["headline_table"]


def training(name: str, seed: int, accuracy: float, **changes: Any) -> Cell:
    recipe = {"epochs": 100.0, "precision": "float32", "distillation": 0.0}
    identity = {"kind": "training", "model": "resnet20", "data": "cifar10", "row": name}
    identity |= {"setting": "100-epochs-cpu-float32", "start": "random", "seed": seed}
    return {
        "identity": {**identity, "recipe": recipe},
        "name": name,
        "folder": f"resnet20/{name}",
        "test_accuracy": accuracy,
        "result": {"validation_accuracy": accuracy, "seconds": 7200.0},
        "processor_seconds": 5400.0,
        "parameters": 270_000,
        "multiply_adds": 41_000_000,
        "replaced": 18,
        "left_alone": {},
        "commit": "abc",
        "date": "2026-01-02T03:04:05",
        "machine": {"processor": "P", "accelerator": None, "torch": "2"},
        **changes,
    }


def test_the_difference_has_its_standard_error(table: ModuleType) -> None:
    original = [training("original", n, each) for n, each in enumerate((0.90, 0.91, 0.92))]
    row = [training("row", n, each) for n, each in enumerate((0.89, 0.89, 0.92))]
    group = table.summary([*row, *original])
    assert [each["name"] for each in group["rows"]] == ["original", "row"]
    found = group["rows"][1]
    assert found["mean"] == pytest.approx(0.90)
    assert found["deviation"] == pytest.approx(0.0173205, abs=1e-6)
    assert found["difference"]["mean"] == pytest.approx(-0.01)
    wanted = ((0.01**2 + 0.0173205**2) / 3) ** 0.5
    assert found["difference"]["standard_error"] == pytest.approx(wanted, abs=1e-6)
    page = table.section(group)
    assert "| row | 90.00 ± 1.73 | 89.00 89.00 92.00 | -1.00 ± 1.15 | 270.0 k (100 %) |" in page
    assert "1.5 h (2.0 h) |" in page and "The full recipe." in page


def test_one_seed_has_no_spread(table: ModuleType) -> None:
    group = table.summary([training("original", 0, 0.9), training("row", 0, 0.8)])
    assert group["rows"][1]["difference"] == {
        "mean": pytest.approx(-0.1),
        "standard_error": None,
    }
    assert "| 80.00 | 80.00 | -10.00 |" in table.section(group)


def test_rows_of_two_recipes_are_not_compared(table: ModuleType) -> None:
    other = training("row", 0, 0.8)
    other["identity"]["recipe"]["learning_rate"] = 1.0
    with pytest.raises(table.SynoError, match="do not agree"):
        table.summary([training("original", 0, 0.9), other])


def test_layers_that_were_left_alone_are_told(table: ModuleType) -> None:
    row = training("row", 0, 0.8, left_alone={"layer1.0.conv1": "the reason"}, replaced=17)
    page = table.section(table.summary([training("original", 0, 0.9), row]))
    assert "row fits 17 of 18 layers." in page


def test_the_table_takes_what_the_benchmark_of_language_writes(
    table: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    language = importlib.import_module("language")
    steps = {"original_ms": 2.0, "candidate_ms": 1.0, "ratio": 2.0}
    steps |= {"ratio_low": 1.9, "ratio_high": 2.1, "rounds": 3}
    curve = [asdict(Point(tokens, float(tokens), 8.0, 8.0)) for tokens in (0, 9)]
    plain, row = (
        [
            {
                "parameters": count,
                "result": {"validation_loss": loss, "seconds": 9.0, "curve": curve},
            }
        ]
        for count, loss in ((4_000_000, 5.0), (3_000_000, 4.9))
    )
    rows = {"grouped-2": {"tokens": language.compared(plain, row), "steps": steps}}
    answer = {"model": "gpt2-mini", "tokens": 9, "seeds": 1, "rows": rows}
    answer |= {"recipe": {}, **language.circumstances()}
    file = tmp_path / "language" / "gpt2-mini" / "summary.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(answer))
    page = table.write_table(tmp_path, tmp_path / "language")
    wanted = "| grouped-2 | 2.00 (1.90 to 2.10) | 3.00 M (75 %) | not trained | -0.100 |"
    assert "## gpt2-mini on text" in page and wanted in page
    assert (tmp_path / "README.md").read_text() == page


def test_without_cells_there_is_no_table(table: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(table.SynoError, match="no cells"):
        table.write_table(tmp_path, tmp_path)
