"""Counters that outlive collectors and restarts, on SQLite and PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from monitor.clock import Clock
from monitor.errors import StorageError
from monitor.memory import Memory
from monitor.model import Table
from monitor.storage.counters import Counters
from monitor.storage.database import Database
from monitor.storage.tables import COUNTERS

LABELS = ("group", "topic")
HOUR, DAY = 3600.0, 86400.0


@dataclass
class Time:
    now: float = 1_700_000_000.0

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, monotonic=lambda: self.now)


def started(database: Database, time: Time | None = None, clusters: Sequence[str] = ("c", "d")) -> Counters:
    counters = Counters(database, (time or Time()).clock)
    counters.load(clusters)
    return counters


def totals(**groups: float | None) -> Table:
    """A counter of each group for the topic `t/"`."""
    return Table.of_rows(LABELS, [(group, 't/"') for group in groups], {"total": groups.values()})


def recalled(memory: Memory) -> dict[str, float]:
    return {group: columns["total"] for (group, _), columns in memory.recall("groups", LABELS).items() if columns}


def rows(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(COUNTERS)).scalar_one())


def test_what_was_saved_is_recalled_after_a_restart_by_its_labels_in_any_order(database: Database) -> None:
    counters = started(database)
    counters.memory_of("c").keep("groups", totals(a=5.0, b=0.5, unknown=None))
    counters.memory_of("d").keep("groups", totals(a=7.0))
    counters.save()
    again = started(database)
    assert again.memory_of("c").recall("groups", LABELS) == {
        ("a", 't/"'): {"total": 5.0},
        ("b", 't/"'): {"total": 0.5},
    }
    assert again.memory_of("d").recall("groups", ("topic", "group")) == {('t/"', "a"): {"total": 7.0}}
    assert again.memory_of("c").recall("others", LABELS) == {}


def test_a_collector_in_the_place_of_another_gets_what_was_kept_last_without_a_save(database: Database) -> None:
    memory = started(database).memory_of("c")
    memory.keep("groups", totals(a=5.0))
    memory.keep("groups", totals(a=6.0, b=1.0))
    assert recalled(memory) == {"a": 6.0, "b": 1.0}


def test_only_what_changed_is_written(database: Database) -> None:
    counters = started(database)
    memory = counters.memory_of("c")
    first = totals(a=1.0, b=2.0)
    memory.keep("groups", first)
    counters.save()
    with database.writing() as connection:
        connection.execute(sa.update(COUNTERS).values(value=-1.0))
    memory.keep("groups", Table(first.labels, {"total": first.columns["total"] + [0.0, 5.0]}))
    counters.save()
    assert recalled(started(database).memory_of("c")) == {"a": -1.0, "b": 7.0}


def test_what_is_gone_begins_anew_and_leaves_nothing_behind(database: Database) -> None:
    counters = started(database)
    memory = counters.memory_of("c")
    memory.keep("groups", totals(a=1.0, b=2.0))
    counters.save()
    memory.keep("groups", totals(a=1.0))
    counters.save()
    assert rows(database) == 1
    memory.keep("groups", totals(a=1.0, b=0.0))
    counters.save()
    assert recalled(started(database).memory_of("c")) == {"a": 1.0, "b": 0.0}


def test_what_is_not_seen_at_once_after_a_restart_is_waited_for_an_hour(database: Database) -> None:
    time = Time()
    before = started(database, time)
    before.memory_of("c").keep("groups", totals(a=1.0, b=2.0))
    before.save()
    counters = started(database, time)
    memory = counters.memory_of("c")
    memory.keep("groups", totals(a=3.0))
    counters.save()
    assert recalled(memory) == {"a": 3.0, "b": 2.0}
    assert rows(database) == 2
    time.now += HOUR
    memory.keep("groups", totals(a=4.0))
    counters.save()
    assert rows(database) == 1
    counters.save()
    assert recalled(memory) == {"a": 4.0}


def test_counters_of_a_cluster_that_is_away_stay(database: Database) -> None:
    time = Time()
    before = started(database, time)
    before.memory_of("c").keep("groups", totals(a=1.0))
    before.save()
    counters = started(database, time)
    time.now += 100 * DAY
    counters.save()
    assert recalled(started(database, time).memory_of("c")) == {"a": 1.0}


def test_counters_of_a_cluster_that_is_no_longer_configured_go_after_a_month(database: Database) -> None:
    time = Time()
    before = started(database, time)
    before.memory_of("c").keep("groups", totals(a=1.0))
    before.save()
    started(database, time, ["d"])
    assert recalled(started(database, time).memory_of("c")) == {"a": 1.0}
    time.now += 31 * DAY
    started(database, time, ["d"])
    assert rows(database) == 0


def test_what_could_not_be_written_is_written_the_next_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = started(database)
    memory = counters.memory_of("c")
    memory.keep("groups", totals(a=1.0, b=2.0))
    counters.save()
    memory.keep("groups", totals(a=9.0))

    def refuse() -> None:
        raise StorageError("the database cannot be used: disk full")

    with monkeypatch.context() as broken:
        broken.setattr(database, "writing", refuse)
        with pytest.raises(StorageError):
            counters.save()
    counters.save()
    assert recalled(started(database).memory_of("c")) == {"a": 9.0}


def test_what_was_claimed_after_a_restart_and_is_gone_then_begins_anew(database: Database) -> None:
    before = started(database)
    before.memory_of("c").keep("groups", totals(a=1.0, b=2.0))
    before.save()
    counters = started(database)
    memory = counters.memory_of("c")
    memory.keep("groups", totals(a=1.0, b=2.0))
    counters.save()
    memory.keep("groups", totals(a=1.0))
    counters.save()
    assert recalled(memory) == {"a": 1.0}
    assert rows(database) == 1
