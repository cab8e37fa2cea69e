"""What is gathered around dead letters: lessons of earlier jobs, changes of status, marks."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.analysis.advice import Lesson
from monitor.analysis.causes import cause_of
from monitor.clock import Clock
from monitor.errors import StorageError
from monitor.letters import DeadMessage
from monitor.model import ClusterView, DeadLetterQueue, FoundBy, Origin, Status, System, Verdict
from monitor.redrive.grouping import MARK, STATUS
from monitor.redrive.journal import Journal, StoredJob, StoredPlan
from monitor.redrive.knowledge import Knowledge
from monitor.redrive.model import Counts, JobState
from monitor.storage.database import Database
from monitor.storage.history import Curve, Point
from monitor.storage.marks import Marks
from tests.unit.redrive.builders import view_of

NOW = 10_000.0
QUEUE = DeadLetterQueue("k/q", System.KAFKA, "k", "q", FoundBy.NAME, origins=(Origin("orders", FoundBy.TOPOLOGY),))
LETTER = DeadMessage("0:1", {}, None, b"{}", enqueued_at=9_000.0, exception="shop.Bad", exception_message="no")
CAUSE = cause_of(LETTER).id
JOB = StoredJob(
    "j", 0, "p", QUEUE.id, None, "alice", JobState.COMPLETED, None, "run", None, Counts(), 0, 0, {}, 1.0, 2.0, 9_500.0
)


class FakeCurves:
    """A curve of statuses; a real history is written a minute at a time, which a test cannot wait for."""

    def __init__(self, *statuses: str | None, fails: bool = False) -> None:
        self._points = [Point(8_940 + 60 * place, status=status) for place, status in enumerate(statuses)]
        self._fails = fails

    def read(self, subject: str, start: float, end: float, step: float | None) -> Curve:
        return Curve(60, self._points)

    def read_many(
        self, subjects: Sequence[str], start: float, end: float, step: float | None, values: Collection[str]
    ) -> Mapping[str, Curve]:
        if self._fails:
            raise StorageError("no history now")
        return {subject: Curve(60, self._points) for subject in subjects}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(f"sqlite:///{tmp_path}/eventflow.db")
    yield opened
    opened.close()


def views(since: float = 0.0) -> list[ClusterView]:
    view = view_of(1.0, 1.0)
    return [replace(view, verdicts=(Verdict(Status.STALLED, "", since),))]


def knowledge(database: Database, *, curves: FakeCurves | None = None, since: float = 0.0) -> Knowledge:
    clock = Clock(now=lambda: NOW)
    return Knowledge(Journal(database), lambda: views(since), curves, Marks(database, clock), clock)


def add_job(database: Database, id_: str, counts: Counts, plan: dict[str, Any], **more: Any) -> None:
    journal = Journal(database)
    journal.add_plan(StoredPlan(f"plan {id_}", "hash", QUEUE.id, 0.0, 1.0, plan))
    journal.add_job(replace(JOB, id=id_, plan=f"plan {id_}", counts=counts, **more))
    journal.update_job(id_, state=JobState.COMPLETED)


def test_a_job_of_one_cause_teaches_what_became_of_it(database: Database) -> None:
    add_job(database, "a", Counts(planned=9, sent=5, bounced=4), {"request": {"group": CAUSE}})
    assert knowledge(database).gather(QUEUE, [LETTER]).lessons == {CAUSE: Lesson(9_500.0, 9, 4)}


def test_a_job_that_took_everything_teaches_where_it_is_known_whose_came_back(database: Database) -> None:
    two: dict[str, Any] = {"request": {"group": None}, "causes": [{"group": CAUSE}, {"group": "other"}]}
    add_job(database, "some", Counts(planned=9, sent=5, bounced=4), two)
    assert knowledge(database).gather(QUEUE, [LETTER]).lessons == {}
    add_job(database, "all", Counts(planned=9, bounced=9), two)
    assert knowledge(database).gather(QUEUE, [LETTER]).lessons == {it: Lesson(9_500.0, 9, 9) for it in (CAUSE, "other")}
    one: dict[str, Any] = {"request": {"group": None}, "causes": [{"group": "third"}]}
    add_job(database, "doubtful", Counts(planned=9, sent=9), one, may_have_bounced=2)
    assert knowledge(database).gather(QUEUE, [LETTER]).lessons["third"] == Lesson(9_500.0, 9, 2)


def test_the_newest_job_teaches(database: Database) -> None:
    plan: dict[str, Any] = {"request": {"group": CAUSE}}
    add_job(database, "old", Counts(planned=9, bounced=9), plan)
    add_job(database, "new", Counts(planned=9, sent=9), plan)
    add_job(database, "nothing went", Counts(planned=9, failed=9), plan)
    assert knowledge(database).gather(QUEUE, [LETTER]).lessons[CAUSE] == Lesson(9_500.0, 9, 0)


def test_changes_are_told_once_whether_the_curve_or_the_verdict_tells_them(database: Database) -> None:
    Marks(database, Clock(now=lambda: NOW)).add("deploy billing", "1.5", 8_990.0, "alice")
    curves = FakeCurves("ok", None, "lagging", "stalled")
    found = knowledge(database, curves=curves, since=9_110.0).gather(QUEUE, [LETTER])
    assert [(it.at, it.what, it.text) for it in found.changes] == [
        (8_990.0, MARK, "1.5"),
        (9_060.0, STATUS, "k/g/orders became lagging, from ok"),
        (9_110.0, STATUS, "k/g/orders became stalled"),
    ]


def test_a_history_that_cannot_be_read_hides_nothing_else(database: Database) -> None:
    found = knowledge(database, curves=FakeCurves(fails=True), since=9_110.0).gather(QUEUE, [LETTER])
    assert [it.text for it in found.changes] == ["k/g/orders became stalled"]
    assert [it.id for it in found.readers] == ["k/g/orders"]
