"""Refused reads on record: each kind at once, and its repetitions as a number."""

from pathlib import Path
from typing import Any

from monitor.clock import Clock
from monitor.errors import BrokerFailed, NotAllowed, NotFound
from monitor.redrive.audit import Actor, Audit
from monitor.redrive.refusals import Refusals, is_refusal
from monitor.storage.database import Database

VICTOR = Actor("victor", "viewer", "127.0.0.1")
NO = NotAllowed("this needs the role operator")


def open_audit(folder: Path) -> Audit:
    return Audit(Database.open(f"sqlite:///{folder}/eventflow.db"), Clock())


def told(audit: Audit) -> list[tuple[Any, ...]]:
    records = reversed(audit.read(1000))
    return [(it["actor"], it["operation"], it["outcome"], it.get("repeated")) for it in records]


def test_a_loop_of_refused_reads_is_one_record_at_once_and_one_with_their_number_later(tmp_path: Path) -> None:
    audit, times = open_audit(tmp_path), [0.0]
    refusals = Refusals(audit, Clock(monotonic=lambda: times[-1]))
    for _ in range(500):
        refusals.note(VICTOR, "redrive.plan", "/api/v1/redrives/plan/" + "x" * 5_000, NO)
        refusals.tell()
    assert told(audit) == [("victor", "redrive.plan", "refused", None)]
    assert len(audit.read(1)[0]["path"]) == 300
    times.append(601.0)
    refusals.tell()
    assert told(audit)[1:] == [("victor", "redrive.plan", "refused", 499)]
    times.append(1202.0)
    refusals.tell()
    refusals.note(VICTOR, "redrive.plan", "/p", NO)
    assert told(audit)[2:] == [("victor", "redrive.plan", "refused", None)]


def test_beyond_so_many_kinds_the_others_are_one(tmp_path: Path) -> None:
    audit = open_audit(tmp_path)
    refusals = Refusals(audit, Clock(monotonic=lambda: 0.0))
    for number in range(130):
        refusals.note(Actor(f"somebody {number}", "viewer"), "redrive.plan", "/p", NO)
    assert len(told(audit)) == 101
    assert told(audit)[-1] == ("others", "read", "refused", None)


def test_what_is_about_rights_is_a_refusal_and_a_mistake_is_none() -> None:
    assert is_refusal(NO)
    assert is_refusal(BrokerFailed("looking could remove a message", reason="forbidden"))
    assert not is_refusal(NotFound("there is no such queue"))
    assert not is_refusal(BrokerFailed("no answer", reason="timeout"))
