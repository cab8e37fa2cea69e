"""History on SQLite and PostgreSQL: what is kept, thinned, left out and told."""

import logging
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from monitor.errors import StorageError
from monitor.model import ClusterView, Role, Status
from monitor.storage.database import Database
from monitor.storage.history import Curve, History, Point
from monitor.storage.tables import HISTORY_POINTS, HISTORY_SERIES
from tests.storage.views import Time, dead, seen, view

T = "subscription:c/g/t"
HOUR, DAY = 3600, 86400


def history(database: Database, time: Time, keep: float = 7 * DAY, limit: int = 2000) -> History:
    return History(database, time.clock, keep, limit)


def known(curve: Curve) -> list[Point]:
    return [it for it in curve.points if it != Point(it.at)]


def count(database: Database, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    """How many rows there are of curves of single subscriptions and queues."""
    whole = sa.select(HISTORY_SERIES.c.id).where(HISTORY_SERIES.c.subject.startswith("cluster:"))
    where = (*where, ~(table.c.id if "id" in table.c else table.c.series).in_(whole))
    with database.reading() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar_one())


def test_a_minute_is_kept_as_it_was_seen_and_gaps_are_null(database: Database) -> None:
    time = Time()
    kept = history(database, time)
    begun = int(time.now)
    time.now += 7  # within the minute
    kept.write([view(seen(backlog=600.0, age=12.5), queues=[dead("t.dlq", 7.0), dead("none", None)])])
    time.now += 120  # the minute between was not written
    kept.write([view(seen(backlog=None, age=None, status=Status.UNKNOWN, published_per_second=None))])

    curve = kept.read(T, begun, time.now, None)
    assert curve == Curve(
        60,
        [
            Point(begun, 600.0, 12.5, 3.0, 4.0, 5.0, "ok"),
            Point(begun + 60),
            Point(begun + 120, None, None, None, 4.0, 5.0, "unknown"),
        ],
    )
    assert known(kept.read("dead_letters:c/t.dlq", begun, time.now, None)) == [Point(begun, 7.0)]
    assert kept.read("dead_letters:c/none", begun, time.now, None).note == "nothing has been kept of it"


def test_sums_over_parts_that_could_not_all_be_read_are_not_kept(database: Database) -> None:
    time = Time()
    kept = history(database, time)
    subscription, verdict = seen(backlog=600.0)
    kept.write([view((replace(subscription, expected=2, measured=1), verdict))])
    (point,) = known(kept.read(T, time.now, time.now + 60, None))
    assert (point.messages, point.oldest_age_seconds) == (None, None)


def test_a_cluster_has_a_curve_of_its_sums_its_highest_age_and_its_worst_status(database: Database) -> None:
    time = Time()
    kept = history(database, time, limit=2)
    other, fine = seen(name="other", backlog=None, age=None, status=Status.STALLED, published_per_second=None)
    retry, bad = seen(name="again", backlog=1000.0, age=999.0, status=Status.LOSING)
    kept.write([view(seen(backlog=600.0, age=12.5), (other, fine), (replace(retry, role=Role.RETRY), bad))])
    (point,) = known(kept.read("cluster:c", time.now, time.now + 60, None))
    assert point == Point(int(time.now), 600.0, 12.5, 3.0, 8.0, 10.0, "stalled")


def test_chosen_values_of_many_curves_are_read_at_once(database: Database) -> None:
    time = Time()
    kept = history(database, time)
    kept.write([view(seen(backlog=600.0), queues=[dead("t.dlq", 7.0)])])
    time.now += 60
    found = kept.read_many(
        [T, "dead_letters:c/t.dlq", "subscription:none"], time.now - 60, time.now, None, ["messages"]
    )
    assert {subject: curve.points for subject, curve in found.items()} == {
        T: [Point(int(time.now) - 60, 600.0)],
        "dead_letters:c/t.dlq": [Point(int(time.now) - 60, 7.0)],
    }


@pytest.mark.parametrize("blind", [view(seen(), up=False), replace(view(seen()), snapshot=None, verdicts=())])
def test_what_could_not_be_read_is_a_gap(database: Database, blind: ClusterView) -> None:
    time = Time()
    kept = history(database, time)
    kept.write([view(seen())])
    time.now += 60
    kept.write([blind])
    assert [it.at for it in known(kept.read(T, time.now - 60, time.now + 60, None))] == [time.now - 60]


def test_old_minutes_become_points_of_ten_minutes_with_the_worst_of_them(database: Database) -> None:
    time = Time()
    kept = history(database, time)
    begun = time.now
    for minute in range(10):
        status = Status.STOPPED if minute == 3 else Status.LAGGING if minute == 7 else Status.OK
        known_rate = float(minute) if minute < 5 else None
        kept.write(
            [view(seen(backlog=float(minute), age=float(9 - minute), status=status, published_per_second=known_rate))]
        )
        time.now += 60
    time.now = begun + 6 * HOUR + 600
    kept.write([view(seen())])
    assert count(database, HISTORY_POINTS, HISTORY_POINTS.c.at < begun + 600) == 1
    (point,) = known(kept.read(T, begun, begun + 600, 60))
    assert point == Point(int(begun), 9.0, 9.0, 2.0, 4.0, 5.0, "stopped")


def test_a_long_curve_joins_fresh_and_thinned_points_by_one_rule(database: Database) -> None:
    time = Time()
    kept = history(database, time)
    begun = time.now
    kept.write([view(seen(backlog=0.0))])
    fine = [{"at": begun + 60 * minute, "messages": float(minute)} for minute in range(1, 6 * 60 + 19)]
    with database.writing() as connection:
        series = connection.execute(sa.select(HISTORY_SERIES.c.id).where(HISTORY_SERIES.c.subject == T)).scalar_one()
        connection.execute(sa.insert(HISTORY_POINTS), [{"series": series, "step": 60, **row} for row in fine])
    time.now += 6 * HOUR + 19 * 60
    kept.write([view(seen(backlog=379.0))])
    assert count(database, HISTORY_POINTS, HISTORY_POINTS.c.step == 600) == 1
    time.now += 60
    curve = kept.read(T, begun, time.now, None)
    assert curve.step_seconds == 600
    assert [it.messages for it in curve.points] == [float(last) for last in range(9, 6 * 60 + 20, 10)]
    hourly = kept.read(T, begun, begun + 2 * HOUR, 3600)
    assert [(it.at, it.messages) for it in hourly.points] == [(begun, 59.0), (begun + HOUR, 119.0)]


def test_no_curve_is_longer_than_two_thousand_points(database: Database) -> None:
    time = Time()
    curve = history(database, time).read(T, time.now - 365 * DAY, time.now, 60)
    assert len(curve.points) <= 2001
    assert curve.step_seconds % 600 == 0


def test_what_is_too_old_goes_and_with_it_the_series(database: Database) -> None:
    time = Time()
    kept = history(database, time, keep=DAY)
    kept.write([view(seen("gone"), seen("t"))])
    time.now += 12 * HOUR
    kept.write([view(seen("t"))])
    assert count(database, HISTORY_SERIES) == 2
    time.now += 12 * HOUR + 600
    kept.write([view(seen("t"))])
    assert count(database, HISTORY_SERIES) == 1
    assert count(database, HISTORY_POINTS) == 2


def test_places_are_limited_and_what_has_one_keeps_it(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    time = Time()
    kept = history(database, time, limit=2)
    with caplog.at_level(logging.INFO):
        kept.write([view(seen("m"), seen("n"))])
        time.now += 60
        kept.write([view(seen("a"), seen("m"), seen("n"))])
        time.now += 60
        kept.write([view(seen("a"), seen("m"), seen("n"))])
    assert [it.getMessage() for it in caplog.records] == [
        "history: 1 have no curve, since there are places for 2; "
        "history.series in the configuration sets how many there are"
    ]
    assert len(known(kept.read("subscription:c/g/m", time.now - 120, time.now + 60, None))) == 3
    left_out = kept.read("subscription:c/g/a", time.now - 120, time.now + 60, None)
    assert left_out.note == "nothing has been kept of it; 1 have no place, the limit is 2 (history.series)"


def test_what_is_new_takes_the_place_of_what_has_been_gone_for_an_hour(database: Database) -> None:
    time = Time()
    kept = history(database, time, limit=2)
    kept.write([view(seen("m"), seen("n"))])
    time.now += HOUR / 2
    kept.write([view(seen("m"), seen("b"))])
    assert subjects(database) == {"subscription:c/g/m", "subscription:c/g/n"}
    time.now += HOUR / 2
    kept.write([view(seen("m"), seen("b"))])
    assert subjects(database) == {"subscription:c/g/m", "subscription:c/g/b"}
    assert count(database, HISTORY_POINTS) == 4


def test_a_cluster_that_is_away_loses_no_place(database: Database) -> None:
    time = Time()
    kept = history(database, time, limit=1)
    kept.write([view(seen("m"))])
    time.now += 2 * HOUR
    kept.write([view(seen("b"), up=False)])
    assert subjects(database) == {"subscription:c/g/m"}


def test_a_lower_limit_drops_what_has_no_place_any_more(database: Database) -> None:
    time = Time()
    history(database, time).write([view(seen("a"), seen("b"), seen("d"))])
    time.now += 60
    history(database, time, limit=2).write([view(seen("a"), seen("b"), seen("d"))])
    assert subjects(database) == {"subscription:c/g/a", "subscription:c/g/b"}
    history(database, time, limit=0).write([view(seen("a"))])
    assert subjects(database) == set()


def test_the_curve_goes_on_after_a_restart_and_beside_another_monitor(database: Database) -> None:
    time = Time()
    first, second = history(database, time), history(database, time)
    for kept in (first, second, history(database, time)):
        kept.write([view(seen())])
    time.now += 60
    for kept in (second, first):
        kept.write([view(seen())])
    assert len(known(first.read(T, time.now - 60, time.now + 60, None))) == 2
    assert count(database, HISTORY_POINTS) == 2


def subjects(database: Database) -> set[str]:
    with database.reading() as connection:
        found = connection.execute(sa.select(HISTORY_SERIES.c.subject)).scalars()
        return {subject for subject in found if not subject.startswith("cluster:")}


def test_a_database_that_cannot_be_written_is_told_and_the_curve_goes_on_after_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Time()
    kept = history(database, time)
    kept.write([view(seen())])
    time.now += 60
    with monkeypatch.context() as broken:
        broken.setattr(database, "engine", read_only(database))
        with pytest.raises(StorageError):
            kept.write([view(seen(), seen("new"))])
    time.now += 60
    kept.write([view(seen(), seen("new"))])
    assert [it.at for it in known(kept.read(T, time.now - 120, time.now + 60, None))] == [time.now - 120, time.now]
    assert len(known(kept.read("subscription:c/g/new", time.now - 120, time.now + 60, None))) == 1


def read_only(database: Database) -> sa.Engine:
    """Return an engine over the same database, whose connections may read alone."""
    engine = sa.create_engine(database.engine.url, poolclass=sa.NullPool)
    allow_nothing = {
        "sqlite": "PRAGMA query_only=ON",
        "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    }[engine.dialect.name]

    @sa.event.listens_for(engine, "connect")
    def restrict(connection: Any, _record: Any) -> None:
        connection.cursor().execute(allow_nothing)
        connection.commit()

    return engine


def test_a_postgresql_that_was_gone_is_written_again_without_a_restart(postgresql_url: str) -> None:
    admin = sa.create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    name = "gone_and_back"
    with closing(admin.connect()) as ask:
        ask.exec_driver_sql(f"CREATE DATABASE {name}")
        with closing(Database.open(postgresql_url.removesuffix("postgres") + name)) as database:
            time = Time()
            kept = history(database, time)
            kept.write([view(seen())])
            ask.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            ask.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            time.now += 60
            with pytest.raises(StorageError):
                kept.write([view(seen())])
            ask.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            time.now += 60
            kept.write([view(seen())])
            assert len(known(kept.read(T, time.now - 120, time.now + 60, None))) == 2
        ask.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()
