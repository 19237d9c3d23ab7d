"""Training of language models: one run gives loss against tokens and loss against seconds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from syno.evaluate.text import TextSplits, TokenSplit
from syno.evaluate.training import NotANumber, Progress
from syno.ir.errors import DataError, SynoError

_PRECISIONS = ("float32", "bfloat16")
_TICKS = 1000  # of a schedule that follows the clock
_WINDOWS = 32  # that are evaluated at once


@dataclass(frozen=True)
class LanguageRecipe:
    """How a language model is trained: AdamW (Loshchilov, Hutter 2019) along a cosine.

    A step takes `batch_size` windows of `length` tokens. The rate rises to `learning_rate` during
    the share `warm_up` of the budget, then falls along a cosine to nearly 0; gradients longer than
    `clip` are cut to it. `precision` bfloat16 computes under autocast: weights stay float32.

    After every `every` tokens the loss on `probe` tokens of the validation part goes into the
    curve. Raises SynoError for numbers that train nothing.
    """

    batch_size: int = 4
    length: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    warm_up: float = 0.1
    clip: float = 1.0
    precision: str = "float32"
    every: int = 65_536
    probe: int = 16_384

    def __post_init__(self) -> None:
        positive = "batch_size length learning_rate clip every probe".split()
        for name in positive:
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise SynoError(f"A recipe's {name} has to be a number above 0; it is {value}.")
        if self.precision not in _PRECISIONS:
            known = ", ".join(_PRECISIONS)
            raise SynoError(f"A recipe's precision is one of {known}, not {self.precision!r}.")

    @property
    def step_tokens(self) -> int:
        """The tokens of one step."""
        return self.batch_size * self.length


@dataclass(frozen=True)
class Point:
    """A place of the curve: losses in nats a token, seconds of training alone.

    `train_loss` is the mean since the point before, `validation_loss` that of the probe.
    """

    tokens: int
    seconds: float
    train_loss: float
    validation_loss: float


@dataclass(frozen=True)
class LanguageResult:
    """What a training reached, and its price.

    `validation_loss` is the mean over the whole validation part after the last step, in nats a
    token; `bits_per_byte` the same in a unit in which vocabularies compare. `seconds` are those of
    the training steps by the wall clock, without any evaluation, `cpu_seconds` those in which this
    process had a core: the two are far apart where the machine was busy.
    """

    validation_loss: float
    bits_per_byte: float
    tokens: int
    steps: int
    seconds: float
    cpu_seconds: float
    curve: tuple[Point, ...]


def train_language(
    model: nn.Module,
    text: TextSplits,
    recipe: LanguageRecipe,
    *,
    seed: int,
    seconds: float | None = None,
    tokens: int | None = None,
    on_progress: Progress = lambda _share, _whole: None,
) -> LanguageResult:
    """Train `model`, a map from (batch, length) tokens to logits, in place; return its result.

    The budget is a number of tokens or of seconds of training, or both: whichever ends first. The
    seed fixes which windows are seen in which order, and dropout. Under a budget of tokens the
    result is the same each time; under one of seconds the schedule follows the clock.
    `on_progress` is told thousandths of the budget. Raises NotANumber when the loss diverges,
    SynoError without a budget, DataError where the text is shorter than a window.
    """
    budget = _Budget(tokens, seconds)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for dropout
        return _train(model, text, recipe, budget, seed, on_progress)


def _train(
    model: nn.Module,
    text: TextSplits,
    recipe: LanguageRecipe,
    budget: _Budget,
    seed: int,
    on_progress: Progress,
) -> LanguageResult:
    step = training_step(model, recipe, budget.ticks(recipe))
    batches = windows(text.train, recipe, torch.Generator().manual_seed(seed))
    run, losses, curve = _Clock(), list[float](), list[Point]()
    seen = steps = 0
    while (spent := budget.spent(seen, run.seconds)) < 1:
        on_progress(round(1000 * spent), 1000)
        with run:
            losses.append(_finite(step(*next(batches), spent), steps + 1))
        steps, seen = steps + 1, seen + recipe.step_tokens
        ended = budget.spent(seen, run.seconds) >= 1
        if ended or seen // recipe.every > (seen - recipe.step_tokens) // recipe.every:
            probed = loss_on(model, text.validation, recipe.length, recipe.probe)
            curve.append(Point(seen, run.seconds, fmean(losses), probed))
            losses.clear()
    loss = loss_on(model, text.validation, recipe.length)
    bits = loss * len(text.validation) / (math.log(2) * text.validation.bytes)
    return LanguageResult(loss, bits, seen, steps, run.seconds, run.cpu_seconds, tuple(curve))


def training_step(
    model: nn.Module, recipe: LanguageRecipe, ticks: int
) -> Callable[[Tensor, Tensor, float], float]:
    """Return one step: it takes inputs, targets and the share of the budget spent before it.

    The step changes the model and returns the loss in nats a token. The schedule has so many ticks.
    """
    model.train()
    optimizer = _optimizer(model, recipe)
    total = ticks + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        recipe.learning_rate,
        total_steps=total,
        pct_start=max(recipe.warm_up, 2 / total),  # torch divides by 0 where it takes one tick
        cycle_momentum=False,
    )
    parameters = list(model.parameters())

    def descend(inputs: Tensor, targets: Tensor, spent: float) -> float:
        while schedule.last_epoch < int(spent * ticks):
            schedule.step()
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            logits = model(inputs)
        loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, recipe.clip)
        optimizer.step()
        return float(loss.detach())

    return descend


def windows(
    split: TokenSplit, recipe: LanguageRecipe, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches for ever: inputs (batch, length) and their targets, the tokens one later.

    Each pass over the text cuts it at other places and takes the windows in a new order. Raises
    DataError where the text has no window.
    """
    length, reach = recipe.length, torch.arange(recipe.length + 1)
    if len(split) < 2 * length + 1:
        raise DataError(f"A text of {len(split)} tokens has no window of {length} at every offset.")
    while True:
        offset = int(torch.randint(length, (), generator=generator))
        count = (len(split) - 1 - offset) // length
        order = torch.randperm(count, generator=generator)
        size = min(recipe.batch_size, count)
        for first in range(0, count - size + 1, size):
            starts = offset + length * order[first : first + size]
            found = split.tokens[starts[:, None] + reach]
            yield found[:, :-1], found[:, 1:]


def loss_on(model: nn.Module, split: TokenSplit, length: int, most: int | None = None) -> float:
    """Return the mean loss of `model` on a part of a text, in nats a token.

    The part is read in windows of `length` tokens that do not overlap; with `most`, in as many of
    them as have so many tokens, spread evenly. Computes in float32. Raises NotANumber for such a
    loss, DataError where the part has no window.
    """
    count = (len(split) - 1) // length
    if count < 1:
        raise DataError(f"A text of {len(split)} tokens has no window of {length} tokens.")
    wanted = count if most is None else max(1, min(count, most // length))
    starts = torch.arange(wanted) * count // wanted * length
    reach, total, training = torch.arange(length + 1), 0.0, model.training
    model.eval()
    with torch.inference_mode():
        for some in starts.split(_WINDOWS):
            found = split.tokens[some[:, None] + reach]
            logits = model(found[:, :-1]).float().flatten(0, 1)
            total += float(F.cross_entropy(logits, found[:, 1:].flatten(), reduction="sum"))
    model.train(training)
    if not math.isfinite(total):
        raise NotANumber("The trained network's validation loss is infinite or undefined.")
    return total / (wanted * length)


def loss_at(curve: Sequence[Point], *, seconds: float) -> float:
    """Return the validation loss of a curve at a time, between its points along a line.

    After its end it is that of the last point.
    """
    times = [point.seconds for point in curve]
    return float(np.interp(seconds, times, [point.validation_loss for point in curve]))


@dataclass(frozen=True)
class _Budget:
    """What a training may use up."""

    tokens: int | None
    seconds: float | None

    def __post_init__(self) -> None:
        given = [limit for limit in (self.tokens, self.seconds) if limit is not None]
        if not given or not all(0 < limit < math.inf for limit in given):
            raise SynoError("A training needs a budget above 0: give tokens, seconds or both.")

    def ticks(self, recipe: LanguageRecipe) -> int:
        """Return the ticks of the schedule: steps, where their number is known."""
        if self.tokens is None or self.seconds is not None:
            return _TICKS
        return math.ceil(self.tokens / recipe.step_tokens)

    def spent(self, tokens: int, seconds: float) -> float:
        """Return the share of the budget that is spent; 1 or more ends the training."""
        shares = [0.0]
        shares += [] if self.tokens is None else [tokens / self.tokens]
        shares += [] if self.seconds is None else [seconds / self.seconds]
        return max(shares)


class _Clock:
    """Counts the seconds inside its `with` blocks, by the wall clock and of this process."""

    def __init__(self) -> None:
        self.seconds = self.cpu_seconds = 0.0
        self._began = 0.0, 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def __exit__(self, *_error: object) -> None:
        self.seconds += time.perf_counter() - self._began[0]
        self.cpu_seconds += time.process_time() - self._began[1]


def _optimizer(model: nn.Module, recipe: LanguageRecipe) -> torch.optim.Optimizer:
    """Return AdamW; weights decay, biases and normalization parameters do not."""
    weights = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, recipe.learning_rate, betas=(0.9, 0.95), fused=True)


def _finite(loss: float, step: int) -> float:
    if not math.isfinite(loss):
        raise NotANumber(f"The training loss became {loss} at step {step}.")
    return loss
