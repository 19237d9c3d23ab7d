"""A search that is killed at any moment continues, and loses no more than what was in flight."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
from commands import Done, members, started, syno, until
from optuna.trial import TrialState

from syno.ir.errors import StudyError
from syno.run.study import Record, read_study
from syno.search.outcome import Scored

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
WORKERS = 2


def command(study: Path, trials: int, *more: str) -> list[str]:
    fixed = ["search", "--model", "convnet", "--data", "digits", "--study", str(study)]
    small = ["--epochs", "0.1", "--minutes", "4", "--workers", str(WORKERS), "--finalists", "0"]
    return [*fixed, *small, "--trials", str(trials), *more]


@dataclass(frozen=True)
class Look:
    """A study as a killed search left it; `open` are the trials that nobody has closed yet."""

    records: tuple[Record, ...] = ()
    open: int = 0
    abandoned: int = 0

    @property
    def scored(self) -> int:
        return sum(isinstance(each.outcome, Scored) for each in self.records)

    def __str__(self) -> str:
        return (
            f"{len(self.records)} finished ({self.scored} trained), {self.open} in flight, "
            f"{self.abandoned} abandoned before"
        )


def look(path: Path) -> Look:
    """Read a study without closing or changing anything in it."""
    try:
        records = tuple(read_study(path).records())
    except StudyError:  # killed before there was one
        return Look()
    trials = optuna.load_study(study_name="syno", storage=f"sqlite:///{path}").trials
    running = [each for each in trials if each.state == TrialState.RUNNING]
    abandoned = sum("abandoned" in each.user_attrs for each in trials)
    return Look(records, len(running), abandoned)


def check_nothing_lost(before: Look, after: Look) -> None:
    """Every finished trial is what it was; one whose outcome was just written may have joined."""
    later = {each.number: each for each in after.records}
    assert [later.get(each.number) for each in before.records] == list(before.records)
    names = [each.operator for each in after.records]
    assert len(set(names)) == len(names), "an operator has two finished outcomes"
    assert [each.number for each in after.records] == sorted({e.number for e in after.records})


def wait_for(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds in a search that still runs."""
    assert until(lambda: process.poll() is not None or condition(), 120), "it did not come to that"
    assert process.poll() is None, process.communicate()


def kill(study: Path, trials: int, delay: float) -> Look:
    """Start the search, kill it (and none of its workers) after `delay`; return what is left."""
    with started(*command(study, trials)) as process:
        time.sleep(delay)
        assert process.poll() is None, "it ended by itself: there was nothing to kill"
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        assert until(lambda: not members(process.pid), 30), "workers outlived the search"
    return look(study)


def check_optuna_reads(study: Path, records: Sequence[Record]) -> None:
    """Optuna's own tools see every trained candidate, with both of its values."""
    program = Path(sys.executable).with_name("optuna")
    place = ["--storage", f"sqlite:///{study}", "--study-name", "syno"]
    for name in ("trials", "best-trials"):
        done = subprocess.run(
            [program, name, *place, "--format", "json"],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert "operator" in done.stdout
    found = optuna.load_study(study_name="syno", storage=f"sqlite:///{study}")
    complete = [each for each in found.trials if each.state == TrialState.COMPLETE]
    scored = [each for each in records if isinstance(each.outcome, Scored)]
    assert [each.number for each in complete] == [each.number for each in scored]
    for trial, record in zip(complete, scored, strict=True):
        assert isinstance(record.outcome, Scored)
        assert trial.values == [record.outcome.accuracy, record.outcome.ratio]
    assert found.best_trials


def finish(study: Path, trials: int) -> Done:
    done = syno(*command(study, trials, "--json"))
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    return done


def test_a_killed_search_continues_and_a_finished_one_says_so(tmp_path: Path) -> None:
    study = tmp_path / "a.db"
    with started(*command(study, 4)) as process:
        wait_for(process, lambda: len(look(study).records) > 0)
        assert len(members(process.pid)) > WORKERS
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        assert until(lambda: not members(process.pid), 30), "workers outlived the search"
    before = look(study)
    assert before.open <= WORKERS
    done = finish(study, 4)
    after = look(study)
    check_nothing_lost(before, after)
    assert after.scored == 4 and after.open == 0
    saved = before.open - after.abandoned  # killed between the outcome and the end of the trial
    assert saved >= 0
    assert done.json["known"] == len(before.records) + saved
    check_optuna_reads(study, after.records)
    again = finish(study, 4)
    assert look(study) == after
    assert again.json["new"] == 0
    assert "nothing was left to search" in again.out


def test_ctrl_c_is_one_sentence_and_the_search_continues(tmp_path: Path) -> None:
    study = tmp_path / "a.db"
    with started(*command(study, 50, "--json")) as process:
        wait_for(process, lambda: len(look(study).records) > 0)
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert until(lambda: not members(process.pid), 30), "workers outlived the search"
    last = "interrupted: what is finished is kept, and the same command continues"
    assert err.splitlines()[-1] == last
    assert "Traceback" not in err + out
    assert f'{{"error": "{last}"' in out.splitlines()[-1]
    before = look(study)
    finish(study, before.scored + 1)
    check_nothing_lost(before, look(study))


def test_ctrl_c_at_the_start_is_one_sentence(tmp_path: Path) -> None:
    """While workers still import: they hear the signal too."""
    with started(*command(tmp_path / "a.db", 50)) as process:
        wait_for(process, lambda: len(members(process.pid)) > 2)
        time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err and "interrupted:" in err


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_five_kills_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    """Tells the figures of every kill on the standard error: run it with -s to see them."""

    def say(text: str) -> None:
        sys.stderr.write(text + "\n")

    study = tmp_path / "a.db"
    seed = int(os.environ.get("SYNO_TEST_SEED", time.time_ns() % 10_000))
    rng = random.Random(seed)
    say(f"seed {seed}")
    before = Look()
    for number in range(1, 6):
        delay = rng.uniform(1.0, 25.0)
        after = kill(study, 10_000, delay)
        say(f"kill {number} after {delay:4.1f} s: {before} -> {after}")
        check_nothing_lost(before, after)
        assert after.abandoned <= before.abandoned + before.open
        assert after.open <= WORKERS
        before = after
    trials = before.scored + 6
    finish(study, trials)
    after = look(study)
    say(f"finished: {after}")
    check_nothing_lost(before, after)
    assert after.scored == trials and after.open == 0
    check_optuna_reads(study, after.records)
