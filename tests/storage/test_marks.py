"""Marks on SQLite and PostgreSQL: what was noted is there for others and after a restart, in the order of time."""

from monitor.clock import Clock
from monitor.storage.database import Database
from monitor.storage.marks import Marks


def test_marks_are_kept_in_the_order_in_which_things_happened(database: Database) -> None:
    marks = Marks(database, Clock(now=lambda: 1_000.0))
    late = marks.add("deploy billing", "1.5", at=900.0, actor="alice")
    early = marks.add("deploy mail", "", at=800.0, actor="bob")
    assert (late.created_at, late.note) == (1_000.0, "1.5")
    seen = Marks(database, Clock(now=lambda: 2_000.0))
    assert list(seen.between(0.0, 1_000.0)) == [early, late]
    assert list(seen.between(800.5, 900.0)) == [late]
    assert list(seen.between(900.5, 1_000.0)) == []
