"""Setting aside and putting back over a queue that only pretends, interrupted at each place: nothing is ever lost.

A real broker cannot be interrupted between two lines of code.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from monitor.clock import Clock
from monitor.letters import Action, DeadMessage, Held, Job, Outgoing, PlanRequest, SendResult
from monitor.redrive.archive import Archive, ArchivingHeld, RestoringHeld
from monitor.redrive.choosing import make_chooser
from monitor.redrive.journal import Journal
from monitor.redrive.journaled import JournaledMover
from monitor.redrive.model import JobState
from monitor.redrive.sealing import Sealer
from monitor.storage.database import Database
from tests.storage.test_redrive import job_of
from tests.unit.redrive.test_journaled import FAR, Crash, Queue


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(f"sqlite:///{tmp_path}/eventflow.db")
    yield opened
    opened.close()


@pytest.fixture
def archive(database: Database) -> Archive:
    return Archive(database, Sealer([Fernet.generate_key().decode()]), 60.0, 1_000_000, Clock())


class CrashingArchive(ArchivingHeld):
    """The process ends before or after the messages are kept."""

    crash_at = ""

    def send(self, messages: Sequence[Outgoing], deadline: float) -> Sequence[SendResult]:
        if self.crash_at == "before send":
            raise Crash
        results = super().send(messages, deadline)
        if self.crash_at == "after send":
            raise Crash
        return results


def carry_out(database: Database, action: Action, count: int, open_held: Callable[[Job, int], Held]) -> None:
    journal, name = Journal(database), action.value
    journal.add_job(replace(job_of(name, planned=count), action=action))
    request = PlanRequest("k/q", action=action, reason="why", archive="archive")
    job = Job(name, request, "q", "t", {"count": count})
    finished = False
    for attempt in range(3):
        held = open_held(job, attempt)
        mover = JournaledMover(held, journal, job, make_chooser(job, lambda: 0.0), Clock())
        try:
            mover.recover(FAR)
            while not finished:
                finished = mover.step(2, FAR).finished
        except Crash:
            held.close()
            continue
        mover.close()
    assert finished
    journal.update_job(name, state=JobState.COMPLETED)


def set_aside(database: Database, archive: Archive, queue: Queue, place: str) -> None:
    def open_held(job: Job, attempt: int) -> Held:
        held = CrashingArchive(queue, archive, job)
        held.crash_at = place if attempt == 0 else ""
        queue.crash_at = held.crash_at
        return held

    carry_out(database, Action.ARCHIVE, len(queue.waiting), open_held)


def bodies(archive: Archive) -> Counter[bytes]:
    return Counter(message.value or b"" for _, message in archive.page("archive", 100))


PLACES = ("", "before send", "after send", "before remove", "after remove")


@pytest.mark.parametrize("place", PLACES)
def test_what_is_set_aside_is_kept_once_where_messages_have_ids(
    database: Database, archive: Archive, place: str
) -> None:
    queue = Queue("abcde")
    set_aside(database, archive, queue, place)
    assert (queue.waiting, queue.hand, queue.arrived) == ([], [], [])
    assert bodies(archive) == Counter([b"a", b"b", b"c", b"d", b"e"])
    assert Journal(database).job("archive").counts.sent == 5


@pytest.mark.parametrize("place", PLACES)
def test_equal_messages_are_each_kept(database: Database, archive: Archive, place: str) -> None:
    queue = Queue(["same", "other", "same", "same"], unique=False)
    set_aside(database, archive, queue, place)
    assert (queue.waiting, queue.hand) == ([], [])
    kept = bodies(archive)
    assert kept[b"same"] >= 3
    assert kept[b"other"] >= 1
    assert kept.total() <= 4 + 2  # at most one batch twice


class Target:
    """Where archived messages go back to."""

    def __init__(self) -> None:
        self.arrived: list[DeadMessage] = []
        self.crash_at = ""

    def put(self, messages: Sequence[DeadMessage], deadline: float) -> Sequence[SendResult]:
        if self.crash_at == "before send":
            raise Crash
        self.arrived += messages
        if self.crash_at == "after send":
            raise Crash
        return [SendResult(True, "q")] * len(messages)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("place", ["", "before send", "after send"])
def test_what_is_put_back_arrives_in_order_and_leaves_the_archive(
    database: Database, archive: Archive, place: str
) -> None:
    set_aside(database, archive, Queue("edcba"), "")
    target = Target()

    def open_held(job: Job, attempt: int) -> Held:
        target.crash_at = place if attempt == 0 else ""
        return RestoringHeld(archive, "archive", target)

    carry_out(database, Action.RESTORE, 5, open_held)
    came = [(message.value or b"").decode() for message in target.arrived]
    assert "".join(came) == ("ededcba" if place == "after send" else "edcba")
    assert archive.stock("archive").messages == 0


def test_what_does_not_fit_stays_in_its_queue_with_the_reason(database: Database) -> None:
    small = Archive(database, Sealer([Fernet.generate_key().decode()]), 60.0, 2_000, Clock())
    queue = Queue("abcdefgh")
    set_aside(database, small, queue, "")
    counts = Journal(database).job("archive").counts
    assert counts.failed > 0
    assert counts.sent == bodies(small).total() == 8 - counts.failed
    assert len(queue.waiting) == counts.failed
    (reason,) = {it.reason for it in Journal(database).items("archive", 10, None, "failed")[0]}
    assert "archive is full" in reason
