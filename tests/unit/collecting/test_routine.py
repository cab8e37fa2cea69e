"""Work beside the cycles: what fails costs only itself, and stopping does everything once more."""

import logging
import threading

import pytest

from monitor.clock import Clock
from monitor.collecting.routine import Routine
from monitor.errors import StorageError
from tests.unit.collecting.fakes import PATIENCE


def test_a_job_that_fails_keeps_no_other_from_being_done_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    def fail() -> None:
        raise StorageError("the database cannot be used: disk full")

    routine = Routine(60.0, {"history": fail, "counters": lambda: done.append("counters")}, Clock())
    with caplog.at_level(logging.INFO):
        routine.run_once()
        routine.run_once()
    assert done == ["counters", "counters"]
    (told,) = caplog.records
    assert (told.levelname, told.getMessage()) == (
        "WARNING",
        "history: failed, 1 in a row: the database cannot be used: disk full",
    )


def test_jobs_are_done_again_and_again_and_once_more_at_the_end() -> None:
    enough, done = threading.Event(), []

    def work() -> None:
        done.append(1)
        if len(done) >= 3:
            enough.set()

    routine = Routine(0.01, {"work": work}, Clock())
    routine.start()
    assert enough.wait(PATIENCE)
    before = len(done)
    routine.stop(PATIENCE)
    assert len(done) > before


def test_stopping_waits_no_longer_than_told() -> None:
    gate, begun = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        gate.wait(PATIENCE)

    routine = Routine(0.0, {"hang": hang}, Clock())
    routine.start()
    assert begun.wait(PATIENCE)
    routine.stop(0.01)
    assert not gate.is_set()
    gate.set()
