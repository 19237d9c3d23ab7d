"""The page about a study: honest, complete, self-contained, and there even for an empty study."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import syno
from syno.ir.errors import FileError, StudyError
from syno.report.figures import headline, outcomes, signed
from syno.report.page import write_report
from syno.run.study import Study, open_study
from syno.search.outcome import Failed, Outcome, Pruned, Scored, TimedOut

HOSTILE = '<script>alert("x")</script>'
POINTWISE = str(syno.parse("y[n,o,h,w] = sum[c:C_in] x[n,c,h,w] * w1[o,c]"))
SHIFTED = str(syno.parse("y[n,o,h,w] = sum[c:C_in] x[n,c,(h+1)%H,w] * w1[o,c]"))
TALL = str(syno.parse("y[n,o,h,w] = sum[c:C_in,a:k] x[n,c,h+a-k//2,w] * w1[o,c] * w2[c,a]"))
SLOW = str(syno.parse("y[n,o,h,w] = sum[c:C_in,r:C_out] x[n,c,h,w] * w1[o,r] * w2[r,c]"))
SITES = [
    {"name": "layer1", "sizes": {"N": 1, "C_in": 8, "C_out": 8, "H": 6, "W": 6}},
    {"name": "layer2", "sizes": {"N": 1, "C_in": 16, "C_out": 16, "H": 6, "W": 6}},
]
RECIPE = {"epochs": 4, "batch_size": 64}


def latency(ratio: float, mode: str = "eager") -> dict[str, Any]:
    """Return a comparison as the latency measurement writes it."""
    spread = {"ratio": ratio, "ratio_low": ratio - 0.11, "ratio_high": ratio + 0.13}
    times = {"original_ms": 2.0, "candidate_ms": 2.0 / ratio}
    return {"mode": mode, **times, **spread, "rounds": 9, "threads": 1, "batch": 1}


def scored(accuracy: float, ratio: float, flops: int = 4_000) -> Scored:
    return Scored(accuracy, ratio, flops, 1_234, {"latency": latency(ratio)})


OUTCOMES: list[tuple[str, Outcome]] = [
    (POINTWISE, scored(0.9321, 2.37, 3_210)),
    (SHIFTED, scored(0.9475, 1.83)),
    (TALL, scored(0.9411, 1.52)),
    (SLOW, Pruned("only 0.83 times as fast as the original")),
    (SLOW, Pruned("only 0.91 times as fast as the original")),
    (SLOW, Failed("out_of_memory", "more than 6000 MB\nsecond line")),
    (SLOW, Failed("error", "boom <b>")),
    (SLOW, TimedOut(30.0)),
]


def question(model: str) -> dict[str, Any]:
    spec = {"name": f"conv2d of {model}", "input": ["N", "C_in"], "output": ["N", "C_out"]}
    machine = {"processor": "Abacus", "cores": 2, "system": "Linux", "python": "3", "torch": "2"}
    coefficients = {"k": 3, "s": 2, "g": 4}
    rest = {"site_flops": 20_000, "recipe": RECIPE, "machine": machine, "workers": 2}
    return {"spec": spec, "sites": SITES, "coefficients": coefficients, **rest}


def begin(path: Path, model: str = "convnet") -> Study:
    identity = {"model": model, "data": "digits", "spec": "abc", "recipe": RECIPE, "batch": 1}
    study = open_study(path, identity)
    study.note("question", question(model))
    return study


def fill(study: Study, rows: list[tuple[str, Outcome]]) -> None:
    baseline = Scored(0.9512, 1.0, 20_000, 5_678)
    study.note("baseline", asdict(baseline))
    for text, outcome in rows:
        study.finish(study.begin(text), outcome)


def confirm(study: Study) -> None:
    seeds = {"baseline": {"1": 0.951, "2": 0.953}, SHIFTED: {"1": 0.947, "2": 0.949}}
    study.note("confirmed", seeds)
    timed = {"eager": latency(1.91), "compile": latency(1.44, "compile")}
    study.note("timed", {SHIFTED: timed})


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """The page of a study with every kind of outcome, and the figures beside it."""
    folder = tmp_path_factory.mktemp("study")
    study = begin(folder / "s.db", HOSTILE)
    fill(study, OUTCOMES)
    confirm(study)
    study.close()
    found = write_report(folder / "s.db", folder / "out" / "page.html")
    assert found["trained"] == 3
    page = Path(found["page"]).read_text(encoding="utf-8")
    return page, json.loads(Path(found["json"]).read_text(encoding="utf-8"))


class Reader(HTMLParser):
    """Collects what a page would load, its tags and its rows of cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.rows: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append("")
        kinds = ("src", "href", "xlink:href", "data", "action")
        self.links += [value or "" for name, value in attrs if name in kinds]

    def handle_data(self, data: str) -> None:
        if self.rows:
            self.rows[-1] += f" {data.strip()}"


def plain(text: str) -> str:
    """Return text with single spaces, and its typographic signs as a keyboard has them."""
    signs = {"\N{MULTIPLICATION SIGN}": "x", "\N{MINUS SIGN}": "-", "\N{EN DASH}": "-"}
    return " ".join(text.split()).translate(str.maketrans(signs))


def test_nothing_is_loaded_from_elsewhere(full: tuple[str, dict[str, Any]]) -> None:
    page = full[0]
    assert all(link.startswith(("#", "data:")) for link in Reader(page).links)
    assert not re.search(r"url\(\s*['\"]?(?!#)", page)
    assert "@import" not in page


def test_links_inside_the_page_lead_somewhere(full: tuple[str, dict[str, Any]]) -> None:
    page = full[0]
    wanted = {link[1:] for link in Reader(page).links if re.match(r"#operator-\d", link)}
    assert wanted == {f"operator-{number}" for number in (0, 1, 2)}
    assert all(f'id="{each}"' in page for each in wanted)


def test_hostile_text_is_escaped(full: tuple[str, dict[str, Any]]) -> None:
    page = full[0]
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert Reader(page).tags.count("script") == 1
    assert "boom &lt;b&gt;" in page


def test_the_baseline_stands_in_the_tables(full: tuple[str, dict[str, Any]]) -> None:
    rows = [row for row in Reader(full[0]).rows if row.split()[:1] == ["original"]]
    assert len(rows) == 2
    assert all("95.12 %" in row and "1.00x" in plain(row) for row in rows)
    assert "95.20 % 2 seeds" in plain(rows[0])


def test_numbers_are_those_of_the_study(full: tuple[str, dict[str, Any]]) -> None:
    page, figures = full
    rows = [plain(row) for row in Reader(page).rows]
    front = next(row for row in rows if row.startswith("#0"))
    assert front.startswith("#0 93.21 % -1.91 2.37x 2.26-2.50 - - - 3.21 k 16 % 1.23 k 22 %")
    found = {row["number"]: row for row in figures["trained"]}
    for number, (text, outcome) in enumerate(OUTCOMES[:3]):
        assert isinstance(outcome, Scored)
        row = found[number]
        assert row["operator"] == text
        assert (row["accuracy"], row["ratio"]) == (outcome.accuracy, outcome.ratio)
        assert (row["flops"], row["parameters"]) == (outcome.flops, outcome.parameters)
        assert row["change"] == pytest.approx(100 * (outcome.accuracy - 0.9512))
    assert [found[number]["on_front"] for number in range(3)] == [True, True, False]


def test_confirmation_is_compared_with_the_original_of_the_same_seeds(
    full: tuple[str, dict[str, Any]],
) -> None:
    page, figures = full
    row = next(row for row in figures["trained"] if row["operator"] == SHIFTED)
    assert row["confirmed"]["mean"] == pytest.approx(0.948)
    assert row["confirmed"]["original"] == pytest.approx(0.952)
    assert row["confirmed"]["change"] == pytest.approx(-0.4)
    assert "94.70 % (seed 1), 94.90 % (seed 2)" in page


def test_the_headline_is_the_fastest_that_held(full: tuple[str, dict[str, Any]]) -> None:
    found = full[1]["headline"]
    assert found["number"] == 1
    assert plain(found["text"]).endswith(
        "1.91 times as fast in plain PyTorch (quartiles 1.80 to 2.04), 1.44 times under "
        "torch.compile, at 94.80 "
        "% validation accuracy against 95.20 %: -0.40 points, the mean of 2 fresh seeds."
    )


def test_outcomes_are_counted_by_kind(full: tuple[str, dict[str, Any]]) -> None:
    found = full[1]["outcomes"]
    counts = {key: found[key] for key in ("candidates", "trained", "pruned", "failed", "timed_out")}
    assert counts == {"candidates": 8, "trained": 3, "pruned": 2, "failed": 2, "timed_out": 1}
    assert found["failed_kinds"] == {"out_of_memory": 1, "error": 1}
    assert found["pruned_reasons"] == {"only … times as fast as the original": 2}


def test_operators_are_drawn_planned_and_written(full: tuple[str, dict[str, Any]]) -> None:
    page, figures = full
    assert page.count('class="sy-graph"') == 3
    assert page.count('class="plot"') == 1
    about = figures["operators"]["2"]
    assert about["site"]["name"] == "layer2"
    assert about["code"].startswith("import torch")
    assert [each["name"] for each in about["by_site"]] == ["layer1", "layer2"]
    assert "graph" not in about
    assert '<span class="k">def</span>' in page


def test_the_page_says_how_it_was_measured(full: tuple[str, dict[str, Any]]) -> None:
    text = " ".join(full[0].split())
    for words in ("The test set was not touched", "interleaved", "one thread", "median", "Abacus"):
        assert words in text
    assert "epochs=4, batch_size=64" in text


def test_a_study_without_anything_still_has_a_page(tmp_path: Path) -> None:
    identity = {"model": "convnet", "data": "digits"}
    open_study(tmp_path / "s.db", identity).close()
    found = write_report(tmp_path / "s.db", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert found["headline"]["text"].startswith("Nothing has been measured yet")
    assert "has not been trained yet" in page
    assert "No candidate has been evaluated yet" in page


def test_a_study_with_a_baseline_alone_says_so(tmp_path: Path) -> None:
    study = begin(tmp_path / "s.db")
    fill(study, [])
    study.close()
    found = write_report(tmp_path / "s.db", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "95.12 % on validation; no operator has been trained" in found["headline"]["text"]
    assert "No operator has been trained yet" in page
    assert 'class="baseline"' in page
    assert 'class="plot"' not in page


def test_an_operator_that_cannot_be_read_does_not_cost_the_page(tmp_path: Path) -> None:
    study = begin(tmp_path / "s.db")
    fill(study, [("no formula <at all>", scored(0.95, 1.3)), ("", scored(0.94, 1.4))])
    study.close()
    write_report(tmp_path / "s.db", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "no formula &lt;at all&gt;" in page
    assert 'class="sy-graph"' not in page


def test_far_off_operators_are_named_where_the_picture_leaves_them_out(tmp_path: Path) -> None:
    study = begin(tmp_path / "s.db")
    fill(study, [(SHIFTED, scored(0.95, 1.3)), (POINTWISE, scored(0.31, 2.5))])
    study.close()
    write_report(tmp_path / "s.db", tmp_path / "page.html")
    text = " ".join((tmp_path / "page.html").read_text(encoding="utf-8").split())
    assert "1 operator of more than 15 points below the original lies outside" in text


def test_reading_changes_nothing_and_works_while_a_search_has_the_study(tmp_path: Path) -> None:
    study = begin(tmp_path / "s.db")
    fill(study, OUTCOMES[:1])
    try:
        write_report(tmp_path / "s.db", tmp_path / "page.html")
        study.finish(study.begin(SHIFTED), scored(0.94, 1.2))
        assert len(study.records()) == 2
    finally:
        study.close()


def test_no_study_is_a_study_error(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no study"):
        write_report(tmp_path / "none.db", tmp_path / "page.html")


def test_what_cannot_be_written_is_a_file_error(tmp_path: Path) -> None:
    begin(tmp_path / "s.db").close()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="could not be written"):
        write_report(tmp_path / "s.db", tmp_path / "file" / "page.html")
    with pytest.raises(FileError, match=r"ends in \.html"):
        write_report(tmp_path / "s.db", tmp_path / "page.json")


def test_importing_the_page_loads_no_torch() -> None:
    code = "import sys, syno.report.page; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def row(**figures: Any) -> dict[str, Any]:
    base = {"number": 3, "accuracy": 0.94, "change": -1.2, "ratio": 1.5, "confirmed": None}
    plain = {"ratio_low": None, "ratio_high": None, "mode": "eager", "timed": {}}
    return {**base, **plain, **figures}


BASELINE = {"accuracy": 0.952, "flops": 10, "parameters": 10, "confirmed": None}


def test_a_headline_without_confirmation_says_so() -> None:
    text = headline("net", BASELINE, [row(change=-0.5)])["text"]
    assert "not yet confirmed with fresh seeds" in text
    assert text.startswith("Operator #3 makes net 1.50 times as fast in plain PyTorch, at 94.00 %")


def test_a_headline_admits_that_nothing_came_close() -> None:
    found = headline("net", BASELINE, [row(), row(number=4, change=-3.0)])
    assert found["text"].startswith("No operator came within 1 point of the original. The nearest")
    assert found["number"] == 3


def test_fresh_seeds_outrank_the_lucky_one() -> None:
    sure = {"mean": 0.93, "original": 0.95, "change": -2.0, "count": 2}
    found = headline("net", BASELINE, [row(change=0.4, confirmed=sure), row(number=5, change=-0.9)])
    assert found["number"] == 5


def test_the_mode_of_the_search_is_the_one_that_counts() -> None:
    timed = {"eager": latency(1.1), "compile": latency(1.6, "compile")}
    found = headline("net", BASELINE, [row(change=-0.5, mode="compile", timed=timed)])
    assert found["ratio"] == 1.6
    assert "1.60 times as fast under torch.compile" in found["text"]
    assert "1.10 times in plain PyTorch" in found["text"]


def test_exactly_one_point_is_within_one_point(tmp_path: Path) -> None:
    assert 100 * (0.9412 - 0.9512) < -1  # as floats have it
    study = begin(tmp_path / "s.db")
    fill(study, [(TALL, scored(0.9412, 1.5))])
    study.close()
    found = write_report(tmp_path / "s.db", tmp_path / "page.html")
    assert found["headline"]["text"].startswith("Operator #0 makes")


def test_no_outcomes_are_no_outcomes() -> None:
    assert outcomes([])["candidates"] == 0


@pytest.mark.parametrize(
    ("points", "text"), [(0.278, "+0.28"), (-0.278, "-0.28"), (-0.001, "0.00"), (0.0, "0.00")]
)
def test_points_have_a_sign(points: float, text: str) -> None:
    assert plain(signed(points)) == text
