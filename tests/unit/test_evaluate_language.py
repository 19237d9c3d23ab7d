"""Training of language models: what is learned, what is recorded, what is told."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from itertools import count, pairwise

import pytest
import torch
from torch import Tensor, nn

from syno.evaluate import language
from syno.evaluate.language import (
    LanguageRecipe,
    LanguageResult,
    Point,
    loss_at,
    loss_on,
    train_language,
    training_step,
    windows,
)
from syno.evaluate.library_models import Gpt2
from syno.evaluate.text import Document, TextSplits, TokenSplit, in_tokens
from syno.evaluate.training import NotANumber
from syno.evaluate.training_steps import compare_steps
from syno.ir.errors import DataError, SynoError

VERSE = "the state of the union is strong and the union of the states is good. "
RECIPE = LanguageRecipe(batch_size=4, length=16, learning_rate=0.02, every=512, probe=64)


@pytest.fixture(scope="module")
def text() -> TextSplits:
    years = {1790: 20, 1793: 20, 1794: 6, 1799: 6}
    return in_tokens("small", [Document(year, VERSE * n) for year, n in years.items()], "bytes")


class Bigrams(nn.Module):
    """The smallest model of a language: a token tells the next."""

    def __init__(self, tokens: int = 257) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.head = nn.Embedding(tokens, 16), nn.Linear(16, tokens)

    def forward(self, tokens: Tensor) -> Tensor:
        scores: Tensor = self.head(self.table(tokens))
        return scores


def trained(text: TextSplits, *, seed: int = 0, **limits: float) -> LanguageResult:
    return train_language(Bigrams(), text, RECIPE, seed=seed, **limits)  # type: ignore[arg-type]


def without_times(result: LanguageResult) -> LanguageResult:
    curve = tuple(replace(point, seconds=0.0) for point in result.curve)
    return replace(result, seconds=0.0, cpu_seconds=0.0, curve=curve)


class TestTraining:
    def test_it_learns(self, text: TextSplits) -> None:
        before = loss_on(Bigrams(), text.validation, RECIPE.length)
        found = trained(text, tokens=12_800)
        assert before == pytest.approx(math.log(257), rel=0.1)
        assert found.validation_loss < 1.5
        assert found.curve[0].train_loss > found.curve[-1].train_loss

    def test_gpt2_learns_too(self, text: TextSplits) -> None:
        model = Gpt2(1, width=16, heads=2, length=16, tokens=257, dropout=0.1)
        found = train_language(model, text, RECIPE, seed=0, tokens=3200)
        assert found.validation_loss < 3.5

    def test_the_seed_fixes_the_result(self, text: TextSplits) -> None:
        first, again = (trained(text, tokens=640) for _ in range(2))
        assert without_times(first) == without_times(again)
        assert trained(text, tokens=640, seed=1).validation_loss != first.validation_loss

    def test_dropout_belongs_to_the_seed_and_leaves_the_global_generator(
        self, text: TextSplits
    ) -> None:
        before, losses = torch.random.get_rng_state(), []
        model = nn.Sequential(Bigrams(), nn.Dropout(0.2))
        torch.random.set_rng_state(before)
        for _ in range(2):
            made = copy.deepcopy(model)
            losses.append(train_language(made, text, RECIPE, seed=3, tokens=256).validation_loss)
        assert losses[0] == losses[1]
        assert torch.equal(before, torch.random.get_rng_state())

    def test_bfloat16_computes_otherwise_and_keeps_the_weights(self, text: TextSplits) -> None:
        model, recipe = Bigrams(), replace(RECIPE, precision="bfloat16")
        found = train_language(model, text, recipe, seed=0, tokens=6400)
        assert found.validation_loss < 2.5
        assert found.validation_loss != trained(text, tokens=6400).validation_loss
        assert {p.dtype for p in model.parameters()} == {torch.float32}

    def test_progress_is_told_in_thousandths(self, text: TextSplits) -> None:
        told: list[tuple[int, int]] = []

        def note(done: int, whole: int) -> None:
            told.append((done, whole))

        train_language(Bigrams(), text, RECIPE, seed=0, tokens=256, on_progress=note)
        assert told == [(0, 1000), (250, 1000), (500, 1000), (750, 1000)]

    def test_the_test_part_is_never_read(self, text: TextSplits) -> None:
        trained(text, tokens=64)
        assert text.test_reads == []


class TestBudget:
    def test_tokens_end_it_with_the_step_that_reaches_them(self, text: TextSplits) -> None:
        found = trained(text, tokens=100)
        assert (found.tokens, found.steps) == (128, 2)

    def test_seconds_end_it(self, text: TextSplits, monkeypatch: pytest.MonkeyPatch) -> None:
        ticks = count()
        monkeypatch.setattr("time.perf_counter", lambda: float(next(ticks)))
        found = trained(text, seconds=3.5)
        assert (found.seconds, found.steps) == (4.0, 4)

    def test_whichever_comes_first_ends_it(self, text: TextSplits) -> None:
        assert trained(text, seconds=60, tokens=64).steps == 1

    @pytest.mark.parametrize("limits", [{}, {"tokens": 0}, {"seconds": math.inf}])
    def test_without_a_budget_nothing_begins(
        self, text: TextSplits, limits: dict[str, float]
    ) -> None:
        with pytest.raises(SynoError, match="give tokens, seconds or both"):
            trained(text, **limits)

    @pytest.mark.parametrize(
        ("seconds", "ticks"), [(None, 100), (60.0, 1000)], ids=["tokens", "seconds"]
    )
    def test_the_schedule_follows_what_is_spent(self, seconds: float | None, ticks: int) -> None:
        budget = language._Budget(None if seconds else 6400, seconds)
        assert budget.ticks(RECIPE) == ticks
        assert budget.spent(3200, 30.0) == 0.5

    def test_the_rate_rises_then_falls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rates: list[float] = []
        real = torch.optim.AdamW.step

        def step(optimizer: torch.optim.AdamW) -> None:
            rates.append(optimizer.param_groups[0]["lr"])
            real(optimizer)

        monkeypatch.setattr(torch.optim.AdamW, "step", step)
        descend = training_step(Bigrams(), RECIPE, 10)
        tokens = torch.zeros(4, 16, dtype=torch.int64)
        for spent in range(10):
            descend(tokens, tokens, spent / 10)
        peak = max(rates)
        assert peak == pytest.approx(RECIPE.learning_rate, rel=0.1)
        assert rates.index(peak) == pytest.approx(2, abs=1)
        falling = rates[rates.index(peak) :]
        assert falling == sorted(falling, reverse=True)
        assert rates[-1] < 0.1 * peak


class TestCurve:
    def test_points_lie_on_a_grid_of_tokens_and_at_the_end(self, text: TextSplits) -> None:
        found = trained(text, tokens=1300)
        assert [point.tokens for point in found.curve] == [512, 1024, 1344]
        assert found.curve[-1].tokens == found.tokens
        times = [point.seconds for point in found.curve]
        assert times == sorted(times) and times[-1] == found.seconds

    def test_seconds_are_those_of_training_alone(
        self, text: TextSplits, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now, real = 0.0, language.loss_on

        def slow(*arguments: object) -> float:
            nonlocal now
            now += 100
            return real(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(language, "loss_on", slow)
        monkeypatch.setattr("time.perf_counter", lambda: now)
        assert trained(text, tokens=640).seconds == 0 and now == 300

    def test_between_points_it_is_a_line_and_after_the_end_the_end(self) -> None:
        curve = [Point(10, 1.0, 0.0, 4.0), Point(20, 3.0, 0.0, 2.0)]
        assert loss_at(curve, seconds=2.0) == 3.0
        assert loss_at(curve, seconds=9.0) == 2.0


class TestLoss:
    def test_it_is_the_mean_over_the_windows(self, text: TextSplits) -> None:
        model, tokens = Bigrams().eval(), text.validation.tokens
        whole = (len(tokens) - 1) // 16 * 16
        scores = model(tokens[None, :whole])[0].detach()
        wanted = nn.functional.cross_entropy(scores, tokens[1 : whole + 1])
        assert loss_on(model, text.validation, 16) == pytest.approx(float(wanted), rel=1e-5)

    def test_the_probe_is_spread_over_the_part(self) -> None:
        tokens = torch.arange(161)
        seen: list[int] = []

        class Watch(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                seen.extend(x[:, 0].tolist())
                return torch.zeros(*x.shape, 200)

        assert loss_on(Watch(), TokenSplit(tokens, 1), 16, 64) == pytest.approx(math.log(200))
        assert seen == [0, 32, 80, 112]

    def test_the_mode_of_the_model_stays(self, text: TextSplits) -> None:
        model = Bigrams().train()
        loss_on(model, text.validation, 16, 32)
        assert model.training

    def test_bits_per_byte_count_the_bytes_of_the_text(self, text: TextSplits) -> None:
        found = trained(text, tokens=64)
        tokens, size = len(text.validation), text.validation.bytes
        assert found.bits_per_byte == pytest.approx(
            found.validation_loss / math.log(2) * tokens / size
        )


class TestWindows:
    def test_targets_are_one_token_later(self, text: TextSplits) -> None:
        inputs, targets = next(windows(text.train, RECIPE, torch.Generator().manual_seed(0)))
        assert inputs.shape == targets.shape == (4, 16)
        assert torch.equal(inputs[:, 1:], targets[:, :-1])

    def test_a_pass_sees_every_window_once(self) -> None:
        split, recipe = TokenSplit(torch.arange(200), 1), replace(RECIPE, batch_size=3)
        batches = windows(split, recipe, torch.Generator().manual_seed(0))
        first = sorted(int(row[0]) for _ in range(3) for row in next(batches)[0])
        gaps = {later - earlier for earlier, later in pairwise(first)}
        assert len(set(first)) == 9 and all(gap % 16 == 0 for gap in gaps)

    def test_a_short_text_is_told(self) -> None:
        short = TokenSplit(torch.arange(10), 10)
        with pytest.raises(DataError, match="10 tokens has no window of 16"):
            next(windows(short, RECIPE, torch.Generator()))
        with pytest.raises(DataError, match="10 tokens has no window of 16"):
            loss_on(Bigrams(), short, 16)


class TestDivergence:
    def test_a_loss_that_explodes_is_told_with_its_step(self, text: TextSplits) -> None:
        class Explodes(Bigrams):
            calls = 0

            def forward(self, tokens: Tensor) -> Tensor:
                self.calls += 1
                return super().forward(tokens) * (math.inf if self.calls == 3 else 1.0)

        with pytest.raises(NotANumber, match="at step 3"):
            train_language(Explodes(), text, RECIPE, seed=0, tokens=6400)

    def test_an_undefined_validation_loss_is_told(self, text: TextSplits) -> None:
        model = Bigrams()
        nn.init.constant_(model.head.weight, math.nan)
        with pytest.raises(NotANumber, match="validation loss"):
            loss_on(model, text.validation, 16)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"batch_size": 0}, "batch_size has to be a number above 0"),
        ({"learning_rate": math.nan}, "learning_rate has to be a number above 0"),
        ({"precision": "float8"}, "one of float32, bfloat16, not 'float8'"),
    ],
)
def test_a_recipe_that_trains_nothing_is_told(change: dict[str, object], told: str) -> None:
    with pytest.raises(SynoError, match=told):
        replace(RECIPE, **change)  # type: ignore[arg-type]


class TestSteps:
    def test_the_ratio_is_of_the_rounds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 0.0

        def step(seconds: float) -> None:
            nonlocal now
            now += seconds

        monkeypatch.setattr("time.perf_counter", lambda: now)
        monkeypatch.setattr("time.process_time", lambda: now / 2)
        found = compare_steps(lambda: step(0.3), lambda: step(0.1), rounds=4)
        assert (found.original_ms, found.candidate_ms) == pytest.approx((300, 100))
        assert (found.ratio, found.ratio_low, found.ratio_high) == pytest.approx((3, 3, 3))
        assert (found.original_cpu_ms, found.candidate_cpu_ms) == pytest.approx((150, 50))
        assert found.cpu_ratio == pytest.approx(3)

    def test_one_goes_first_then_the_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        order: list[str] = []
        now = count(1)
        for clock in ("perf_counter", "process_time"):  # too short for a real one
            monkeypatch.setattr(f"time.{clock}", lambda: float(next(now)))
        compare_steps(lambda: order.append("a"), lambda: order.append("b"), rounds=3)
        assert "".join(order) == "aabb" + "ab" + "ba" + "ab"

    def test_one_round_has_no_quartiles(self) -> None:
        with pytest.raises(SynoError, match="two rounds or more"):
            compare_steps(lambda: None, lambda: None, rounds=1)
