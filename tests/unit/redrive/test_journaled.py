"""Moving with a journal: what is done again after an interruption at each place, on a queue that only pretends.

A real broker cannot be interrupted between two lines of code; the buses' own tests kill the monitor at random.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from monitor.clock import Clock
from monitor.letters import (
    HEADER_ID,
    HEADER_JOB,
    Await,
    DeadMessage,
    Header,
    Job,
    OnAmbiguous,
    Outcome,
    Outgoing,
    PlanRequest,
    SendResult,
)
from monitor.redrive.choosing import make_chooser
from monitor.redrive.journal import Journal
from monitor.redrive.journaled import JournaledMover
from monitor.redrive.model import Counts
from monitor.storage.database import Database
from tests.storage.test_redrive import job_of

FAR = 1e9


class Crash(Exception):
    """The process ends here."""


class Queue:
    """What lies in the queue and at the target, and at which call the process ends."""

    def __init__(self, bodies: Sequence[str], unique: bool = True) -> None:
        self.positions_are_unique = unique
        self.waiting = [DeadMessage(body, {}, None, body.encode()) for body in bodies]
        self.hand: list[DeadMessage] = []
        self.arrived: list[str] = []
        self.crash_at = ""
        self.refuse: set[str] = set()
        self.answers_lost = 0
        self.removed_may_return = False

    def take(self, limit: int, deadline: float) -> Sequence[DeadMessage]:
        taken, self.waiting = self.waiting[:limit], self.waiting[limit:]
        self.hand += taken
        return taken

    def send(self, messages: Sequence[Outgoing], deadline: float) -> Sequence[SendResult]:
        self._maybe_crash("before send")
        results = []
        for out in messages:
            body = (out.message.value or b"").decode()
            if body in self.refuse:
                results.append(SendResult(False, reason="unroutable"))
                continue
            self.arrived.append(body)
            results.append(SendResult(True, "target") if self.answers_lost <= 0 else SendResult(False, known=False))
        self.answers_lost -= 1
        self._maybe_crash("after send")
        return results

    def remove(self, messages: Sequence[DeadMessage], deadline: float) -> Sequence[bool]:
        self._maybe_crash("before remove")
        for message in messages:
            self.hand.remove(message)
        self._maybe_crash("after remove")
        return [True] * len(messages)

    def release(self, messages: Sequence[DeadMessage]) -> None:
        for message in messages:
            self.hand.remove(message)
            self.waiting.append(message)

    def close(self) -> None:
        self.waiting, self.hand = [*self.hand, *self.waiting], []

    def _maybe_crash(self, place: str) -> None:
        if self.crash_at == place:
            self.crash_at = ""
            raise Crash


class TwoAtATime(Queue):
    """Hands out two at a time, and tells only when it is waited for what has arrived."""

    overlaps = True

    def __init__(self, bodies: Sequence[str], unique: bool = True) -> None:
        super().__init__(bodies, unique)
        self.most_on_their_way = self._on_their_way = 0

    def take(self, limit: int, deadline: float) -> Sequence[DeadMessage]:
        return super().take(min(limit, 2), deadline)

    def begin_send(self, messages: Sequence[Outgoing], deadline: float) -> Await:
        results = self.send(messages, deadline)
        self._on_their_way += len(messages)
        self.most_on_their_way = max(self.most_on_their_way, self._on_their_way)

        def wait(_until: float) -> Sequence[SendResult]:
            self._maybe_crash("while waiting")
            self._on_their_way -= len(messages)
            return results

        return wait

    def close(self) -> None:
        super().close()
        self._on_their_way = 0


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    database = Database.open(f"sqlite:///{tmp_path}/eventflow.db")
    yield Journal(database)
    database.close()


def carry_out(journal: Journal, queue: Queue, limit: int = 2, **request: object) -> Counts:
    """Run a job over the queue, again after each crash, and return its counts at the end."""
    count = len(queue.waiting)
    journal.add_job(job_of("j", planned=count))
    asked = PlanRequest("k/q", **request)  # type: ignore[arg-type]
    job = Job("j", asked, "q", "t", {"count": count})
    finished = False
    for _ in range(5):
        mover = JournaledMover(queue, journal, job, make_chooser(job, lambda: 0.0), Clock())
        try:
            mover.recover(FAR)
            while not finished:
                finished = mover.step(limit, FAR).finished
        except Crash:
            queue.close()
            continue
        mover.close()
        break
    assert finished
    return journal.job("j").counts


PLACES = ("before send", "after send", "before remove", "after remove")


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_lost_wherever_it_is_interrupted_and_only_what_is_unknown_goes_twice(
    journal: Journal, place: str
) -> None:
    queue = Queue("abcde")
    queue.crash_at = place
    counts = carry_out(journal, queue)
    assert set(queue.arrived) == set("abcde")
    assert sorted(queue.arrived) == sorted("abcdeab" if place == "after send" else "abcde")
    assert (queue.waiting, queue.hand) == ([], [])
    assert counts == Counts(planned=5, sent=5)
    assert journal.job("j").resent == (2 if place in ("before send", "after send") else 0)


@pytest.mark.parametrize(
    ("place", "twice"),
    [
        ("before send", ""),
        ("after send", "ab"),
        ("while waiting", "abcd"),
        ("before remove", "cd"),
        ("after remove", "cd"),
    ],
)
def test_of_two_batches_on_their_way_nothing_is_lost_and_only_what_is_unknown_goes_twice(
    journal: Journal, place: str, twice: str
) -> None:
    queue = TwoAtATime("abcdefg")
    queue.crash_at = place
    assert carry_out(journal, queue, limit=9) == Counts(planned=7, sent=7)
    assert sorted(queue.arrived) == sorted("abcdefg" + twice)
    assert (queue.waiting, queue.hand, queue.most_on_their_way) == ([], [], 4)
    assert {item.outcome for item in journal.items("j", 9, None, None)[0]} == {Outcome.SENT}


@pytest.mark.parametrize(
    ("place", "twice"),
    [
        ("before send", ""),
        ("after send", "ab"),
        ("while waiting", "abcd"),
        ("before remove", "abcd"),
        ("after remove", "cd"),
    ],
)
def test_of_batches_that_stand_in_one_row_nothing_is_lost_and_only_what_is_unknown_goes_twice(
    journal: Journal, place: str, twice: str
) -> None:
    queue = TwoAtATime("abcdefg", unique=False)
    queue.crash_at = place
    assert carry_out(journal, queue, limit=9) == Counts(planned=7, sent=7)
    assert sorted(queue.arrived) == sorted("abcdefg" + twice)
    assert (queue.waiting, queue.hand) == ([], [])
    items, _ = journal.items("j", 9, None, "sent")
    # What was removed when nobody could tell the journal any more is known as sent.
    assert sorted(it.position for it in items) == list("abcdefg")
    assert {it.position for it in items if it.stage == "sent"} == set("ab" if place == "after remove" else "")


def test_a_batch_of_which_one_is_refused_is_told_message_by_message(journal: Journal) -> None:
    queue = TwoAtATime("abcd", unique=False)
    queue.refuse = {"b"}
    assert carry_out(journal, queue, limit=9) == Counts(planned=4, sent=3, failed=1)
    assert [message.position for message in queue.waiting] == ["b"]
    told = {it.position: (it.stage, it.outcome, it.reason) for it in journal.items("j", 9, None, None)[0]}
    removed = ("removed", Outcome.SENT, "")
    assert told == {"a": removed, "b": ("settled", Outcome.FAILED, "unroutable"), "c": removed, "d": removed}


def test_equal_messages_are_numbered_whichever_attempt_sent_them(journal: Journal) -> None:
    queue = TwoAtATime(["same"] * 7, unique=False)
    queue.crash_at = "before remove"
    carry_out(journal, queue, limit=9)
    items, _ = journal.items("j", 99, None, None)
    assert [it.position for it in items if it.stage == "removed"] == [it.position for it in items]
    assert sorted(it.position for it in items) == ["same", *(f"same\t{number}" for number in range(2, 8))]
    assert {it.redrive_id for it in items} == {"j:same"}


def test_what_is_on_its_way_counts_towards_the_limit_and_is_settled_at_the_end(journal: Journal) -> None:
    queue = TwoAtATime("abcdefg")
    journal.add_job(job_of("j", planned=7))
    job = Job("j", PlanRequest("k/q"), "q", "t", {"count": 7})
    mover = JournaledMover(queue, journal, job, make_chooser(job, lambda: 0.0), Clock())
    mover.recover(FAR)
    told = [len(mover.step(limit, FAR).fates) for limit in (3, 3)]
    assert (told, queue.arrived, mover.still_there) == ([0, 3], list("abc"), 0)
    assert len(mover.step(4, FAR).fates) == 0
    assert (journal.job("j").counts.sent, mover.still_there) == (3, 2)
    mover.close()
    assert (journal.job("j").counts.sent, "".join(it.position for it in queue.waiting)) == (5, "fg")


@pytest.mark.parametrize("unique", [True, False])
def test_what_comes_back_before_its_confirm_is_read_stays_bounced(journal: Journal, unique: bool) -> None:
    queue = TwoAtATime("abc", unique)
    send = queue.send

    def come_back(messages: Sequence[Outgoing], deadline: float) -> Sequence[SendResult]:
        stamps = (Header(HEADER_ID, messages[0].redrive_id.encode()), Header(HEADER_JOB, b"j"))
        queue.waiting.insert(0, DeadMessage(f"{messages[0].message.position}-back", {}, None, b"x", stamps))
        queue.send = send  # type: ignore[method-assign]
        return send(messages, deadline)

    queue.send = come_back  # type: ignore[method-assign]
    journal.add_job(job_of("j", planned=3))
    job = Job("j", PlanRequest("k/q"), "q", "t", {"count": 9})
    mover = JournaledMover(queue, journal, job, make_chooser(job, lambda: 0.0), Clock())
    mover.recover(FAR)
    while not mover.step(9, FAR).finished:
        pass
    mover.close()
    assert journal.job("j").counts == Counts(planned=3, sent=2, bounced=1)
    assert sorted(queue.arrived) == list("abc")


def test_with_hold_what_is_unknown_stays_and_is_counted(journal: Journal) -> None:
    queue = Queue("abcde")
    queue.crash_at = "after send"
    counts = carry_out(journal, queue, on_ambiguous=OnAmbiguous.HOLD)
    assert sorted(queue.arrived) == list("abcde")
    assert [message.position for message in queue.waiting] == ["a", "b"]
    assert counts == Counts(planned=5, sent=3, ambiguous=2)


def test_what_got_no_answer_goes_again_at_once_and_is_counted_as_sent_again(journal: Journal) -> None:
    queue = Queue("abc")
    queue.answers_lost = 1
    counts = carry_out(journal, queue)
    assert sorted(queue.arrived) == list("aabbc")
    assert (counts, journal.job("j").resent) == (Counts(planned=3, sent=3), 2)
    assert (queue.waiting, queue.hand) == ([], [])


def test_what_never_gets_an_answer_is_told_as_ambiguous_and_stays(journal: Journal) -> None:
    queue = Queue("a")
    queue.answers_lost = 99
    assert carry_out(journal, queue) == Counts(planned=1, ambiguous=1)
    assert (len(queue.arrived), [message.position for message in queue.waiting]) == (4, ["a"])


def test_with_hold_what_got_no_answer_stays(journal: Journal) -> None:
    queue = Queue("a")
    queue.answers_lost = 1
    assert carry_out(journal, queue, on_ambiguous=OnAmbiguous.HOLD) == Counts(planned=1, ambiguous=1)
    assert queue.arrived == ["a"]


def test_what_the_target_refuses_stays_with_its_reason(journal: Journal) -> None:
    queue = Queue("abc")
    queue.refuse = {"b"}
    counts = carry_out(journal, queue)
    assert counts == Counts(planned=3, sent=2, failed=1)
    assert [message.position for message in queue.waiting] == ["b"]
    assert [it.reason for it in journal.items("j", 9, None, "failed")[0]] == ["unroutable"]


def test_what_is_not_selected_stays_and_gets_no_outcome(journal: Journal) -> None:
    queue = Queue("abcd")
    counts = carry_out(journal, queue, select="text == 'b' || text == 'c'")
    assert queue.arrived == ["b", "c"]
    assert [message.position for message in queue.waiting] == ["a", "d"]
    assert (counts.sent, counts.left) == (2, 2)


@pytest.mark.parametrize("place", PLACES)
def test_equal_messages_are_each_sent(journal: Journal, place: str) -> None:
    queue = Queue(["same", "other", "same", "same"], unique=False)
    queue.crash_at = place
    carry_out(journal, queue)
    assert queue.arrived.count("same") >= 3
    assert (queue.waiting, queue.hand) == ([], [])


def test_a_message_that_was_never_handed_out_is_not_taken_for_one_that_was_sent(journal: Journal) -> None:
    queue = Queue(["same"], unique=False)
    queue.crash_at = "after remove"
    # Its equal, which lay behind it, has never been in anybody's hand.
    behind = DeadMessage("same", {}, None, b"same", properties={"redelivered": False})
    queue.waiting.append(behind)
    carry_out(journal, queue)
    assert queue.arrived == ["same", "same"]


@pytest.mark.parametrize("kind", [Queue, TwoAtATime])
def test_what_a_restarted_broker_gives_back_although_it_was_removed_goes_again_and_is_counted_once(
    journal: Journal, kind: type[Queue]
) -> None:
    queue = kind("abcd", unique=False)
    queue.removed_may_return = True
    take = queue.take

    def forget(limit: int, deadline: float) -> Sequence[DeadMessage]:
        queue.take = take  # type: ignore[method-assign]
        queue.waiting.insert(0, DeadMessage("a", {}, None, b"a"))
        raise Crash

    def take_once(limit: int, deadline: float) -> Sequence[DeadMessage]:
        queue.take = forget  # type: ignore[method-assign]
        return take(limit, deadline)

    queue.take = take_once  # type: ignore[method-assign]
    counts = carry_out(journal, queue)
    assert set(queue.arrived) == set("abcd")
    assert (counts, queue.waiting) == (Counts(planned=4, sent=4), [])
    assert (queue.arrived.count("a"), journal.job("j").resent) == (2, 1)


def test_a_message_that_comes_back_is_counted_as_bounced_and_not_sent_again(journal: Journal) -> None:
    queue = Queue("ab")

    def come_back(send: Callable[..., Sequence[SendResult]]) -> Callable[..., Sequence[SendResult]]:
        def sending(messages: Sequence[Outgoing], deadline: float) -> Sequence[SendResult]:
            for out in messages:
                stamps = (Header(HEADER_ID, out.redrive_id.encode()), Header(HEADER_JOB, b"j"))
                queue.waiting.append(DeadMessage(f"{out.message.position}-back", {}, None, b"x", stamps))
            return send(messages, deadline)

        return sending

    queue.send = come_back(queue.send)  # type: ignore[method-assign]
    job = Job("j", PlanRequest("k/q"), "q", "t", {"count": 10})
    journal.add_job(job_of("j", planned=2))
    mover = JournaledMover(queue, journal, job, make_chooser(job, lambda: 0.0), Clock())
    mover.recover(FAR)
    while not mover.step(2, FAR).finished:
        pass
    mover.close()
    assert journal.job("j").counts == Counts(planned=2, bounced=2)
    assert len(queue.arrived) == 2
    assert {it.outcome for it in journal.items("j", 9, None, None)[0]} == {Outcome.BOUNCED}
