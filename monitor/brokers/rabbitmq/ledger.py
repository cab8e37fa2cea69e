"""What is remembered of each queue from cycle to cycle: counters that only rise, arrivals, and the age of what waits.

The broker's counters begin again when a node restarts or a queue is declared anew; here they go on, and are kept so
that they do when the monitor is restarted after that.

Arrivals are not counted by the broker in full: what is dead-lettered into a queue is no publishing. They are taken as
the larger of two sums, each of which can miss some: messages published, and the rise of (messages in the queue +
messages consumed).

The age of the oldest message is estimated from arrivals: with `n` messages in a first-in-first-out queue, the oldest
came when the arrivals stood `n` below where they stand now. The time of that is looked up in the history of cycles and
interpolated between two of them. What was there before the history began is at least as old as the history.

The share of repeated deliveries is that of the last ten minutes, by the counters then and now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.brokers.rabbitmq.readings import (
    ACKED,
    AUTO_ACKED,
    COUNTERS,
    DELIVERED,
    HEAD,
    PUBLISHED,
    READY,
    REDELIVERED,
    UNACKED,
    QueueKey,
    Readings,
    take,
)
from monitor.memory import FORGETFUL, Memory
from monitor.model import AgeMethod, Floats, Ids, Labels, Table

Mask = NDArray[np.bool_]

_HISTORY = 128  # cycles; then it is thinned, the more the longer ago, so that it reaches back to the beginning
_SETTLED_SECONDS = 60.0
_SLIP_RATIO, _SLIP_MESSAGES = 0.25, 100.0
_SKEW_SECONDS = 60.0
_REMEMBERED_SECONDS = 3600.0
_WINDOW_SECONDS, _STEP_SECONDS = 600.0, 30.0
_HIGH, _BELOW_SINCE, _INFLOW, _BASE, _SEEN = "high", "below_since", "inflow", "base", "seen"
_ACKED_HERE = "acked here"
_NAME, _LABELS = "queues", ("vhost", "queue")


@dataclass(frozen=True, slots=True, eq=False)
class Accounts:
    """What the ledger says of the queues of one cycle, a row a queue; NaN where it is not known.

    `consumed` are deliveries that were acknowledged or need no acknowledgement. `ages` are seconds, `methods` how each
    was got. `ids` belong to a queue's name for as long as it is remembered. `redelivered` is the share of the
    deliveries of the last ten minutes that were not the first of their message.
    """

    ids: Ids
    counters: Mapping[str, Floats]
    consumed: Floats
    arrivals: Floats
    ages: Floats
    methods: Sequence[AgeMethod]
    redelivered: Floats


class Ledger:
    """Keeps the accounts of all queues. A queue that is gone is remembered for an hour, should it come back."""

    def __init__(self, memory: Memory = FORGETFUL) -> None:
        self._memory = memory
        self._left = dict(memory.recall(_NAME, _LABELS))
        self._labels: tuple[Labels, ...] = ()
        self._keys: tuple[QueueKey, ...] = ()
        self._ids: Ids = np.empty(0, dtype=np.int64)
        self._columns: dict[str, Floats] = {name: np.empty(0) for name in _column_names()}
        self._times: list[float] = []
        self._history: list[Floats] = []
        self._window: list[tuple[float, Floats, Floats]] = []  # time, deliveries, repeated deliveries
        self._gone: dict[QueueKey, tuple[float, int, tuple[float, ...]]] = {}
        self._next_id = 0

    def enter(self, readings: Readings, now: float, told: float) -> Accounts:
        """Enter the numbers of one cycle.

        `now` is of a clock that never jumps, since ages are differences of it; `told` is the same moment in Unix
        seconds, for the timestamps of publishers.
        """
        if readings.keys is not self._keys:
            self._settle_rows(readings.keys, now)
        raw = {name: readings.column(name) for name in COUNTERS}
        for name in COUNTERS:
            self._count(name, raw[name], now)
        consumed = self._columns[_total(ACKED)] + self._columns[_total(AUTO_ACKED)]
        depth = readings.column(READY) + np.nan_to_num(readings.column(UNACKED))
        self._admit(depth, consumed, raw, now)
        arrivals = self._arrivals()
        self._remember(now, arrivals)
        head = readings.column(HEAD)
        ages, methods = self._ages(now, arrivals, depth, np.where(head > 0, told - head, np.nan))
        known = {name: np.where(np.isnan(raw[name]), np.nan, self._columns[_total(name)]) for name in COUNTERS}
        repeated = self._share_repeated(now, known[DELIVERED], known[REDELIVERED])
        self._memory.keep(_NAME, Table(self._labels, {name: self._columns[name] for name in _KEPT}))
        return Accounts(self._ids, known, known[ACKED] + known[AUTO_ACKED], arrivals, ages, methods, repeated)

    # counters

    def _count(self, name: str, raw: Floats, now: float) -> None:
        total, last = self._columns[_total(name)], self._columns[_last(name)]
        rise = raw - last
        # A counter that began again is far below what it was. A small step back is none: sums over channels, read while
        # these change, can be off by some.
        again = (raw * 2 < last) | (-rise > np.maximum(_SLIP_RATIO * last, _SLIP_MESSAGES))
        step = np.where(again, raw, np.maximum(rise, 0.0))
        # It will be back soon; if it stays below, it is counted on from there.
        below = (rise < 0) & ~again
        since = np.where(below, np.fmin(self._columns[_slipped(name)], now), np.nan)
        settled = below & (now - since >= _SETTLED_SECONDS)
        self._columns[_slipped(name)] = np.where(np.isnan(raw), self._columns[_slipped(name)], since)
        first = np.isnan(last)
        self._columns[_total(name)] = np.where(np.isnan(raw), total, np.where(first, raw, total + step))
        self._columns[_last(name)] = np.where(
            np.isnan(raw), last, np.where(first | again | settled, raw, np.fmax(raw, last))
        )

    # arrivals

    def _admit(self, depth: Floats, consumed: Floats, raw: Mapping[str, Floats], now: float) -> None:
        columns = self._columns
        level = depth + np.nan_to_num(consumed)
        # Counters that were not known until now must not look like arrivals.
        begun = np.isnan(columns[_ACKED_HERE]) & ~np.isnan(raw[ACKED])
        columns[_ACKED_HERE] = np.where(begun, 1.0, columns[_ACKED_HERE])
        fresh = np.isnan(columns[_HIGH]) | begun
        # Depth and counters are not read at one instant: a level that dips for a moment will be back. If it stays
        # below, messages have left without being consumed (rejected, expired, purged): the count goes on from there.
        below = level < columns[_HIGH]
        since = np.where(below, np.fmin(columns[_BELOW_SINCE], now), np.nan)
        settled = below & (now - since >= _SETTLED_SECONDS)
        rise = np.where(fresh | ~(level > columns[_HIGH]), 0.0, level - columns[_HIGH])
        columns[_INFLOW] = columns[_INFLOW] + rise
        columns[_HIGH] = np.where(fresh | settled, level, np.fmax(columns[_HIGH], level))
        columns[_BELOW_SINCE] = np.where(settled, np.nan, since)
        published = columns[_total(PUBLISHED)]
        begun = np.isnan(columns[_BASE]) & ~np.isnan(raw[PUBLISHED])
        columns[_BASE] = np.where(begun, published - columns[_INFLOW], columns[_BASE])

    def _arrivals(self) -> Floats:
        published = self._columns[_total(PUBLISHED)] - self._columns[_BASE]
        return np.fmax(self._columns[_INFLOW], published)

    # ages

    def _remember(self, now: float, arrivals: Floats) -> None:
        if len(self._times) >= _HISTORY:
            # The one goes whose absence matters least: how far apart its neighbours are, against how long ago that was.
            times = np.array(self._times)
            least = 1 + int(np.argmin((times[2:] - times[:-2]) / np.maximum(now - times[1:-1], 1.0)))
            del self._times[least], self._history[least]
        self._times.append(now)
        self._history.append(arrivals)

    def _ages(self, now: float, arrivals: Floats, depth: Floats, said: Floats) -> tuple[Floats, list[AgeMethod]]:
        """Return ages and how each was got; `said` are those by the publishers' timestamps."""
        ages = np.full(len(depth), np.nan)
        methods = [AgeMethod.UNKNOWN] * len(depth)
        counted = ~(np.isnan(self._columns[_ACKED_HERE]) & np.isnan(self._columns[_BASE]))
        empty = depth == 0
        # A timestamp is what the publisher says. One from the future, or in milliseconds, is no help.
        reported = ~empty & (said >= -_SKEW_SECONDS)
        estimated = counted & (depth > 0) & ~reported & ~np.isnan(arrivals)
        ages[empty] = 0.0
        ages[reported] = np.maximum(said[reported], 0.0)
        for row in np.flatnonzero(empty).tolist():
            methods[row] = AgeMethod.EXACT
        for row in np.flatnonzero(reported).tolist():
            methods[row] = AgeMethod.REPORTED
        rows = np.flatnonzero(estimated)
        if len(rows):
            ages[rows], bounds = self._estimates(now, rows, (arrivals - depth)[rows])
            for row, bound in zip(rows.tolist(), bounds.tolist(), strict=True):
                methods[row] = AgeMethod.LOWER_BOUND if bound else AgeMethod.ESTIMATED
        return ages, methods

    def _estimates(self, now: float, rows: Ids, removed: Floats) -> tuple[Floats, Mask]:
        """Return how long ago arrivals stood at `removed` + 1, and where that was before anything was seen."""
        times = np.array(self._times)
        history = np.array([past[rows] for past in self._history])
        before = history <= removed
        found: Mask = np.any(before, axis=0)
        at = np.where(found, len(times) - 1 - np.argmax(before[::-1], axis=0), 0)
        after = np.minimum(at + 1, len(times) - 1)
        columns = np.arange(len(rows))
        low, high = history[at, columns], history[after, columns]
        share = np.clip((removed + 1 - low) / np.maximum(high - low, 1.0), 0.0, 1.0)
        came = np.where(found, times[at] + share * (times[after] - times[at]), self._columns[_SEEN][rows])
        return np.maximum(now - came, 0.0), ~found

    # repeated deliveries

    def _share_repeated(self, now: float, delivered: Floats, redelivered: Floats) -> Floats:
        """Return the share of repeated deliveries; NaN where nothing was delivered, or that is not known."""
        while len(self._window) > 1 and self._window[1][0] <= now - _WINDOW_SECONDS:
            del self._window[0]
        if not self._window or now - self._window[-1][0] >= _STEP_SECONDS or now < self._window[-1][0]:
            self._window.append((now, delivered.copy(), redelivered.copy()))
        # What was not known then is counted from where it is first known.
        begun = np.isnan(self._window[0][1]) & ~np.isnan(delivered)
        for _, *then in self._window if begun.any() else ():
            for values, value in zip(then, (delivered, redelivered), strict=True):
                values[begun] = value[begun]
        _, delivered_then, redelivered_then = self._window[0]
        deliveries = delivered - delivered_then
        some = deliveries > 0
        share = (redelivered - redelivered_then)[some] / deliveries[some]
        result = np.full(len(delivered), np.nan)
        result[some] = np.minimum(share, 1.0)  # the two are not read at one instant
        return result

    # rows

    def _settle_rows(self, keys: tuple[QueueKey, ...], now: float) -> None:
        place = {key: i for i, key in enumerate(self._keys)}
        for key in place.keys() - set(keys):
            i = place[key]
            kept = tuple(float(self._columns[name][i]) for name in _REMEMBERED)
            self._gone[key] = (now, int(self._ids[i]), kept)
        self._gone = {key: left for key, left in self._gone.items() if now - left[0] < _REMEMBERED_SECONDS}
        rows = np.fromiter((place.get(key, -1) for key in keys), dtype=np.int64, count=len(keys))
        ids: Ids = np.where(rows >= 0, self._ids[rows], -1) if len(self._ids) else np.full(len(keys), -1)
        columns = {name: take(values, rows) for name, values in self._columns.items()}
        columns[_INFLOW] = np.where(rows >= 0, columns[_INFLOW], 0.0)
        columns[_SEEN] = np.where(rows >= 0, columns[_SEEN], now)
        for i in np.flatnonzero(rows < 0).tolist():
            ids[i : i + 1] = self._return(keys[i], i, columns)
        self._history = [take(past, rows) for past in self._history]
        self._window = [(time, take(one, rows), take(other, rows)) for time, one, other in self._window]
        self._keys, self._ids, self._columns = keys, ids, columns
        self._labels = tuple(Labels.of(name, (key[i] for key in keys)) for i, name in enumerate(_LABELS))

    def _return(self, key: QueueKey, row: int, columns: Mapping[str, Floats]) -> int:
        """Take a queue up again where it was left, if it was here before; return its id."""
        for name, value in self._left.pop(key, {}).items():  # by a process before this one
            if name in _KEPT:
                columns[name][row] = value
        left = self._gone.pop(key, None)
        if left is None:
            self._next_id += 1
            return self._next_id - 1
        for name, value in zip(_REMEMBERED, left[2], strict=True):
            columns[name][row] = value
        return left[1]


def _total(counter: str) -> str:
    return f"{counter} in total"


def _last(counter: str) -> str:
    return f"{counter} last"


def _slipped(counter: str) -> str:
    return f"{counter} slipped"


_KEPT = (*map(_total, COUNTERS), *map(_last, COUNTERS))
_REMEMBERED = (*_KEPT, _INFLOW, _BASE, _ACKED_HERE)


def _column_names() -> tuple[str, ...]:
    return (*_REMEMBERED, *map(_slipped, COUNTERS), _HIGH, _BELOW_SINCE, _SEEN)
