"""The main job: from a model and data to a measured Pareto front.

Phases: the baseline is trained; candidates are asked from the strategy, timed and trained in their
own processes until time or trials are spent; the best are confirmed with fresh seeds beside the
baseline and timed under `torch.compile` on the then quiet machine. Everything is in the study as
soon as it is known: the same command continues where a killed one stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from syno.ir.errors import StudyError
from syno.ir.operator import Operator
from syno.ir.parser import parse
from syno.run.candidate import Task, evaluate
from syno.run.executor import Executor, ProcessLimits
from syno.run.study import Record, Study, open_study
from syno.search.outcome import Outcome, Pruned, Scored
from syno.search.protocol import Setting, Strategy
from syno.search.registry import make_strategy
from syno.search.reward import Reward
from syno.space.space import SynthesisSpace
from syno.space.spec import Spec

_MARGIN = 0.01
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class SearchSettings:
    """What a search is asked to do; model, data and recipe make the identity of its study."""

    model: str
    data: str
    study: Path
    strategy: str = "mcts"
    seed: int = 0
    minutes: float = 60.0
    trials: int = 1_000
    workers: int = 2
    least_ratio: float = 1.05
    finalists: int = 3
    confirm_seeds: int = 2
    batch: int = 1
    epochs: float | None = None
    limits: ProcessLimits = ProcessLimits()


@dataclass(frozen=True)
class Event:
    """What a search tells while it runs: the phase, a sentence, and how far it is (0 to 1)."""

    phase: str
    text: str
    done: float
    record: Record | None = None


Listener = Callable[[Event], None]


class Search:
    """One run of the main job; `run` returns the summary that `--json` prints."""

    def __init__(self, settings: SearchSettings, listen: Listener = lambda _event: None) -> None:
        from syno.evaluate.training import recipe_for

        self.settings = settings
        self.listen = listen
        self.start = time.monotonic()
        self.spec, self.sites, self.flops = question(settings.model)
        recipe = recipe_for(settings.data)
        if settings.epochs is not None:
            recipe = replace(recipe, epochs=settings.epochs)
        self.recipe = asdict(recipe)
        self.coefficients = {name: self.spec.bindings[0][name] for name in self.spec.coefficients}
        self.baseline: Scored | None = None

    @property
    def deadline(self) -> float:
        """When candidates have to stop, in seconds of the monotonic clock: confirmation follows."""
        return self.start + 60 * self.settings.minutes * 0.72

    @property
    def end(self) -> float:
        """When everything has to stop."""
        return self.start + 60 * self.settings.minutes

    def run(self) -> dict[str, Any]:
        """Run all phases and return the summary."""
        from syno.evaluate.data import load

        load(self.settings.data)  # missing data is told before anything is started
        study = open_study(self.settings.study, self.identity())
        study.note("question", self._question())
        try:
            with Executor(self.settings.workers, self.settings.limits) as pool:
                self._baseline(study, pool)
                self._candidates(study, pool)
                self._confirm(study, pool)
            self._time_finalists(study)
            return summary(study)
        finally:
            study.close()

    def identity(self) -> dict[str, Any]:
        """Return what makes two runs parts of one study."""
        names = {"model": self.settings.model, "data": self.settings.data}
        return {
            **names,
            "spec": self.spec.digest(),
            "recipe": self.recipe,
            "batch": self.settings.batch,
        }

    def _question(self) -> dict[str, Any]:
        from syno.evaluate.latency import machine

        shape = {"input": self.spec.input, "output": self.spec.output}
        bindings = [dict(binding) for binding in self.spec.bindings]
        return {
            "model": self.settings.model,
            "data": self.settings.data,
            "spec": {"name": self.spec.name, **shape, "bindings": bindings},
            "sites": [{"name": s.name, "sizes": dict(s.sizes)} for s in self.sites],
            "site_flops": self.flops,
            "coefficients": self.coefficients,
            "recipe": self.recipe,
            "machine": machine(),
            "workers": self.settings.workers,
        }

    def _task(self, operator: str | None, seed: int = 0) -> Task:
        least = self.settings.least_ratio
        return Task(
            self.settings.model,
            self.settings.data,
            operator,
            self.coefficients,
            self.recipe,
            seed=seed,
            batch=self.settings.batch,
            least_ratio=least,
        )

    # phases -------------------------------------------------------------------------------------

    def _baseline(self, study: Study, pool: Executor) -> None:
        """Train the original network, unless the study knows it already."""
        found = study.noted("baseline")
        if found is None:
            self.listen(Event("baseline", "training the original network", 0.0))
            pool.submit(None, evaluate, self._task(None))
            outcome = self._wait(pool)[1]
            if not isinstance(outcome, Scored):
                raise StudyError(f"The original network could not be trained: {outcome}")
            found = asdict(outcome)
            study.note("baseline", found)
        self.baseline = Scored(**found)
        text = f"the original reaches {100 * self.baseline.accuracy:.2f} % on validation"
        self.listen(Event("baseline", text, 0.0))

    def _candidates(self, study: Study, pool: Executor) -> None:
        """Ask, evaluate and tell until time or trials are spent."""
        strategy = self._strategy(study)
        while True:
            while pool.has_room and not self._is_over(study, len(pool.flying)):
                operator = self._ask(study, strategy)
                if operator is None:
                    break
                number = study.begin(str(operator))
                pool.submit((number, operator), evaluate, self._task(str(operator)))
            if not pool.flying:
                return
            (number, operator), outcome = self._wait(pool)
            self._tell(study, strategy, number, operator, outcome)

    def _strategy(self, study: Study) -> Strategy:
        """Return the strategy, told of everything that earlier runs found."""
        assert self.baseline is not None
        space, reward = SynthesisSpace(self.spec), Reward(self.baseline.accuracy)
        setting = Setting(space, reward, self.settings.seed)
        try:
            strategy = make_strategy(self.settings.strategy, setting)
        except KeyError as error:
            raise StudyError(str(error.args[0])) from None
        for record in study.records():
            strategy.tell(parse(record.operator), record.outcome)
        return strategy

    def _is_over(self, study: Study, flying: int) -> bool:
        trained = sum(isinstance(each.outcome, Scored) for each in study.records())
        return time.monotonic() > self.deadline or trained + flying >= self.settings.trials

    def _ask(self, study: Study, strategy: Strategy) -> Operator | None:
        """Return the next operator worth a process; others are told at once what they cost."""
        while time.monotonic() < self.deadline:
            operator: Operator | None = strategy.ask()
            if operator is None:
                return None
            flops = sum(self._flops(operator, site) for site in self.sites)
            if flops < self.flops:
                return operator
            reason = f"{flops / self.flops:.2f} times the multiply-adds of the original"
            self._tell(study, strategy, study.begin(str(operator)), operator, Pruned(reason))
        return None

    def _flops(self, operator: Operator, site: Any) -> int:
        from syno.nn.substitution import site_flops

        return site_flops(operator, site, self.coefficients)

    def _tell(
        self, study: Study, strategy: Strategy, number: int, operator: Operator, outcome: Outcome
    ) -> None:
        study.finish(number, outcome)
        strategy.tell(operator, outcome)
        record = Record(number, str(operator), outcome, 0.0)
        self.listen(Event("search", str(operator), self._share(), record))

    def _wait(self, pool: Executor) -> tuple[Any, Outcome]:
        while True:
            found = pool.next_done(_POLL_SECONDS)
            if found is not None:
                return found
            self.listen(Event("waiting", "", self._share()))

    def _share(self) -> float:
        return min((time.monotonic() - self.start) / (60 * self.settings.minutes), 1.0)

    def _confirm(self, study: Study, pool: Executor) -> None:
        """Train the finalists and the baseline again with fresh seeds, as far as time allows."""
        assert self.baseline is not None
        known: dict[str, dict[str, float]] = study.noted("confirmed") or {}
        names: list[str | None] = [
            None,
            *(r.operator for r in finalists(study, self.settings.finalists)),
        ]
        seeds = range(1, self.settings.confirm_seeds + 1)
        waiting = [
            (name, seed) for seed in seeds for name in names if not _known(known, name, seed)
        ]
        spent = self.baseline.extra.get("training", {}).get("seconds", 0.0)
        while waiting or pool.flying:
            while waiting and pool.has_room and time.monotonic() + spent < self.end:
                name, seed = waiting.pop(0)
                task = replace(self._task(name, seed), rounds=0, least_ratio=0.0)
                pool.submit((name, seed), evaluate, task)
            if not pool.flying:
                return
            (name, seed), outcome = self._wait(pool)
            if isinstance(outcome, Scored):
                known.setdefault(name or "baseline", {})[str(seed)] = outcome.accuracy
                study.note("confirmed", known)
            self.listen(Event("confirm", f"seed {seed} of {name or 'the original'}", self._share()))

    def _time_finalists(self, study: Study) -> None:
        """Time the finalists under eager and torch.compile, one process, nothing beside it."""
        known: dict[str, dict[str, Any]] = study.noted("timed") or {}
        for record in finalists(study, self.settings.finalists):
            for mode in ("eager", "compile"):
                if mode in known.get(record.operator, {}):
                    continue
                text = f"timing under {mode}: {record.operator}"
                self.listen(Event("timing", text, self._share()))
                task = replace(self._task(record.operator), mode=mode, train=False, rounds=25)
                with Executor(1, self.settings.limits) as pool:
                    pool.submit(None, evaluate, replace(task, least_ratio=0.0))
                    outcome = self._wait(pool)[1]
                if isinstance(outcome, Scored):
                    known.setdefault(record.operator, {})[mode] = outcome.extra["latency"]
                    study.note("timed", known)


def question(model: str) -> tuple[Spec, list[Any], int]:
    """Return the spec of a model's sites, the sites, and their multiply-adds for one image."""
    from syno.evaluate.models import build, info
    from syno.nn.sites import find_sites, replaceable
    from syno.space.specs import convolution_spec

    network, row = build(model), info(model)
    sites = replaceable(find_sites(network, row.example_input(1)), model)
    spec = convolution_spec([site.sizes for site in sites], f"conv2d of {model}")
    return spec, sites, sum(site.flops for site in sites)


def finalists(study: Study, count: int) -> list[Record]:
    """Return the fastest candidates within one point of the baseline, then the most accurate."""
    baseline = study.noted("baseline") or {"accuracy": 0.0}
    scored = [each for each in study.records() if isinstance(each.outcome, Scored)]
    least = baseline["accuracy"] - _MARGIN
    close = [each for each in scored if accuracy(each) >= least]
    close.sort(key=lambda each: -ratio(each))
    rest = sorted((each for each in scored if each not in close), key=lambda each: -accuracy(each))
    return [*close, *rest][:count]


def accuracy(record: Record) -> float:
    """Return the accuracy of a scored record."""
    assert isinstance(record.outcome, Scored)
    return record.outcome.accuracy


def ratio(record: Record) -> float:
    """Return the latency ratio of a scored record."""
    assert isinstance(record.outcome, Scored)
    return record.outcome.ratio


def pareto_front(records: list[Record]) -> list[Record]:
    """Return the scored records that no other one beats in both accuracy and ratio."""
    scored = [each for each in records if isinstance(each.outcome, Scored)]
    scored.sort(key=lambda each: (-ratio(each), -accuracy(each)))
    front: list[Record] = []
    for each in scored:
        if not front or accuracy(each) > accuracy(front[-1]):
            front.append(each)
    return front


def summary(study: Study) -> dict[str, Any]:
    """Return the state of a study as plain data."""
    records = study.records()
    kinds: dict[str, int] = {}
    for record in records:
        name = type(record.outcome).__name__.lower()
        kinds[name] = kinds.get(name, 0) + 1
    front = [_row(study, record) for record in pareto_front(records)]
    best = [_row(study, record) for record in finalists(study, 3)]
    return {
        "identity": study.identity,
        "question": study.noted("question"),
        "baseline": study.noted("baseline"),
        "baseline_confirmed": (study.noted("confirmed") or {}).get("baseline", {}),
        "outcomes": kinds,
        "front": front,
        "finalists": best,
    }


def _row(study: Study, record: Record) -> dict[str, Any]:
    outcome = record.outcome
    assert isinstance(outcome, Scored)
    return {
        "number": record.number,
        "operator": record.operator,
        "accuracy": outcome.accuracy,
        "ratio": outcome.ratio,
        "flops": outcome.flops,
        "parameters": outcome.parameters,
        "confirmed": (study.noted("confirmed") or {}).get(record.operator, {}),
        "timed": (study.noted("timed") or {}).get(record.operator, {}),
    }


def _known(known: Mapping[str, Mapping[str, float]], name: str | None, seed: int) -> bool:
    return str(seed) in known.get(name or "baseline", {})


__all__ = ["Event", "Search", "SearchSettings", "pareto_front", "question", "summary"]
