"""When a record came into its partition, told without reading it.

For each partition there is a table of points (time, offset): at that time the log ended at that offset, so records
before the offset are older and the others younger. Two sources give points: each poll of the log's end, and *soundings*
of the broker's time index (ListOffsets for a timestamp), which answers with the first record that is not older than a
moment and with that record's own timestamp. The time of a record lies between the last point at or below its offset and
the first one above it, and is interpolated there; never beyond now, and never before the log's first record.

Where the span is wide for the age in question, a sounding inside of it narrows it down. That seeds the table after a
start, and finds the exact time of a record that stays unread.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.model import Floats, Ids

Mask = NDArray[np.bool_]

POINTS = 32
_FINE_SHARE = 0.02
_FINE_SECONDS = 0.2
_STEEP = 4.0
_BEGINNING_SHARE = 0.02
_BEFORE_ALL = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Between which times the records at some positions came in, and the best guess; all Unix seconds, one a position.

    `oldest` is -inf where nothing is known from below: then `guess` is the latest possible time, and an age from it a
    lower bound. `rank` and `count` say that the record is number `rank` (from 0) of the `count` that came in the span;
    `anchored` that `oldest` is the timestamp of number 0.
    """

    oldest: Floats
    newest: Floats
    guess: Floats
    rank: Floats
    count: Floats
    anchored: Mask

    @property
    def width(self) -> Floats:
        """Seconds by which the guess may be wrong at most: 0 where the record's own timestamp is known."""
        return np.where(self.anchored & (self.rank == 0), 0.0, self.newest - self.oldest)

    @property
    def unbounded(self) -> Mask:
        """Say which guesses are only the latest possible times."""
        return np.isinf(self.oldest)


class TimeTable:
    """The points of all partitions: row i belongs to slot i, its points are sorted by time, and offsets never fall."""

    def __init__(self, partitions: int) -> None:
        self._count = np.zeros(partitions, dtype=np.int64)
        self._time = np.full((partitions, POINTS), np.inf)
        self._offset = np.full((partitions, POINTS), np.inf)
        self._anchored = np.zeros((partitions, POINTS), dtype=bool)

    def __len__(self) -> int:
        return len(self._count)

    def moved(self, origin: Ids) -> "TimeTable":
        """Return the table for new slots: row i comes from row `origin[i]`, or starts empty where that is -1."""
        table = TimeTable(len(origin))
        kept = np.flatnonzero(origin >= 0)
        for name in ("_count", "_time", "_offset", "_anchored"):
            getattr(table, name)[kept] = getattr(self, name)[origin[kept]]
        return table

    def clear(self, slots: Ids) -> None:
        """Forget the points of partitions whose log has begun anew."""
        self._count[slots] = 0
        self._time[slots] = np.inf
        self._offset[slots] = np.inf
        self._anchored[slots] = False

    def observe(self, slots: Ids, ends: Floats, now: float) -> None:
        """Take in where the logs end now. `ends` must not be below the last ones known (see `clear`)."""
        last = self._count[slots] - 1
        same = (last >= 1) & (self._offset[slots, last] == ends) & (self._offset[slots, last - 1] == ends)
        # A log at rest needs two points: since when it ends there, and until when.
        resting, moving = slots[same], slots[~same]
        self._time[resting, last[same]] = np.maximum(self._time[resting, last[same]], now)
        self._anchored[resting, last[same]] = False
        self._thin(moving[self._count[moving] == POINTS], now)
        at = self._count[moving]
        before = np.where(at > 0, self._time[moving, at - 1], -np.inf)
        self._time[moving, at] = np.maximum(before, now)  # the wall clock may be set back
        self._offset[moving, at] = ends[~same]
        self._anchored[moving, at] = False
        self._count[moving] += 1

    def locate(self, slots: Ids, positions: Floats) -> Spans:
        """Return when the records at these positions came in; each must lie below the last known end of its log."""
        above = self._first_above(slots, positions)
        below = above - 1
        known = below >= 0
        oldest = np.where(known, self._time[slots, below], -np.inf)
        newest = self._time[slots, np.minimum(above, POINTS - 1)]
        floor = np.where(known, self._offset[slots, below], positions)
        count = self._offset[slots, np.minimum(above, POINTS - 1)] - floor
        rank = positions - floor
        anchored = known & self._anchored[slots, below]
        # The k-th of n records that came at random in a span is expected at (k + 1) / (n + 1) of it; if the time of the
        # first is known, they share the rest.
        share = np.where(anchored, rank / count, (rank + 1) / (count + 1))
        guess = np.where(
            known, np.where(known, oldest, 0.0) + share * (newest - np.where(known, oldest, newest)), newest
        )
        return Spans(oldest, newest, guess, rank, count, anchored)

    def insert(self, slots: Ids, asked: Floats, offsets: Floats, stamps: Floats, now: float) -> None:
        """Take in soundings, one a slot: the first record not older than `asked` is at `offsets` and of time `stamps`.

        Where no record is that young the offset is infinite and the stamp NaN: then the log ended as it does now.
        Timestamps come from producers: what contradicts the points that are known is left out.
        """
        ends = self._offset[slots, self._count[slots] - 1]
        offsets = np.minimum(offsets, ends)
        for time, anchored in ((asked, False), (stamps, True)):
            usable = np.isfinite(time) & (time > _BEFORE_ALL) & (time <= now)
            chosen = slots[usable]
            if len(chosen):
                self._put(chosen, time[usable], offsets[usable], anchored, now)

    def _put(self, slots: Ids, times: Floats, offsets: Floats, anchored: bool, now: float) -> None:
        after = (self._time[slots] <= times[:, None]).sum(axis=1)
        rows = np.arange(len(slots))
        floor = np.where(after > 0, self._offset[slots, after - 1], -np.inf)
        ceiling = np.where(after < POINTS, self._offset[slots, np.minimum(after, POINTS - 1)], np.inf)
        fits = (floor <= offsets) & (offsets <= ceiling)
        slots, times, offsets = slots[fits], times[fits], offsets[fits]
        self._thin(slots[self._count[slots] == POINTS], now)
        after = (self._time[slots] <= times[:, None]).sum(axis=1)[:, None]
        rows = np.arange(POINTS)[None, :]
        source = rows - (rows > after)
        here = rows == after
        for column, value in (
            (self._time, times[:, None]),
            (self._offset, offsets[:, None]),
            (self._anchored, np.full((len(slots), 1), anchored)),
        ):
            column[slots] = np.where(here, value, np.take_along_axis(column[slots], source, axis=1))
        self._count[slots] += 1

    def _thin(self, slots: Ids, now: float) -> None:
        """Give up one point of full rows: the one whose loss widens a span the least for the age it has."""
        if not len(slots):
            return
        times = self._time[slots]
        gap = (times[:, 2:] - times[:, :-2]) / np.maximum(now - times[:, :-2], 1e-3)
        gap[self._offset[slots, 2:] == self._offset[slots, :-2]] = -1.0  # in the midst of a rest it tells nothing
        victim = np.argmin(gap, axis=1)[:, None] + 1
        columns = np.arange(POINTS)[None, :]
        source = np.minimum(columns + (columns >= victim), POINTS - 1)
        for column in (self._time, self._offset, self._anchored):
            column[slots] = np.take_along_axis(column[slots], source, axis=1)
        self._count[slots] -= 1
        self._time[slots, POINTS - 1] = self._offset[slots, POINTS - 1] = np.inf
        self._anchored[slots, POINTS - 1] = False

    def _first_above(self, slots: Ids, positions: Floats) -> Ids:
        """Return the index of the first point above each position, by bisection in all rows at once."""
        low = np.zeros(len(slots), dtype=np.int64)
        high = self._count[slots]
        for _ in range(POINTS.bit_length()):
            middle = (low + high) // 2
            open_ = low < high
            at_or_below = open_ & (self._offset[slots, np.minimum(middle, POINTS - 1)] <= positions)
            low = np.where(at_or_below, middle + 1, low)
            high = np.where(open_ & ~at_or_below, middle, high)
        return low


def is_coarse(width: Floats, age: Floats) -> Mask:
    """Say which guesses are worth a sounding: those that may be wrong by more than 2 % of the age and 0.2 s."""
    return (width > _FINE_SHARE * age) & (width > _FINE_SECONDS)


def choose_soundings(spans: Spans, turn: Ids, now: float) -> Floats:
    """Return the time to ask the index about for each span, so that the answer narrows it most.

    No single way is good for every flow, so they take turns (`turn` counts the soundings made for that record): halving
    the span, or its exponent where ages of different magnitude come into question; near its beginning, for records that
    came in a burst before a long rest; and just before the record, where it would be if all came evenly.
    """
    bounded = ~spans.unbounded
    newest = spans.newest
    oldest = np.where(bounded, spans.oldest, newest)
    width, far, near = newest - oldest, np.maximum(now - oldest, 0.0), np.maximum(now - newest, 1.0)
    halved = np.where(far / near > _STEEP, now - np.sqrt(far * near), oldest + width / 2)
    even = np.where(spans.anchored, (spans.rank - 0.5) / spans.count, (spans.rank + 0.5) / (spans.count + 1))
    ways = (halved, halved, oldest + _BEGINNING_SHARE * width, oldest + even * width)
    wanted = np.choose(turn % len(ways), ways)
    # The first record after a point whose own time is not known: the index tells it if asked from that point on.
    wanted = np.where((spans.rank == 0) & ~spans.anchored, oldest, wanted)
    return np.where(bounded, np.clip(wanted, oldest, newest), _BEFORE_ALL)
