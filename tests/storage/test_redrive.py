"""The journal, the audit log and the claims, on both databases."""

import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
import sqlalchemy as sa

from monitor.clock import Clock
from monitor.errors import BadRequest, Conflict
from monitor.letters import DeadMessage, Fate, Outcome
from monitor.redrive.audit import Actor, Audit
from monitor.redrive.batches import Together
from monitor.redrive.claims import Claims
from monitor.redrive.items import Item
from monitor.redrive.journal import Journal, StoredJob, StoredPlan
from monitor.redrive.model import Counts, JobState
from monitor.redrive.totals import Totals
from monitor.storage.database import Database
from monitor.storage.tables import AUDIT

ALICE = Actor("alice", "operator", "127.0.0.1")


def job_of(id_: str, queue: str = "k/q", key: str | None = None, planned: int = 10) -> StoredJob:
    return StoredJob(
        id=id_,
        sequence=0,
        plan=f"plan-{id_}",
        dead_letters=queue,
        idempotency_key=key,
        actor="alice",
        state=JobState.PLANNED,
        reason=None,
        wanted="run",
        rate_per_second=None,
        counts=Counts(planned=planned, left=planned),
        interruptions=0,
        resent=0,
        reached={},
        created_at=1.0,
        started_at=None,
        ended_at=None,
    )


def fate_of(position: str, outcome: Outcome, reason: str = "") -> Fate:
    return Fate(DeadMessage(position, {"n": 1}, None, b"x"), outcome, reason=reason)


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database)


def test_a_queue_has_one_job_at_a_time(journal: Journal) -> None:
    journal.add_job(job_of("a"))
    with pytest.raises(Conflict, match="job a redrives k/q already"):
        journal.add_job(job_of("b"))
    journal.add_job(job_of("other", "k/other"))
    journal.update_job("a", state=JobState.COMPLETED)
    assert journal.add_job(job_of("b"))[1] is True
    assert [job.id for job in journal.unfinished()] == ["b", "other"]


def test_many_starts_at_once_make_one_job(journal: Journal) -> None:
    told: list[str] = []

    def start(number: int) -> None:
        try:
            told.append(journal.add_job(job_of(f"j{number}"))[0].id)
        except Conflict:
            told.append("conflict")

    threads = [threading.Thread(target=start, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.count("conflict") == 7


@pytest.fixture
def two(database: Database, database_url: str) -> Iterator[tuple[Journal, Journal]]:
    """The journals of two monitors on one PostgreSQL; a SQLite has one monitor, whose requests share a journal."""
    if database.engine.dialect.name == "sqlite":
        journal = Journal(database)
        yield journal, journal
    else:
        other = Database.open(database_url)
        yield Journal(database), Journal(other)
        other.close()


def test_nobody_starts_a_job_on_a_queue_while_it_is_purged(two: tuple[Journal, Journal]) -> None:
    one, other = two
    with one.free("k/q"):
        with pytest.raises(Conflict, match="is being purged"):
            other.add_job(job_of("a"))
        with pytest.raises(Conflict, match="is being purged"), other.free("k/q"):
            pass
        other.add_job(job_of("b", "k/elsewhere"))
    assert other.add_job(job_of("a"))[1] is True


def test_no_queue_is_purged_while_a_job_has_it(two: tuple[Journal, Journal]) -> None:
    one, other = two
    other.add_job(job_of("a"))
    with pytest.raises(Conflict, match="job a is planned"), one.free("k/q"):
        pass
    other.update_job("a", state=JobState.CANCELLED)
    with one.free("k/q"):
        pass


def test_of_a_start_and_a_purge_at_once_one_at_most_goes_on(two: tuple[Journal, Journal]) -> None:
    one, other = two
    began = threading.Barrier(2, timeout=20)
    started: list[str] = []

    def start() -> None:
        for number in range(20):
            began.wait()
            with suppress(Conflict):
                started.append(other.add_job(job_of(f"j{number}"))[0].id)
            began.wait()

    thread = threading.Thread(target=start)
    thread.start()
    for _round in range(20):
        began.wait()
        with suppress(Conflict), one.free("k/q"):
            for _ in range(3):  # what is in the queue goes meanwhile
                assert one.unfinished() == []
        began.wait()
        for job in one.unfinished():
            one.update_job(job.id, state=JobState.CANCELLED)
    thread.join()


def test_the_same_key_or_plan_is_the_same_job(journal: Journal) -> None:
    first, new = journal.add_job(job_of("a", key="click"))
    again, new_again = journal.add_job(job_of("b", key="click"))
    assert (new, new_again, again.id) == (True, False, first.id)
    journal.update_job("a", state=JobState.COMPLETED)
    assert journal.find_started("plan-a", None) is not None
    assert journal.find_started("plan-x", "click") is not None
    assert journal.find_started("plan-x", "other") is None


def test_counts_add_up_whatever_happens_to_an_item(journal: Journal) -> None:
    journal.add_job(job_of("a"))
    journal.record("a", 1.0, moved=3, expired=1)
    journal.record("a", 2.0, fates=[fate_of("1", Outcome.FAILED, "no"), fate_of("2", Outcome.SENT)])
    # Told a second time, as after a crash, and with another outcome: neither is counted twice.
    counts = journal.record("a", 3.0, fates=[fate_of("1", Outcome.FAILED, "no"), fate_of("2", Outcome.SENT)])
    assert counts == Counts(planned=10, sent=4, failed=1, expired=1, left=4)
    counts = journal.record("a", 4.0, fates=[fate_of("1", Outcome.SENT)])
    assert counts == Counts(planned=10, sent=5, expired=1, left=4)
    assert journal.job("a").counts == counts


def test_a_bounced_item_leaves_sent_once(journal: Journal) -> None:
    journal.add_job(job_of("a"))
    journal.record("a", 1.0, moved=5)
    journal.count_bounced("a", ["a:0:1", "a:0:2", "a:0:1"], 2.0)
    counts = journal.count_bounced("a", ["a:0:2"], 3.0)
    assert counts == Counts(planned=10, sent=3, bounced=2, left=5)


def test_more_than_planned_raises_the_plan_and_less_lowers_it_at_the_end(journal: Journal) -> None:
    journal.add_job(job_of("a", planned=2))
    assert journal.record("a", 1.0, moved=5) == Counts(planned=5, sent=5)
    journal.add_job(job_of("b", "k/other", planned=9))
    journal.record("b", 1.0, moved=4)
    assert journal.close_counts("b", exhausted=True) == Counts(planned=4, sent=4)


def test_items_go_through_their_stages(journal: Journal) -> None:
    journal.add_job(job_of("a"))
    journal.put_items("a", [Item(str(n), f"a:{n}", "intent", None) for n in range(3)], 1.0)
    journal.record("a", 2.0, fates=[fate_of("0", Outcome.SENT), fate_of("1", Outcome.SENT)])
    journal.put_items("a", (), 3.0, removed=["0"])
    stages = {item.position: item.stage for item in journal.items("a", 10, None, None)[0]}
    assert stages == {"0": "removed", "1": "sent", "2": "intent"}
    assert journal.count_stage("a", "removed") == 1
    assert [item.position for item in journal.items("a", 10, "item 0", "sent")[0]] == ["1"]
    assert journal.items_by_position("a", ["2", "9"])["2"].redrive_id == "a:2"


def together(number: int, positions: str) -> Together:
    return Together(number, list(positions), [{"n": it} for it in positions])


def test_a_batch_stands_for_its_messages(journal: Journal) -> None:
    journal.add_job(job_of("a"))
    journal.put_items("a", (), 1.0, together=together(1, "xyz"))
    assert (journal.count_stage("a", "intent"), journal.job("a").counts.sent) == (3, 0)
    assert journal.record_together("a", together(1, "xyz"), "target", 2.0)
    journal.put_items("a", (), 3.0, removed_together=[together(1, "xyz")])
    assert (journal.count_stage("a", "removed"), journal.job("a").counts) == (3, Counts(planned=10, sent=3, left=7))
    assert journal.positions_together("a") == set("xyz")
    assert journal.newest_batch("a") == 1
    first, *_ = journal.items("a", 9, None, None)[0]
    assert first == Item("x", "a:x", "removed", Outcome.SENT, "target", "", {"n": "x"})


def test_a_batch_is_taken_apart_when_one_of_it_goes_another_way(journal: Journal) -> None:
    journal.add_job(job_of("a"))
    for number, positions in ((1, "vw"), (2, "xy"), (3, "z")):
        journal.put_items("a", (), 1.0, together=together(number, positions))
        assert journal.record_together("a", together(number, positions), "target", 2.0)
    assert journal.count_bounced("a", ["a:x"], 3.0) == Counts(planned=10, sent=4, bounced=1, left=5)
    journal.put_items("a", (), 4.0, removed_together=[together(number, it) for number, it in ((1, "vw"), (2, "xy"))])
    told = {it.position: (it.stage, it.outcome) for it in journal.items("a", 9, None, None)[0]}
    assert told == {**dict.fromkeys("vwy", ("removed", Outcome.SENT)), "x": ("removed", Outcome.BOUNCED),
                    "z": ("sent", Outcome.SENT)}  # fmt: skip
    assert journal.positions_together("a") == set("vwz")
    journal.take_unfinished_apart("a")
    assert journal.positions_together("a") == set("vw")
    assert not journal.record_together("a", together(3, "z"), "target", 5.0)
    assert journal.job("a").counts.sent == 4


def test_items_come_page_by_page_each_once(journal: Journal) -> None:
    journal.add_job(job_of("a"))
    journal.put_items("a", [Item(it, f"a:{it}", "intent", None) for it in "ab"], 1.0, together=together(1, "xyz"))
    journal.put_items("a", (), 1.0, together=together(2, "uvw"))
    assert journal.record_together("a", together(2, "uvw"), "target", 2.0)
    pages: list[str] = []
    cursor: str | None = None
    while not pages or cursor is not None:
        items, cursor = journal.items("a", 2, cursor, None)
        pages.append("".join(it.position for it in items))
    assert pages == ["xy", "zu", "vw", "ab"]
    assert "".join(it.position for it in journal.items("a", 9, None, "sent")[0]) == "uvw"
    with pytest.raises(BadRequest, match="cursor"):
        journal.items("a", 2, "elsewhere", None)


def test_ranges_and_reached_are_kept_with_the_counts(journal: Journal) -> None:
    journal.add_job(job_of("a"))
    journal.record("a", 1.0, moved=2, reached={"0": [2, 2, 0, 0]}, ranges=[{"sent": 1}, {"sent": 1}])
    journal.record("a", 2.0, moved=1, ranges=[{"sent": 1}])
    assert journal.job("a").reached == {"0": [2, 2, 0, 0]}
    assert len(journal.ranges("a")) == 3


def test_totals_never_fall_and_count_what_came_back_as_sent_too(journal: Journal) -> None:
    body = {"system": "kafka", "cluster": "k", "source": "q", "target": "t"}
    journal.add_plan(StoredPlan("plan-a", "h", "k/q", 1.0, 2.0, body))
    journal.add_job(job_of("a"))
    totals = Totals(journal)
    journal.record("a", 1.0, moved=4, fates=[fate_of("9", Outcome.FAILED, "no")])
    totals.read()
    journal.count_bounced("a", ["a:0:1"], 2.0)
    journal.record("a", 3.0, fates=[fate_of("9", Outcome.SENT)])
    totals.read()
    sums = {way[-1]: number for way, number in totals.messages("k")}
    assert (sums["sent"], sums["bounced"], sums["failed"]) == (5, 1, 1)
    assert totals.messages("other") == []
    assert totals.states()["planned"] == 1


def test_a_job_that_has_ended_cannot_be_steered(journal: Journal) -> None:
    journal.add_job(job_of("a"))
    assert journal.want("a", "pause").wanted == "pause"
    journal.update_job("a", state=JobState.CANCELLED)
    with pytest.raises(Conflict, match="cancelled"):
        journal.want("a", "run")


def test_the_chain_of_audit_records_holds_until_one_is_changed(database: Database) -> None:
    audit = Audit(database, Clock(now=lambda: 5.0))
    threads = [threading.Thread(target=audit.write, args=(ALICE, "redrive.start", "allowed")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert audit.verify().intact
    assert [record["sequence"] for record in audit.read(3)] == [8, 7, 6]
    with database.writing() as connection:
        row = connection.execute(sa.select(AUDIT.c.record).where(AUDIT.c.sequence == 4)).scalar_one()
        changed = row.replace("alice", "mallory")
        connection.execute(sa.update(AUDIT).where(AUDIT.c.sequence == 4).values(record=changed, actor="mallory"))
    assert audit.verify().broken_at == 4


def test_a_record_that_was_taken_out_is_noticed(database: Database) -> None:
    audit = Audit(database, Clock())
    for _ in range(3):
        audit.write(ALICE, "redrive.start", "refused")
    with database.writing() as connection:
        connection.execute(sa.delete(AUDIT).where(AUDIT.c.sequence == 2))
    assert audit.verify().broken_at == 2


def test_one_monitor_has_a_job_until_it_ends(database_url: str) -> None:
    databases = [Database.open(database_url) for _ in range(2)]
    mine, others = (Claims(database) for database in databases)
    assert mine.take("a")
    assert mine.holds("a")
    assert not others.take("a")
    mine.close()
    assert others.take("a")
    assert not mine.holds("a")
    others.close()
    for database in databases:
        database.close()
