"""History: curves of the last days, a point a minute, thinned as they age, bounded in number and length.

A point stands for the seconds from `at` on. Points of a minute are kept for six hours; then ten minutes become one
point: backlog and age as their maximum, rates and consumers as their average, the status as its worst. What was not
known is None, and where nothing was read there is no point: a gap is never 0.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from monitor.clock import Clock
from monitor.model import ClusterView, Role, Snapshot, Status
from monitor.storage.database import Database
from monitor.storage.tables import HISTORY_POINTS, HISTORY_SERIES

SUBSCRIPTION, DEAD_LETTERS, CLUSTER = "subscription:", "dead_letters:", "cluster:"
FINE_SECONDS, COARSE_SECONDS = 60, 600
FINE_KEPT_SECONDS = 6 * 3600
MOST_POINTS = 2000

_GONE_SECONDS = 3600
"""How long something must not have been seen until what is new may take its place, where places are scarce."""

_LOG = logging.getLogger(__name__)
_MAXIMA = ("messages", "oldest_age_seconds")
_AVERAGES = ("published_per_second", "consumed_per_second", "consumers")
_RANK = {status.value: rank for rank, status in enumerate(Status)}
_COLUMNS = HISTORY_POINTS.c


@dataclass(frozen=True, slots=True)
class Point:
    """What was seen from `at` (Unix seconds) on, for one step of a curve; None is not known."""

    at: int
    messages: float | None = None
    oldest_age_seconds: float | None = None
    published_per_second: float | None = None
    consumed_per_second: float | None = None
    consumers: float | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """A point for every step, oldest first; `note` says why there may be none, empty otherwise."""

    step_seconds: int
    points: Sequence[Point]
    note: str = ""


class Curves(Protocol):
    """Where curves come from."""

    def read(self, subject: str, start: float, end: float, step: float | None) -> Curve:
        """Return the curve of `subscription:ID`, `dead_letters:ID` or `cluster:NAME` (encoded) between two moments.

        Raises StorageError.
        """
        ...

    def read_many(
        self, subjects: Sequence[str], start: float, end: float, step: float | None, values: Collection[str]
    ) -> Mapping[str, Curve]:
        """Return the curves of those subjects that have one, with these values of each point. Raises StorageError."""
        ...


class History:
    """The history in the database. One thread writes, any may read; all raise StorageError.

    At most `limit` curves are kept, for `keep_seconds`. What has a curve keeps it while it is seen; where places are
    scarce, what is new takes those of what has been gone for an hour, the longest gone first, and else has none.
    """

    def __init__(self, database: Database, clock: Clock, keep_seconds: float, limit: int) -> None:
        self._database, self._clock = database, clock
        self._keep_seconds, self._limit = keep_seconds, limit
        self._series: dict[str, int] | None = None  # None: to be read from the database
        self._seen: dict[str, float] = {}
        self._thinned_at = 0
        self._left_out = 0

    def write(self, views: Iterable[ClusterView]) -> None:
        """Write the point of this minute for everything that is seen now."""
        at = int(self._clock.now() // FINE_SECONDS * FINE_SECONDS)
        fresh = [view for view in views if view.snapshot and view.health.up]
        points = {subject: values for view in fresh for subject, values in _sample(view)} if self._limit else {}
        clusters = {quote(view.health.cluster, safe="") for view in fresh}
        try:
            with self._database.writing() as connection:
                series = self._find_places(connection, points.keys(), clusters, at)
                rows = [{"series": series[it], "at": at, **points[it]} for it in points if it in series]
                if rows:
                    connection.execute(_insert_new(connection, HISTORY_POINTS), _with_step(rows))
                if at - at % COARSE_SECONDS != self._thinned_at:
                    self._thin(connection, at)
        except BaseException:
            self._series = None  # what was changed in it did not come to be
            raise
        self._thinned_at = at - at % COARSE_SECONDS
        self._tell_left_out(len(points) - len(rows))

    def read(self, subject: str, start: float, end: float, step: float | None) -> Curve:
        """Return a curve; see `Curves.read`."""
        found = self.read_many([subject], start, end, step).get(subject)
        width = step_of(start, end, step, self._clock.now())
        empty = [Point(at) for at in moments(int(start // width * width), end, width)]
        return found or Curve(width, empty, self._why_none())

    def read_many(
        self,
        subjects: Sequence[str],
        start: float,
        end: float,
        step: float | None,
        values: Collection[str] = (*_MAXIMA, *_AVERAGES, "status"),
    ) -> Mapping[str, Curve]:
        """Return the curves of several subjects; see `Curves.read_many`."""
        width = step_of(start, end, step, self._clock.now())
        first = int(start // width * width)
        columns = [_COLUMNS[name] if name in values else sa.null().label(name) for name in (*_MAXIMA, *_AVERAGES)]
        status = _COLUMNS.status if "status" in values else sa.null().label("status")
        points = sa.select(_COLUMNS.series, _COLUMNS.step, _COLUMNS.at, *columns, status)
        known = sa.select(HISTORY_SERIES.c.id, HISTORY_SERIES.c.subject).where(HISTORY_SERIES.c.subject.in_(subjects))
        buckets: dict[tuple[int, int], list[Mapping[Any, Any]]] = defaultdict(list)
        with self._database.reading() as connection:
            series = {row.subject: row.id for row in connection.execute(known)}
            within = (_COLUMNS.series.in_(series.values()), _COLUMNS.at >= first, _COLUMNS.at < end)
            for row in connection.execute(points.where(*within)).mappings():
                buckets[row["series"], int(row["at"] // width * width)].append(row)
        steps = moments(first, end, width)
        return {
            subject: Curve(width, [_joined(at, buckets.get((number, at), ())) for at in steps])
            for subject, number in series.items()
        }

    def _why_none(self) -> str:
        more = (
            f"; {self._left_out} have no place, the limit is {self._limit} (history.series)" if self._left_out else ""
        )
        return f"nothing has been kept of it{more}"

    def _find_places(
        self, connection: sa.Connection, subjects: Iterable[str], clusters: set[str], at: int
    ) -> Mapping[str, int]:
        """Return the series of every subject that has one, after new ones got theirs."""
        if self._series is None:
            self._load(connection, at)
        known: dict[str, int] = self._series or {}
        present = set(subjects)
        self._seen.update(dict.fromkeys(present & known.keys(), at))
        new = sorted(present - known.keys())
        # Curves of whole clusters come on top of the limit; they stand first in the order of names.
        limit = self._limit + sum(it.startswith(CLUSTER) for it in present | known.keys())
        scarce = len(known) + len(new) - limit
        if scarce > 0:
            self._free(connection, known, self._gone(known.keys() - present, clusters, at)[:scarce])
            self._free(connection, known, sorted(known)[max(limit, 0) :])
        added = new[: max(0, limit - len(known))]
        if added:
            connection.execute(_insert_new(connection, HISTORY_SERIES), [{"subject": it} for it in added])
            self._load(connection, at)
        return self._series or {}

    def _load(self, connection: sa.Connection, at: int) -> None:
        rows = connection.execute(sa.select(HISTORY_SERIES.c.subject, HISTORY_SERIES.c.id))
        self._series = {row.subject: row.id for row in rows}
        self._seen = {subject: self._seen.get(subject, at) for subject in self._series}

    def _gone(self, absent: Iterable[str], clusters: set[str], at: int) -> list[str]:
        """Return what has been gone for long from clusters that are read, the longest gone first."""
        gone = [it for it in absent if _cluster_of(it) in clusters and at - self._seen[it] >= _GONE_SECONDS]
        return sorted(gone, key=lambda it: (self._seen[it], it))

    def _free(self, connection: sa.Connection, known: dict[str, int], subjects: Sequence[str]) -> None:
        if not subjects:
            return
        numbers = [{"number": known.pop(it)} for it in subjects]
        delete = sa.delete(HISTORY_SERIES).where(HISTORY_SERIES.c.id == sa.bindparam("number"))
        connection.execute(delete, numbers)

    def _thin(self, connection: sa.Connection, at: int) -> None:
        """Make coarse points of old fine ones, and drop what is too old."""
        fine_until = (at - FINE_KEPT_SECONDS) // COARSE_SECONDS * COARSE_SECONDS
        # By the series first, which the primary key begins with.
        every = _COLUMNS.series.in_(sa.select(HISTORY_SERIES.c.id))
        old = sa.and_(every, _COLUMNS.step == FINE_SECONDS, _COLUMNS.at < fine_until)
        names = ["series", "step", "at", *_MAXIMA, *_AVERAGES, "status"]
        connection.execute(_insert_new(connection, HISTORY_POINTS, names, _thinned(old)))
        connection.execute(sa.delete(HISTORY_POINTS).where(old))
        for step in (FINE_SECONDS, COARSE_SECONDS):
            too_old = sa.and_(every, _COLUMNS.step == step, _COLUMNS.at < at - self._keep_seconds)
            connection.execute(sa.delete(HISTORY_POINTS).where(too_old))
        empty = ~sa.exists().where(_COLUMNS.series == HISTORY_SERIES.c.id)
        connection.execute(sa.delete(HISTORY_SERIES).where(empty))
        self._load(connection, at)

    def _tell_left_out(self, number: int) -> None:
        if bool(number) != bool(self._left_out):
            told = f"{number} have no curve, since there are places for {self._limit}" if number else "all have a curve"
            _LOG.info("history: %s; history.series in the configuration sets how many there are", told)
        self._left_out = number


def step_of(start: float, end: float, step: float | None, now: float) -> int:
    """Return how many seconds a point stands for: what was asked, or more where it is kept or counted more coarsely."""
    unit = FINE_SECONDS if start >= now - FINE_KEPT_SECONDS else COARSE_SECONDS
    least = max(step or 0.0, (end - start) / MOST_POINTS, 1.0)
    return int(-(-least // unit)) * unit


def moments(first: int, end: float, step: int) -> range:
    """Return where the steps of a curve begin."""
    return range(first, int(-(-end // 1)), step)


def worst(statuses: Iterable[str]) -> str | None:
    """Return the worst of some statuses; None of none."""
    return min(statuses, key=lambda it: _RANK.get(it, len(_RANK)), default=None)


def _sample(view: ClusterView) -> Iterator[tuple[str, dict[str, Any]]]:
    assert view.snapshot is not None  # noqa: S101 (asked before)
    yield f"{CLUSTER}{quote(view.health.cluster, safe='')}", _sample_whole(view, view.snapshot)
    for it, verdict in zip(view.snapshot.subscriptions, view.verdicts, strict=True):
        whole = it.complete  # a part of a sum is no sum
        yield (
            f"{SUBSCRIPTION}{it.id}",
            {
                "messages": it.backlog_messages if whole else None,
                "oldest_age_seconds": it.oldest_age.seconds if whole else None,
                "published_per_second": verdict.published_per_second,
                "consumed_per_second": verdict.consumed_per_second,
                "consumers": it.consumers,
                "status": verdict.status.value,
            },
        )
    nothing = dict.fromkeys((*_AVERAGES, "status"))
    for queue in view.snapshot.dead_letters:
        if queue.messages is not None:
            age = queue.oldest_age.seconds
            yield f"{DEAD_LETTERS}{queue.id}", {"messages": queue.messages, "oldest_age_seconds": age, **nothing}


def _sample_whole(view: ClusterView, snapshot: Snapshot) -> dict[str, Any]:
    """Return the sums over a cluster's subscriptions, of what is known, their highest age and their worst status."""
    work = [pair for pair in zip(snapshot.subscriptions, view.verdicts, strict=True) if pair[0].role is Role.WORK]
    return {
        "messages": _sum(it.backlog_messages for it, _ in work if it.complete),
        "oldest_age_seconds": max((it.oldest_age.seconds or 0.0 for it, _ in work if it.complete), default=None),
        "published_per_second": _sum(verdict.published_per_second for _, verdict in work),
        "consumed_per_second": _sum(verdict.consumed_per_second for _, verdict in work),
        "consumers": _sum(it.consumers for it, _ in work),
        "status": worst(verdict.status.value for _, verdict in work),
    }


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None and not math.isnan(value)]
    return sum(known) if known else None


def _with_step(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "step": FINE_SECONDS} for row in rows]


def _cluster_of(subject: str) -> str:
    return subject.partition(":")[2].partition("/")[0]


def _insert_new(
    connection: sa.Connection, table: sa.Table, names: Sequence[str] = (), rows: sa.Select[Any] | None = None
) -> sa.Insert:
    """Return an insert that leaves alone what is there: another monitor, or a clock set back, may have been first."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    begun = insert(table)
    return (begun.from_select(list(names), rows) if rows is not None else begun).on_conflict_do_nothing()


def _thinned(old: sa.ColumnElement[bool]) -> sa.Select[Any]:
    at = _COLUMNS.at - _COLUMNS.at % COARSE_SECONDS
    rank = sa.func.min(sa.case(_RANK, value=_COLUMNS.status))
    return (
        sa.select(
            _COLUMNS.series,
            sa.literal(COARSE_SECONDS),
            at,
            *(sa.func.max(_COLUMNS[name]) for name in _MAXIMA),
            *(sa.func.avg(_COLUMNS[name]) for name in _AVERAGES),
            sa.case({rank_: status for status, rank_ in _RANK.items()}, value=rank),
        )
        .where(old)
        .group_by(_COLUMNS.series, at)
    )


def _joined(at: int, rows: Sequence[Mapping[Any, Any]]) -> Point:
    """Make one point of those within a step, by the rule that thinning follows."""
    if not rows:
        return Point(at)
    known = {name: [row for row in rows if row[name] is not None] for name in (*_MAXIMA, *_AVERAGES, "status")}
    maxima = {name: max((row[name] for row in known[name]), default=None) for name in _MAXIMA}
    averages = {name: _average([(row[name], row["step"]) for row in known[name]]) for name in _AVERAGES}
    return Point(at, **maxima, **averages, status=worst(row["status"] for row in known["status"]))


def _average(values: Sequence[tuple[float, int]]) -> float | None:
    weight = sum(step for _, step in values)
    return sum(value * step for value, step in values) / weight if weight else None
