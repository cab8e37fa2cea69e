"""What changed when something broke: the minutes before a status turned bad against those after. Pure functions."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from dashboards.components.status import GOOD, look_of
from monitor.api.items import HistoryPoint, MarkItem
from monitor.words import say_count, say_duration, say_rate

_POINTS_COMPARED = 10
MARKS_SECONDS = 1800.0
"""How long before a turn something may have been noted to be told with it."""

_MUCH = 0.5
"""A rate that moved by less than half is not worth a word."""


class Turn(NamedTuple):
    """A status that turned bad: when, from what to what."""

    at: float
    place: int
    before: str
    after: str


def last_turn(points: Sequence[HistoryPoint]) -> Turn | None:
    """Return when the status turned from good to bad for the last time; gaps are passed over."""
    known = [(place, str(it["status"])) for place, it in enumerate(points) if it["status"] is not None]
    for (_, before), (place, after) in reversed(list(pairwise(known))):
        if before in GOOD and after not in GOOD:
            return Turn(points[place]["at"], place, before, after)
    return None


def say_changes(points: Sequence[HistoryPoint], turn: Turn) -> list[str]:
    """Say what else changed around a turn: consumers, what came in, what went out, how long it took to be noticed."""
    before = points[max(0, turn.place - _POINTS_COMPARED) : turn.place]
    after = points[turn.place : turn.place + _POINTS_COMPARED]
    told = [
        _say("consumers", before, after, lambda it: it["consumers"], say_count, exact=True),
        _say("coming in", before, after, lambda it: it["published_per_second"], say_rate),
        _say("going out", before, after, lambda it: it["consumed_per_second"], say_rate),
        _say_gap(before),
    ]
    return [it for it in told if it]


def say_marks(marks: Iterable[MarkItem], turn: Turn) -> list[str]:
    """Say what people noted shortly before a turn, such as a deployment, the latest first."""
    near = [mark for mark in marks if 0 <= turn.at - mark["at"] <= MARKS_SECONDS]
    near.sort(key=lambda mark: -mark["at"])
    return [f"{' '.join((it['name'], it['note'])).strip()}, {say_duration(turn.at - it['at'])} before" for it in near]


def say_turn(turn: Turn) -> str:
    """Say which status became which."""
    return f"{look_of(turn.before)} → {look_of(turn.after)}"


def _say(
    what: str,
    before: Iterable[HistoryPoint],
    after: Iterable[HistoryPoint],
    value: Callable[[HistoryPoint], float | None],
    say: Callable[[float], str],
    *,
    exact: bool = False,
) -> str:
    was, became = _average(map(value, before)), _average(map(value, after))
    if was is None or became is None:
        return ""
    if exact:
        was, became = round(was), round(became)
    larger = max(abs(was), abs(became))
    if not larger or abs(became - was) < (1 if exact else _MUCH * larger):
        return ""
    return f"{what}: {say(was)} → {say(became)}"


def _average(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _say_gap(before: Sequence[HistoryPoint]) -> str:
    """Say that nothing was read just before, so that it may have broken earlier."""
    gap = [it for it in before if it["status"] is None]
    if not gap or before[-1]["status"] is not None or len(before) < 2:
        return ""
    step = before[1]["at"] - before[0]["at"]
    return f"nothing was read for {say_duration(len(gap) * step)} before, so it may have begun earlier"
