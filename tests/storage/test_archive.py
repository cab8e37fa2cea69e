"""What is kept of messages that were set aside, edited or exported, on both databases."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from monitor.clock import Clock
from monitor.errors import Conflict, StorageError
from monitor.letters import Action, DeadMessage, Header
from monitor.model import FoundBy, Origin
from monitor.redrive.archive import Archive, ArchiveFull
from monitor.redrive.editing import edit_of
from monitor.redrive.edits import EditLog
from monitor.redrive.exports import Export, Exports
from monitor.redrive.journal import Journal
from monitor.redrive.model import JobState
from monitor.redrive.sealing import Sealer
from monitor.storage.database import Database
from monitor.storage.tables import ARCHIVE, REDRIVE_EDITS
from tests.storage.test_redrive import job_of

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
MESSAGE = DeadMessage(
    position="m-1",
    coordinates={"message_id": "m-1", "b64": "no mark"},
    key=None,
    value=b"\x00secret\xff",
    headers=(Header("a", b"\xfe", "bytes"), Header("a", None), Header("b", b"")),
    properties={"priority": 3, "table": {"n": [1, b"\x01", None]}},
    enqueued_at=5.0,
    origin=Origin("orders", FoundBy.HEADERS),
    origin_detail={"partition": 1},
    exception="X",
    raw=b"\x01\x02",
)


class Time:
    def __init__(self) -> None:
        self.now = 1000.0
        self.clock = Clock(now=lambda: self.now)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def archive(database: Database, time: Time) -> Archive:
    Journal(database).add_job(job_of("a"))
    return Archive(database, Sealer([NEW]), 60.0, 5_000, time.clock)


def test_a_message_comes_back_in_every_byte(archive: Archive) -> None:
    archive.put("a", [("m-1", MESSAGE), ("m-0", replace(MESSAGE, value=None))])
    (_, first), (number, second) = archive.page("a", 10)
    assert first == MESSAGE
    assert second == replace(MESSAGE, value=None, position="m-0")
    assert archive.page("a", 10, number) == []


def test_what_lies_there_cannot_be_read_without_its_key(database: Database, archive: Archive, time: Time) -> None:
    archive.put("a", [("m-1", MESSAGE)])
    with database.reading() as connection:
        body = connection.execute(sa.select(ARCHIVE.c.body)).scalar_one()
    assert b"secret" not in body
    assert Archive(database, Sealer([OLD, NEW]), 60.0, 5_000, time.clock).page("a", 1)[0][1] == MESSAGE
    for keys in ([OLD], []):
        with pytest.raises(StorageError, match=r"archive\.keys"):
            Archive(database, Sealer(keys), 60.0, 5_000, time.clock).page("a", 1)


def test_the_same_message_put_twice_is_kept_once_and_what_is_restored_goes(archive: Archive) -> None:
    for _ in range(2):
        archive.put("a", [("m-1", MESSAGE)])
    archive.put("a", [("m-2", MESSAGE)])
    assert archive.stock("a").messages == 2
    archive.remove("a", ["m-1"])
    assert [message.position for _, message in archive.page("a", 10)] == ["m-2"]


def test_the_cap_holds_and_refuses_as_a_whole(archive: Archive) -> None:
    with pytest.raises(ArchiveFull):
        archive.put("a", [("m-1", MESSAGE), ("m-2", replace(MESSAGE, value=b"x" * 5_000))])
    assert archive.bytes() == 0
    archive.put("a", [("m-1", MESSAGE)])
    assert 0 < archive.bytes() == archive.stock("a").bytes <= 5_000


def test_it_is_deleted_at_its_date(archive: Archive, time: Time) -> None:
    archive.put("a", [("m-1", MESSAGE)])
    assert archive.stock("a").delete_at == 1060.0
    time.now = 1059.0
    assert archive.expire() == 0
    time.now = 1060.0
    assert archive.expire() == 1
    assert archive.stock("a").messages == 0


def test_edits_are_kept_with_hashes_and_originals_that_go_at_their_date(database: Database, time: Time) -> None:
    Journal(database).add_job(job_of("a"))
    log = EditLog(database, Sealer([NEW]), 60.0, time.clock)
    edits = [edit_of(replace(MESSAGE, position=name), replace(MESSAGE, value=b"new")) for name in ("1", "2")]
    log.keep("a", edits[:1], originals=True)
    log.keep("a", edits, originals=True)
    assert log.digest("a")["messages"] == 2
    assert log.hashes("a", ["1", "9"]) == {"1": (edits[0].before_sha256, edits[0].after_sha256)}
    assert [it.original for it in log.page("a", 10, None)] == [edit.original for edit in edits]
    assert [it.position for it in log.page("a", 10, "1")] == ["2"]
    digest, time.now = log.digest("a"), 1060.0
    assert log.expire() == 2
    assert [it.original for it in log.page("a", 10, None)] == [None, None]
    assert log.digest("a") == digest
    with database.writing() as connection:
        connection.execute(
            sa.update(REDRIVE_EDITS).where(REDRIVE_EDITS.c.position == "1").values(after_sha256="0" * 64)
        )
    assert log.digest("a")["digest"] != digest["digest"]


def test_where_the_broker_keeps_the_original_only_hashes_are_kept(database: Database, time: Time) -> None:
    Journal(database).add_job(job_of("a"))
    log = EditLog(database, Sealer([]), 60.0, time.clock)
    log.keep("a", [edit_of(MESSAGE, replace(MESSAGE, value=b"new"))], originals=False)
    (kept,) = log.page("a", 10, None)
    assert kept.original is None


def test_an_export_is_found_again(database: Database) -> None:
    export = Export("e", "k/q", "alice", 1.0, 7, "0" * 64)
    Exports(database).add(export)
    assert Exports(database).find("e") == export
    assert Exports(database).find("other") is None


def test_a_job_leaves_the_state_in_which_it_waits_once(database: Database) -> None:
    journal = Journal(database)
    journal.add_job(replace(job_of("a"), state=JobState.AWAITING_APPROVAL, approval="many"))
    waiting = JobState.AWAITING_APPROVAL
    job = journal.change_state("a", waiting, state=JobState.PLANNED, approved_by="bob", approved_at=1.0)
    assert (job.state, job.approved_by) == (JobState.PLANNED, "bob")
    with pytest.raises(Conflict, match="planned meanwhile"):
        journal.change_state("a", waiting, state=JobState.CANCELLED)
    assert journal.unfinished() == [job]


def test_archives_are_listed_with_what_was_put_back(database: Database) -> None:
    journal = Journal(database)
    journal.add_job(replace(job_of("a"), action=Action.ARCHIVE))
    assert journal.archives(None, 10, None) == []
    journal.record("a", 1.0, moved=4)
    journal.update_job("a", state=JobState.COMPLETED)
    journal.add_job(replace(job_of("b"), action=Action.RESTORE, archive="a"))
    journal.record("b", 1.0, moved=3)
    assert [job.id for job in journal.archives("k/q", 10, None)] == ["a"]
    assert journal.archives("k/other", 10, None) == []
    assert journal.count_restored("a") == 3
    assert [job.id for job in journal.jobs(10, None, "k/q")] == ["b", "a"]
