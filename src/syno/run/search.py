"""The main job: from a model and data to a measured Pareto front.

Phases: the baseline is trained; candidates are asked from the strategy, timed and trained in their
own processes until time or trials are spent; the best are confirmed with fresh seeds beside the
baseline and timed under `torch.compile` on the then quiet machine. Everything is in the study as
soon as it is known: the same command continues where a killed one stopped.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any

from syno.ir.errors import StudyError, SynoError
from syno.ir.operator import Operator
from syno.ir.parser import parse
from syno.run.candidate import Task, data_for, evaluate, prepare_ladder
from syno.run.executor import Executor
from syno.run.ladder import RUNGS, Climb, Rung
from syno.run.ranking import finalists, pareto_front, summary
from syno.run.settings import SearchSettings
from syno.run.study import Record, Study, open_study
from syno.search.outcome import Failed, Outcome, Pruned, Scored, TimedOut
from syno.search.protocol import Setting, Strategy
from syno.search.registry import make_strategy
from syno.search.reward import Reward
from syno.space.space import SynthesisSpace
from syno.space.spec import Spec

_SEARCH_SHARE = 0.72  # of the time; the rest is for confirmation
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Event:
    """What a search tells while it runs: the phase, a sentence, and how far it is (0 to 1)."""

    phase: str
    text: str
    done: float
    record: Record | None = None


Listener = Callable[[Event], None]


class Search:
    """One run of the main job; `run` returns the summary that `--json` prints.

    `evaluator` turns a task into an outcome, in a worker process, `preparer` makes what those of a
    ladder need: both have to pickle.
    """

    def __init__(
        self,
        settings: SearchSettings,
        listen: Listener = lambda _event: None,
        evaluator: Callable[[Task], Outcome] = evaluate,
        preparer: Callable[[Task], Outcome] = prepare_ladder,
    ) -> None:
        from syno.evaluate.fidelities import long_recipe
        from syno.evaluate.models import info
        from syno.evaluate.recipes import recipe_for

        self.settings = settings
        self.listen = listen
        self.evaluator = evaluator
        self.preparer = preparer
        self.climb: Climb | None = None
        self.waiting: dict[int, Operator] = {}
        self.start = self.begun = self.batch_begun = time.monotonic()
        recipe = long_recipe(settings.data) if settings.ladder else recipe_for(settings.data)
        if settings.epochs is not None:
            recipe = replace(recipe, epochs=settings.epochs)
        self.recipe = recipe.to_dict()
        self.spec, self.sites, self.flops = question(settings.model)
        self.coefficients = {name: self.spec.bindings[0][name] for name in self.spec.coefficients}
        self.mode = settings.mode or info(settings.model).mode
        self.baseline: Scored | None = None
        self.trained = 0
        self.ended = "time"

    @property
    def deadline(self) -> float:
        """When candidates have to stop, in seconds of the monotonic clock: confirmation follows."""
        return self.start + 60 * self.settings.minutes * _SEARCH_SHARE

    @property
    def end(self) -> float:
        """When everything has to stop."""
        return self.start + 60 * self.settings.minutes

    def run(self) -> dict[str, Any]:
        """Run all phases and return the summary, with what this run added to the study.

        `ended` is trials, space (the strategy found no further operator) or time.
        """
        data_for(self.settings.model, self.settings.data)  # told before anything is started
        study = open_study(self.settings.study, self.identity())
        try:
            known = self._welcome(study)
            study.note("question", self._question())
            with Executor(self.settings.workers, self.settings.limits) as pool:
                self._teacher(pool)
                self._baseline(study, pool)
                self._candidates(study, pool)
                self._confirm(study, pool)
            self._time_finalists(study)
            found = {"ended": self.ended, "known": known, "new": len(study.records()) - known}
            return {**summary(study), **found}
        finally:
            study.close()

    def _welcome(self, study: Study) -> int:
        """Say what the study already holds and return the number of its records."""
        records = study.records()
        self.trained = sum(isinstance(each.outcome, Scored) for each in records)
        if records:
            text = f"continuing: {len(records)} candidates are known, {self.trained} trained"
            self.listen(Event("study", text, 0.0))
        return len(records)

    def identity(self) -> dict[str, Any]:
        """Return what makes two runs parts of one study."""
        names = {"model": self.settings.model, "data": self.settings.data}
        return {
            **names,
            "spec": self.spec.digest(),
            "recipe": self.recipe,
            "batch": self.settings.batch,
            "mode": self.mode,
            **({"ladder": self._ladder()} if self.settings.ladder else {}),
        }

    def _ladder(self) -> dict[str, Any]:
        """Return what a ladder is known by; another kind of rung makes another study."""
        return {"least_gain": self.settings.least_gain, "fit": "one site of each shape"}

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
            "mode": self.mode,
            "machine": machine(),
            "workers": self.settings.workers,
        }

    @property
    def first(self) -> Rung:
        """The rung that every candidate is judged on; the last one where any gain will do."""
        if not self.settings.ladder:
            return "scratch"
        return RUNGS[0] if self.settings.least_gain > 0 else RUNGS[-1]

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
            mode=self.mode,
            least_ratio=least,
            rung=RUNGS[-1] if self.settings.ladder else "scratch",
        )

    # phases -------------------------------------------------------------------------------------

    def _baseline(self, study: Study, pool: Executor) -> None:
        """Train the original network, unless the study knows it already."""
        found = study.noted("baseline")
        if found is None:
            self.listen(Event("baseline", "training the original network", 0.0))
            pool.submit(None, self.evaluator, self._task(None))
            outcome = self._wait(pool)[1]
            if not isinstance(outcome, Scored):
                raise StudyError(
                    f"The original network could not be trained: {_reason(outcome)}. Without it "
                    "there is nothing to compare with; the study is kept as it is."
                )
            found = asdict(outcome)
            study.note("baseline", found)
        self.baseline = Scored(**found)
        text = f"the original reaches {100 * self.baseline.accuracy:.2f} % on validation"
        self.listen(Event("baseline", text, 0.0))

    def _teacher(self, pool: Executor) -> None:
        """Let the original be trained that candidates of a ladder imitate, unless it is cached."""
        if not self.settings.ladder:
            return
        self.listen(Event("teacher", "a trained original, to imitate", 0.0))
        pool.submit(None, self.preparer, self._task(None))
        outcome = self._wait(pool)[1]
        if not isinstance(outcome, Scored):
            raise StudyError(
                f"The original that candidates imitate could not be trained: {_reason(outcome)}. "
                "Without --ladder none is needed."
            )

    def _candidates(self, study: Study, pool: Executor) -> None:
        """Ask, evaluate and tell until time or trials are spent.

        What a ladder spent on candidates without an outcome is noted, also at an interruption.
        """
        try:
            self._ask_and_tell(study, pool)
        finally:
            if self.climb:
                spent = self.climb.unfinished + (study.noted("unfinished") or 0.0)
                study.note("unfinished", spent)

    def _ask_and_tell(self, study: Study, pool: Executor) -> None:
        strategy = self._strategy(study)
        self.waiting.clear()
        self.begun = self.batch_begun = time.monotonic()
        while True:
            self._fill(study, pool, strategy)
            found = self._next(pool, self.end) if pool.flying else None
            if found is None:
                if pool.flying:
                    self.ended = "time"
                for number in [*(key[0] for key in pool.abandon()), *self.waiting]:
                    study.abandon(number)
                return
            (number, operator, rung), outcome = found
            told = self.climb.judge(number, rung, outcome) if self.climb else outcome
            if told is not None:
                self._tell(study, strategy, number, operator, told)
            elif self.climb:
                self.waiting[number] = operator
                text = f"#{number} {self.climb.said(number)}  {str(operator).splitlines()[-1]}"
                self.listen(Event("ladder", text, self._share()))

    def _fill(self, study: Study, pool: Executor, strategy: Strategy) -> None:
        """Give every free worker a candidate, as long as there are any to be had."""
        self.ended, more = "time", True
        while pool.has_room:
            if self.trained + self._in_training(pool) >= self.settings.trials:
                self.ended = "trials"
                return
            if time.monotonic() >= self.deadline:
                return
            chosen = self._climber(study, strategy, more)
            if chosen is None and not more:
                return
            if chosen is None:
                operator = self._ask(study, strategy)
                more = operator is not None
                if operator is None:
                    continue  # who waits has its turn
                chosen = study.begin(str(operator)), operator, self.first
            self._submit(pool, *chosen)

    def _in_training(self, pool: Executor) -> int:
        """Return how many of those under way are at the last rung: they count as trials."""
        rungs = [flight.key[2] for flight in pool.flying.values()]
        return sum(rung in {RUNGS[-1], "scratch"} for rung in rungs)

    def _climber(
        self, study: Study, strategy: Strategy, more: bool
    ) -> tuple[int, Operator, Rung] | None:
        """Return the candidate that climbs now, and its next rung; None where it is no one's turn.

        Those that are no longer worth it are told.
        """
        if self.climb is None:
            return None
        for number, outcome in self.climb.give_up().items():
            self._tell(study, strategy, number, self.waiting.pop(number), outcome)
        chosen = self.climb.advance(more, patient=self._patient())
        if chosen is None:
            if not self.climb.fitted:
                self.batch_begun = time.monotonic()
            return None
        return chosen[0], self.waiting.pop(chosen[0]), chosen[1]

    def _patient(self) -> bool:
        """Tell whether there is time to look at a whole batch before any of it climbs.

        A quarter of the time is enough for one, and the last quarter is for climbing.
        """
        now, quarter = time.monotonic(), (self.deadline - self.begun) / 4
        return now < self.deadline - quarter and now - self.batch_begun < quarter

    def _submit(self, pool: Executor, number: int, operator: Operator, rung: Rung) -> None:
        """Let a worker judge a candidate; it is timed at the first of its rungs."""
        task = replace(self._task(str(operator)), rung=rung)
        if rung != self.first:
            task = replace(task, rounds=0, least_ratio=0.0)
        pool.submit((number, operator, rung), self.evaluator, task)

    def _strategy(self, study: Study) -> Strategy:
        """Return the strategy, told of everything that earlier runs found."""
        assert self.baseline is not None
        least = int(self.settings.least_flops * self.flops)
        limits = replace(self.spec.limits, flops=(least, self.flops - 1))
        space = SynthesisSpace(replace(self.spec, limits=limits), by_length=True)
        reward = Reward(self.baseline.accuracy)
        strategy = make_strategy(self.settings.strategy, Setting(space, reward, self.settings.seed))
        self.climb = Climb(reward, self.settings.least_gain) if self.settings.ladder else None
        for record in study.records():
            try:
                operator = parse(record.operator)
            except SynoError as error:
                raise StudyError(
                    f"Candidate {record.number} of the study {self.settings.study} cannot be read: "
                    f"{error}\nAnother version of Syno wrote it; choose another file with --study."
                ) from None
            if self.climb:
                self.climb.remember(record.outcome)
            strategy.tell(operator, record.outcome)
        return strategy

    def _ask(self, study: Study, strategy: Strategy) -> Operator | None:
        """Return the next operator worth a process; others are told at once what they cost."""
        while time.monotonic() < self.deadline:
            operator: Operator | None = strategy.ask()
            if operator is None:
                self.ended = "space"
                return None
            rejected = self._rejected(operator)
            if rejected is None:
                return operator
            self._tell(study, strategy, study.begin(str(operator)), operator, rejected)
        return None

    def _rejected(self, operator: Operator) -> Outcome | None:
        """Return the outcome of an operator that needs no process to be judged."""
        try:
            flops = sum(self._flops(operator, site) for site in self.sites)
        except SynoError as error:
            return Failed("error", str(error))
        share = flops / self.flops
        if self.settings.least_flops <= share < 1.0:
            return None
        return Pruned(f"{share:.2f} times the multiply-adds of the original")

    def _flops(self, operator: Operator, site: Any) -> int:
        from syno.nn.substitution import site_flops

        return site_flops(operator, site, self.coefficients)

    def _tell(
        self, study: Study, strategy: Strategy, number: int, operator: Operator, outcome: Outcome
    ) -> None:
        record = study.finish(number, outcome)
        self.trained += isinstance(outcome, Scored)
        strategy.tell(operator, outcome)
        self.listen(Event("search", str(operator), self._share(), record))

    def _wait(self, pool: Executor) -> tuple[Any, Outcome]:
        found = self._next(pool, inf)
        assert found is not None
        return found

    def _next(self, pool: Executor, end: float) -> tuple[Any, Outcome] | None:
        """Return what ends next; None where nothing did before `end`."""
        while time.monotonic() < end:
            found = pool.next_done(_POLL_SECONDS)
            if found is not None:
                return found
            self.listen(Event("waiting", "", self._share()))
        return None

    def _share(self) -> float:
        return min((time.monotonic() - self.start) / (60 * self.settings.minutes), 1.0)

    def _confirm(self, study: Study, pool: Executor) -> None:
        """Train the finalists and the baseline again with fresh seeds, as far as time allows."""
        assert self.baseline is not None
        known: dict[str, dict[str, float]] = study.noted("confirmed") or {}
        chosen = [each.operator for each in finalists(study, self.settings.finalists)]
        names: list[str | None] = [None, *chosen] if chosen else []
        seeds = range(1, self.settings.confirm_seeds + 1)
        waiting = [
            (name, seed) for seed in seeds for name in names if not _known(known, name, seed)
        ]
        spent = self.baseline.extra.get("training", {}).get("seconds", 0.0)
        while waiting or pool.flying:
            while waiting and pool.has_room and time.monotonic() + spent < self.end:
                name, seed = waiting.pop(0)
                task = replace(self._task(name, seed), rounds=0, least_ratio=0.0)
                pool.submit((name, seed), self.evaluator, task)
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
                    pool.submit(None, self.evaluator, replace(task, least_ratio=0.0))
                    outcome = self._wait(pool)[1]
                if isinstance(outcome, Scored):
                    known.setdefault(record.operator, {})[mode] = outcome.extra["latency"]
                    study.note("timed", known)


def question(model: str) -> tuple[Spec, list[Any], int]:
    """Return the spec of a model's sites, the sites, and their multiply-adds for one image."""
    from syno.evaluate.models import build, info
    from syno.nn.sites import find_sites, replaceable
    from syno.space.networks import convolution_spec

    network, row = build(model), info(model)
    sites = replaceable(find_sites(network, row.example_input(1)), model)
    spec = convolution_spec([site.sizes for site in sites], f"conv2d of {model}")
    names = ("C_in", "C_out", "H", "W")
    times = Counter(tuple(site.sizes[name] for name in names) for site in sites)
    occurrences = tuple(times[tuple(each[name] for name in names)] for each in spec.bindings)
    return replace(spec, occurrences=occurrences), sites, sum(site.flops for site in sites)


def _reason(outcome: Outcome) -> str:
    if isinstance(outcome, TimedOut):
        return f"it was stopped after {outcome.seconds:g} s (--limit-seconds)"
    if isinstance(outcome, Failed):
        return f"{outcome.kind.replace('_', ' ')}: {outcome.message}".rstrip(". ")
    return str(outcome)


def _known(known: Mapping[str, Mapping[str, float]], name: str | None, seed: int) -> bool:
    return str(seed) in known.get(name or "baseline", {})


__all__ = [
    "Event",
    "Search",
    "SearchSettings",
    "finalists",
    "pareto_front",
    "question",
    "summary",
]
