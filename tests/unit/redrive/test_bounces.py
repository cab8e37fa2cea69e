"""What comes back: judged by what is seen, or by the dead letters that arrived where nobody may look.

The mover and the collector's view are pretended: only what is made of them is looked at.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.clock import Clock
from monitor.letters import Action, DeadMessage, Job, PlanRequest, Step
from monitor.model import ClusterView, DeadLetterQueue, FoundBy, Health, Snapshot, System
from monitor.redrive.bounces import Arrivals, BounceWatch, Verdict
from monitor.redrive.journal import Journal
from monitor.redrive.journaled import JournaledMover
from monitor.redrive.model import Counts
from monitor.redrive.surroundings import Surroundings
from monitor.storage.database import Database
from tests.storage.test_redrive import job_of
from tests.unit.redrive.test_journaled import Queue


class Blind:
    def recover(self, deadline: float) -> Step:
        return Step()

    def step(self, limit: int, deadline: float) -> Step:
        return Step()

    def close(self) -> None:
        pass


class Seeing(Blind):
    def look_for_bounces(self, deadline: float) -> list[str]:
        return ["j:0:1"]


def view_of(arrivals: float | None) -> ClusterView:
    queue = DeadLetterQueue("k/q", System.RABBITMQ, "k", "q", FoundBy.TOPOLOGY, arrivals_total=arrivals)
    return ClusterView(Health("k", "rabbitmq", 1.0), Snapshot("k", "rabbitmq", 1.0, 0.1, dead_letters=(queue,)))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    opened = Journal(Database.open(f"sqlite:///{tmp_path}/eventflow.db"))
    opened.add_job(job_of("j"))
    return opened


class Broker:
    """A bus that counts what waits."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting

    def count_waiting(self, bounds: Mapping[str, Any], deadline: float) -> int:
        return self.waiting


class LateBroker:
    """A bus that counts what a queue has, a minute late."""

    counts_late_seconds = 60.0

    def __init__(self, messages: int) -> None:
        self.messages = messages

    def count_all(self, queue: str, deadline: float) -> int:
        return self.messages


def choose(message: DeadMessage) -> None:
    return None


def watch(
    journal: Journal, mover: Any, arrivals: float | None, bus: Any = None, clock: Clock | None = None, **about: Any
) -> BounceWatch:
    clock = clock or Clock()
    job = replace(job_of("j"), **{"arrivals_before": 100.0, **about})
    around = Surroundings(lambda: [view_of(arrivals)])
    plan = {"dead_letters": "k/q", "cluster": "k", "source": "q", "target": "t", "bounds": {"count": 50}}
    return BounceWatch(job, mover, Arrivals(job, plan, bus, mover, around, clock), journal, clock)


def test_where_nobody_may_look_new_dead_letters_are_doubtful_and_kept_for_the_report(journal: Journal) -> None:
    seen = watch(journal, Blind(), 130.0)
    assert (seen.find(), seen.can_tell, seen.is_prompt) == ([], True, False)
    assert seen.judge(Counts(planned=50, sent=40, bounced=5)) == Verdict(5, 25, 45)
    assert journal.job("j").may_have_bounced == 25
    assert watch(journal, Blind(), 130.0).judge(Counts(planned=50, sent=10)).doubtful == 10  # no more than was sent


def test_where_it_is_seen_what_comes_back_nothing_is_doubtful(journal: Journal) -> None:
    seen = watch(journal, Seeing(), 130.0)
    assert seen.find() == ["j:0:1"]
    assert seen.judge(Counts(planned=50, sent=40)) == Verdict(0, 0, 40)


def test_where_the_broker_counts_what_waits_each_new_dead_letter_is_seen_at_once(journal: Journal) -> None:
    broker = Broker(45)  # five are in the hand of somebody who looks at them
    seen = watch(journal, Blind(), None, broker, arrivals_before=None)
    assert not seen.can_tell
    assert seen.begin() == 50
    assert seen.is_prompt
    broker.waiting = 50 - 30 + 12
    assert seen.judge(Counts(planned=50, sent=30, left=20)) == Verdict(0, 12, 30)
    broker.waiting = 0
    assert seen.judge(Counts(planned=50, sent=31, left=19)).doubtful == 12  # not counted anew every time


def test_what_a_broker_counts_late_is_doubted_only_when_it_must_be_counted(journal: Journal) -> None:
    broker, times = LateBroker(50), [1000.0]
    clock = Clock(monotonic=lambda: times[-1])
    mover = JournaledMover(Queue([]), journal, Job("j", PlanRequest("k/q"), "q", "t", {"count": 50}), choose, clock)
    seen = watch(journal, mover, None, broker, clock, arrivals_before=None)
    assert (seen.begin(), seen.is_prompt) == (50, False)
    assert seen.judge(Counts(planned=50, sent=30, left=20), every=0.0).doubtful == 0  # though all 50 are still counted
    assert not seen.can_tell
    times.append(1061.0)
    broker.messages = 20 + 12
    assert seen.judge(Counts(planned=50, sent=30, left=20), every=0.0).doubtful == 12
    assert seen.can_tell


@pytest.mark.parametrize(
    ("arrivals", "before", "action"),
    [(None, 100.0, Action.REDRIVE), (130.0, None, Action.REDRIVE), (130.0, 100.0, Action.RESTORE)],
)
def test_what_is_not_known_is_not_judged(
    journal: Journal, arrivals: float | None, before: float | None, action: Action
) -> None:
    seen = watch(journal, Blind(), arrivals, arrivals_before=before, action=action)
    assert seen.judge(Counts(planned=50, sent=40)) == Verdict(0, 0, 40)


@pytest.mark.parametrize(
    ("verdict", "bad", "bad_canary"),
    [
        (Verdict(9, 0, 9), False, True),  # too few to stop a whole job, and enough for its first messages
        (Verdict(10, 0, 50), False, True),
        (Verdict(6, 5, 50), True, True),
        (Verdict(2, 0, 10), False, False),
        (Verdict(0, 3, 10), False, True),
    ],
)
def test_a_job_stops_above_a_share_of_bounces(verdict: Verdict, bad: bool, bad_canary: bool) -> None:
    assert (verdict.is_bad, verdict.is_bad_canary(10)) == (bad, bad_canary)
