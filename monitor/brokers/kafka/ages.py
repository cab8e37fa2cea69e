"""How long the oldest unread record of each row has been waiting, and how that is known.

The time of a record does not change while its group stands still, so what was found out about it is kept until the
group moves. What is too vague is narrowed down by soundings of the broker's time index, a bounded number a cycle.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from monitor.brokers.kafka.lag import Lag, Mask
from monitor.brokers.kafka.memory import Memory
from monitor.brokers.kafka.rows import Rows
from monitor.brokers.kafka.times import TimeTable, choose_soundings, is_coarse
from monitor.model import Age, AgeMethod, Codes, Floats, Ids

Sound = Callable[[Ids, Floats], tuple[Floats, Floats]]
"""Asks the time index of slots about moments: the first record's offset and time; see `offsets.read_times`."""

METHODS = (AgeMethod.EXACT, AgeMethod.INTERPOLATED, AgeMethod.LOWER_BOUND, AgeMethod.UNKNOWN)
_EXACT, _INTERPOLATED, _LOWER_BOUND, _UNKNOWN = range(len(METHODS))
_SLOTS_A_ROUND = 2000
_SOUNDINGS_A_CYCLE = 3 * _SLOTS_A_ROUND  # what a large cluster can have; a small one is done long before
_ROUNDS_A_CYCLE = 16
_ROUNDS_A_DATE = 3
_SOUNDINGS_A_POSITION = 12  # where even these do not tell (gaps left by compaction), more would not
NOTHING_WAITS = Age(0.0, AgeMethod.EXACT)


@dataclass(frozen=True, slots=True, eq=False)
class RowAges:
    """The age of each row's oldest unread record in seconds, 0 where nothing waits; `method` indexes `METHODS`."""

    seconds: Floats
    method: Codes


class AgeBook:
    """Knows when records came in: a table of times by partition, and what was found out for the rows."""

    def __init__(self) -> None:
        self._times = TimeTable(0)
        self._found = Memory(position=np.nan, time=np.nan, width=np.inf, bounded=0.0, soundings=0.0)

    def move(self, origin: Ids) -> None:
        """Follow the slots: slot i was slot `origin[i]`, or is new where that is -1."""
        self._times = self._times.moved(origin)

    def clear(self, slots: Ids) -> None:
        """Forget partitions whose log has begun anew."""
        self._times.clear(slots)

    def begin_anew(self) -> None:
        """Forget all times: they were taken by a clock that has since been set."""
        self._times = TimeTable(len(self._times))
        self._found.forget()

    def observe(self, ends: Floats, now: float) -> None:
        """Take in where the logs of all slots ended at a time; NaN where that is not known."""
        slots = np.flatnonzero(np.isfinite(ends))
        self._times.observe(slots, ends[slots], now)

    def tell(self, rows: Rows, lag: Lag, now: float, sound: Sound) -> RowAges:
        """Return the age of each row."""
        found = self._found
        found.align(rows.ids)
        moved = found["position"] != lag.position
        found["width"][moved], found["soundings"][moved] = np.inf, 0
        found["position"] = lag.position.copy()
        waiting = np.flatnonzero(lag.backlog > 0)
        self._look_up(rows, waiting)
        left = _SOUNDINGS_A_CYCLE
        for _ in range(_ROUNDS_A_CYCLE):
            vague = waiting[self._is_vague(waiting, now)]
            made = self._narrow(rows, vague, now, sound) if len(vague) and left > 0 else 0
            if not made:
                break
            left -= made
        return self._ages(lag, now)

    def date(self, slots: Ids, positions: Floats, now: float, sound: Sound) -> Floats:
        """Return about when the records at these positions were written, one a slot; at the latest then, if unsure."""
        for turn in range(_ROUNDS_A_DATE):
            spans = self._times.locate(slots, positions)
            vague = np.flatnonzero(is_coarse(spans.width, now - spans.guess))[:_SLOTS_A_ROUND]
            if not len(vague):
                return spans.guess
            turns = np.full(len(vague), turn, dtype=np.int64)
            moments = choose_soundings(self._times.locate(slots[vague], positions[vague]), turns, now)
            self._take_soundings(slots[vague], positions[vague], moments, now, sound)
        return self._times.locate(slots, positions).guess

    def _take_soundings(self, slots: Ids, positions: Floats, moments: Floats, now: float, sound: Sound) -> Mask:
        """Ask the time index of slots about moments, and take in what it says; say of which it told anything."""
        offsets, stamps = sound(slots, moments)
        told = ~np.isnan(offsets)
        # Nothing is before the log's first record, also where compaction has left a gap.
        offsets = np.where(moments == 0, np.minimum(offsets, positions), offsets)
        self._times.insert(slots[told], moments[told], offsets[told], stamps[told], now)
        return told

    def _look_up(self, rows: Rows, chosen: Ids) -> None:
        """Take over what the table says where it is surer than what is known."""
        found = self._found
        spans = self._times.locate(rows.slot[chosen], found["position"][chosen])
        better = spans.width < found["width"][chosen]
        better |= np.isinf(found["width"][chosen])
        at = chosen[better]
        found["time"][at], found["width"][at] = spans.guess[better], spans.width[better]
        found["bounded"][at] = ~spans.unbounded[better]

    def _is_vague(self, chosen: Ids, now: float) -> Mask:
        found = self._found
        coarse = is_coarse(found["width"][chosen], now - found["time"][chosen])
        return coarse & (found["soundings"][chosen] < _SOUNDINGS_A_POSITION)

    def _narrow(self, rows: Rows, vague: Ids, now: float, sound: Sound) -> int:
        """Sound the vaguest row of each partition; return how many soundings were made, 0 if nothing came of them."""
        found = self._found
        share = found["width"][vague] / np.maximum(now - found["time"][vague], 1.0)
        ordered = vague[np.argsort(-share, kind="stable")]
        slots, which = np.unique(rows.slot[ordered], return_index=True)
        chosen = ordered[which]
        if len(chosen) > _SLOTS_A_ROUND:
            fewest = np.argsort(found["soundings"][chosen], kind="stable")[:_SLOTS_A_ROUND]
            slots, chosen = slots[fewest], chosen[fewest]
        positions = found["position"][chosen]
        turn = found["soundings"][chosen].astype(np.int64)
        moments = choose_soundings(self._times.locate(slots, positions), turn, now)
        found["soundings"][chosen] += 1
        if not self._take_soundings(slots, positions, moments, now, sound).any():
            return 0
        self._look_up(rows, vague[np.isin(rows.slot[vague], slots)])
        return len(slots)

    def _ages(self, lag: Lag, now: float) -> RowAges:
        found = self._found
        method = np.where(found["bounded"] > 0, _INTERPOLATED, _LOWER_BOUND)
        method[found["width"] == 0] = _EXACT
        seconds = np.maximum(now - found["time"], 0.0)
        nothing, unknown = lag.backlog == 0, np.isnan(lag.backlog)
        seconds[nothing], seconds[unknown] = 0.0, np.nan
        method[nothing], method[unknown] = _EXACT, _UNKNOWN
        return RowAges(seconds, method.astype(np.int32))


def oldest(rows: Rows, ages: RowAges) -> tuple[Floats, Codes]:
    """Return the age and method of each pair: those of its oldest row, or a lower bound where one row has only that."""
    seconds = rows.largest(ages.seconds)
    if not len(rows):
        return seconds, np.empty(0, dtype=np.int32)
    at_worst = np.where(ages.seconds == seconds[rows.pair], ages.method, _EXACT)
    method = np.maximum.reduceat(at_worst, rows.first)
    bounded_below = np.logical_or.reduceat(ages.method == _LOWER_BOUND, rows.first)
    method = np.where(bounded_below, _LOWER_BOUND, method)
    return seconds, np.where(np.isnan(seconds), _UNKNOWN, method).astype(np.int32)
