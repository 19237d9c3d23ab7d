"""The table of measured operators: reading it, searching it, and what is computed from it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from math import isclose, log
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from synthetic_table import BASELINE, write_table
from tabulated import TABULATED, candidates

from syno.ir.errors import DataError
from syno.ir.operator import Operator
from syno.run.ladder import Climb
from syno.search.front import hypervolume
from syno.search.outcome import Failed, Scored
from syno.search.protocol import Guided
from syno.search.registry import STRATEGIES
from syno.search.reward import Reward
from syno.space.space import SynthesisSpace
from syno.space.specs import named_spec
from syno.testing.contracts import (
    CONTRACT,
    Factory,
    Subsets,
    Tree,
    finds_a_signal_sooner_than_chance,
    repeats_itself_elsewhere,
)
from syno.testing.objectives import operators
from syno.testing.tabular import (
    COLUMNS,
    Front,
    Row,
    Table,
    TableSpace,
    climb,
    correlation,
    evaluations_to,
    order_asked,
    outcome_of,
    read_table,
    seconds_to,
    top_found,
    train_all,
)

SPEC = named_spec("conv1d").up_to(6)
COUNT = 60
CLAUSES = [clause for clause in CONTRACT if clause is not repeats_itself_elsewhere]  # seconds each


@cache
def drawn() -> tuple[Operator, ...]:
    """Return operators of the spec that its space knows moves to."""
    space, known = operators("conv1d", 6)
    return tuple(Random(0).sample([op for op in known if space.trace(op)], COUNT))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("table"), SPEC, drawn())


@pytest.fixture(scope="module")
def table(file: Path) -> Table:
    return read_table(file)


@pytest.fixture(scope="module")
def space() -> TableSpace:
    return TableSpace(SynthesisSpace(SPEC), drawn())


def row(accuracy: float, ratio: float, **more: float) -> Row:
    counts = {"flops": 1.0, "parameters": 1.0}
    return Row(drawn()[0], {"long_accuracy": accuracy, "ratio": ratio, **counts, **more})


# ---------------------------------------------------------------------------------------- reading


def test_a_table_is_read_as_it_was_written(table: Table) -> None:
    assert [each.operator for each in table.rows] == list(drawn())
    assert table.provenance == {"model": "conv1d"}
    assert table.original("long_accuracy") == BASELINE["long_accuracy"]
    assert table.rows[1]["long_seconds"] == 600.0


def test_empty_cells_are_no_values(table: Table) -> None:
    assert len(table.with_all("long_accuracy")) == COUNT
    assert len(table.with_all("longer_accuracy", "long_accuracy_1")) == COUNT * 4 // 5
    with pytest.raises(DataError, match=r"longer_accuracy of (.|\n)* was not measured"):
        table.rows[0]["longer_accuracy"]
    with pytest.raises(DataError, match="naswot of the original was not measured"):
        table.original("naswot")


def test_a_column_that_does_not_exist_is_told_with_those_that_do(table: Table) -> None:
    with pytest.raises(DataError, match=r"no column 'accuracy'; known are: flops, .*gradient_norm"):
        table.rows[0]["accuracy"]


def rewritten(file: Path, tmp_path: Path, change: Callable[[str], str]) -> Path:
    other = tmp_path / "operators.csv"
    other.write_text(change(file.read_text()))
    (tmp_path / "table.json").write_text(file.with_name("table.json").read_text())
    return other


def doubled(text: str) -> str:
    return text + text.partition("failure\n")[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("600.0", "long", 1), r"line \d+: long_seconds is not a number"),
        (lambda text: text.replace("600.0", "nan", 1), "leave the cell empty"),
        (lambda text: text.replace(" -> ", " => ", 1), r"operators.csv, line \d+: "),
        (lambda text: text.replace("naswot", "other"), "lacks the columns naswot"),
        (lambda text: text.rstrip()[:-20], "not as many cells"),
        (doubled, "stands in the table twice"),
    ],
)
def test_what_is_wrong_in_a_table_is_said_with_its_line(
    file: Path, tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_table(rewritten(file, tmp_path, change))


def test_further_columns_are_passed_over(file: Path, tmp_path: Path, table: Table) -> None:
    more = rewritten(file, tmp_path, lambda text: text.replace("failure\n", "failure,note\n", 1))
    lines = more.read_text().replace(",\n", ",,seen\n")
    more.write_text(lines)
    assert read_table(more).rows == table.rows


def test_a_table_needs_its_description(file: Path, tmp_path: Path) -> None:
    other = rewritten(file, tmp_path, str)
    for text, message in (("{", "is not JSON"), ("{}", "has no 'baseline'")):
        (tmp_path / "table.json").write_text(text)
        with pytest.raises(DataError, match=message):
            read_table(other)
    (tmp_path / "table.json").unlink()
    with pytest.raises(DataError, match="needs its description"):
        read_table(other)
    (tmp_path / "table.json").write_text(json.dumps({"baseline": {}}))
    with pytest.raises(DataError, match="cannot be read"):
        read_table(tmp_path / "nothing.csv")


# ---------------------------------------------------------------------------------------- the space


def test_every_operator_of_the_table_is_reached_and_no_other(space: TableSpace) -> None:
    assert isinstance(space, Guided)
    assert space.operators == drawn() and not space.unreached
    assert set(candidates(space)) == set(drawn())
    for op in drawn():
        state = space.root()
        for move in space.trace(op):
            assert space.result(state) is None
            assert move in space.moves(state)
            state = space.apply(state, move)
        assert space.result(state) == op and not space.moves(state)


def test_it_has_all_moves_between_its_states() -> None:
    table = TableSpace(Subsets(4, 2), [("n0", "n1"), ("n2", "n1")])
    assert [move.word for move in table.moves(table.root())] == ["n0", "n2"]
    both = TableSpace(Subsets(4, 2), [("n0", "n1"), ("n1", "n2"), ("n0", "n2")])
    ways = {
        (one.word, two.word)
        for one in both.moves(both.root())
        for two in both.moves(both.apply(both.root(), one))
        if both.result(both.apply(both.apply(both.root(), one), two)) == ("n0", "n1")
    }
    assert ways == {("n0", "n1"), ("n1", "n0")}


def test_rollouts_arrive_and_are_uniform_over_the_candidates_below() -> None:
    leaves = [*(("0a", f"1{letter}") for letter in "abcdefghi"), ("0b", "1a")]
    table, rng = TableSpace(Tree((2, 9)), leaves), Random(0)
    found = Counter(table.result(table.roll_out(table.root(), rng)[-1]) for _ in range(2_000))
    assert set(found) == set(leaves)
    assert all(140 < count < 260 for count in found.values())  # 200, within 4.5 deviations
    below = table.apply(table.root(), table.moves(table.root())[1])
    end = table.roll_out(below, rng)
    assert [table.result(each) for each in end] == [("0b", "1a")]
    assert table.roll_out(end[-1], rng) == []


def test_what_the_space_does_not_reach_is_kept_apart() -> None:
    table = TableSpace(Tree((2, 2)), [("0a", "1a"), ("nowhere",)])
    assert table.operators == (("0a", "1a"),) and table.unreached == (("nowhere",),)
    assert not table.trace(("nowhere",))


def test_one_candidate_under_two_names_is_refused() -> None:
    with pytest.raises(DataError, match="are one candidate"):
        TableSpace(Subsets(3, 2), [("n0", "n1"), ("n1", "n0")])


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.__name__)
@pytest.mark.parametrize("name", sorted(TABULATED))
def test_strategies_keep_their_contract_on_tables(
    name: str, clause: Callable[[Factory], None]
) -> None:
    clause(TABULATED[name])


def test_a_search_of_a_table_is_the_same_in_other_processes() -> None:
    repeats_itself_elsewhere(TABULATED["mcts"])


@pytest.mark.parametrize("name", sorted(set(TABULATED) - {"random"}))
def test_strategies_learn_on_tables(name: str) -> None:
    finds_a_signal_sooner_than_chance(TABULATED[name])


def test_every_strategy_is_tried_on_tables() -> None:
    assert TABULATED.keys() == STRATEGIES.keys()


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_search_asks_for_the_whole_table_and_repeats_itself(
    name: str, space: TableSpace, table: Table
) -> None:
    rows: dict[object, Row] = {each.operator: each for each in table.rows}
    one, two, other = (order_asked(STRATEGIES[name], space, rows, 0.8, s) for s in (0, 0, 1))
    assert {each.operator for each in one} == set(drawn())
    assert len(one) == COUNT
    assert one == two != other


def test_a_row_is_an_outcome() -> None:
    assert outcome_of(row(0.7, 1.5)) == Scored(0.7, 1.5, 1, 1)
    assert outcome_of(row(0.7, 1.5, longer_accuracy=0.9), "longer_accuracy") == Scored(
        0.9, 1.5, 1, 1
    )
    assert outcome_of(row(0.7, 1.5), "longer_accuracy") == Failed("error", "not measured")
    assert outcome_of(Row(drawn()[0], {}, "no memory")) == Failed("error", "no memory")


# ----------------------------------------------------------------------------------------- fronts

POINTS = st.lists(st.tuples(st.integers(-2, 8), st.integers(-2, 8)), max_size=12)


@given(POINTS, st.tuples(st.integers(-1, 3), st.integers(-1, 3)))
def test_the_hypervolume_is_the_number_of_cells_that_are_dominated(
    points: list[tuple[int, int]], reference: tuple[int, int]
) -> None:
    cells = [(x, y) for x in range(reference[0], 9) for y in range(reference[1], 9)]
    covered = sum(any(x < a and y < b for a, b in points) for x, y in cells)
    assert hypervolume(points, reference) == covered


def test_a_front_counts_what_is_faster_and_not_much_less_accurate() -> None:
    front = Front(0.8)
    assert front.lost == pytest.approx(0.15)
    assert front.covered([row(0.9, 1.0), row(0.65, 4.0), row(0.4, 9.0)]) == 0.0
    assert front.covered([row(0.75, 2.0)]) == pytest.approx(0.1 * log(2))
    both = front.covered([row(0.75, 2.0), row(0.70, 4.0)])
    assert both == pytest.approx(0.1 * log(2) + 0.05 * log(2))


def test_growth_is_what_the_rows_so_far_cover(table: Table) -> None:
    front = Front(0.8)
    growth = front.growth(table.rows)
    assert all(one <= two for one, two in pairwise(growth))
    for count in (1, 7, COUNT):
        assert isclose(growth[count - 1], front.covered(table.rows[:count]))
    assert evaluations_to(growth, growth[-1]) == growth.index(growth[-1]) + 1
    assert evaluations_to(growth, growth[-1] + 1) is None


# ------------------------------------------------------------------------------------- fidelities


def test_correlations_are_spearmans_and_within_their_interval() -> None:
    rng = Random(0)
    x = [rng.gauss(0, 1) for _ in range(80)]
    y = [each + rng.gauss(0, 1) for each in x]
    found = correlation(x, y)
    assert found.rho == pytest.approx(spearmanr(x, y)[0], abs=1e-4)
    assert found.low is not None and found.rho is not None and found.high is not None
    assert -1 < found.low < found.rho < found.high < 1
    assert 0.15 < found.high - found.low < 0.5
    assert found == correlation(x, y)
    assert found != correlation(x, y, seed=1)
    assert correlation([float("-inf"), *x[1:]], y).rho is not None


def test_too_few_rows_or_no_variation_have_no_correlation() -> None:
    assert correlation([1.0] * 9, [1.0] * 9).rho is None
    assert correlation([1.0] * 20, list(range(20))).rho is None
    almost = correlation([1.0] * 19 + [2.0], list(range(20)))  # some resamples do not vary
    assert almost.n == 20 and almost.rho is not None and almost.low is not None


def test_the_top_is_found_by_what_orders_it_alike() -> None:
    truth = [float(number) for number in range(40)]
    assert top_found(truth, truth, 0.1) == (4, 4)
    assert top_found([-each for each in truth], truth, 0.3) == (0, 4)
    swapped = [*truth[:20], *(truth[20:][::-1])]
    assert top_found(swapped, truth, 0.3) == (0, 4)
    assert top_found(swapped, truth, 0.5) == (4, 4)


# ----------------------------------------------------------------------------------------- ladder


def test_training_all_costs_what_it_took() -> None:
    rows = [row(0.7, 2.0, long_seconds=10.0), row(0.8, 2.0, long_seconds=5.0)]
    found = train_all(rows)
    assert [event.seconds for event in found.events] == [10.0, 15.0] and found.seconds == 15.0
    assert seconds_to(found.events, Front(0.8), 0.1 * log(2)) == 15.0
    assert seconds_to(found.events, Front(0.8), 9.0) is None


def test_a_ladder_pays_for_every_rung_and_trains_what_extends_the_front() -> None:
    costs = {"sample_seconds": 1.0, "fit_seconds": 2.0, "short_seconds": 8.0, "long_seconds": 100.0}
    pairs = [(0.60, 2.0), (0.50, 1.5), (0.62, 2.0), (0.50, 4.0), (0.45, 1.5)]
    rows = [
        row(a, r, sample_residual=(0.65 - a) / 0.3, short_accuracy=a, **costs) for a, r in pairs
    ]
    found = climb(rows, Climb(Reward(0.65), 0.05, batch=1))
    assert [event.row for event in found.events] == [rows[0], rows[2], rows[3]]
    given_up, whole = 1.0 + 2.0 + 8.0, 1.0 + (2.0 + 8.0) + 100.0
    seconds = [event.seconds for event in found.events]
    assert seconds[0] == whole and seconds[2] - seconds[1] == whole
    assert seconds[1] - 2 * whole in (1.0, given_up)
    assert found.seconds - seconds[2] in (1.0, given_up)
    at_once = climb(rows, Climb(Reward(0.65), 0.05))
    assert [event.row for event in at_once.events] == [rows[2], rows[3]]  # the best ones first
    assert at_once.events[0].seconds >= len(rows) + 10.0 + 100.0


def test_every_column_says_what_it_is() -> None:
    assert all(COLUMNS.values())
