"""When a job may run: not before a moment, not after another, and only within the hours of a maintenance window."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from monitor.errors import BadRequest
from monitor.letters import PlanRequest

LATEST_MOMENT = 1e11
"""The latest time that a plan may name (Unix seconds): in the year 5138, so that there are days after it."""

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LOOKED_AHEAD_DAYS = 8


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of the day on some weekdays, in a time zone; over midnight where it ends before it begins.

    The days are those on which it begins.
    """

    begin: time
    end: time
    days: tuple[str, ...]
    zone: tzinfo

    def is_open(self, now: float) -> bool:
        """Say whether a moment (Unix seconds) lies within the window."""
        return any(begin <= now < end for begin, end in self._spans(now))

    def opens_at(self, now: float) -> float:
        """Return when it opens next (Unix seconds); now, if it is open."""
        return now if self.is_open(now) else min(begin for begin, _ in self._spans(now) if begin > now)

    def _spans(self, now: float) -> list[tuple[float, float]]:
        """Return the spans that can matter: that of yesterday may still last, the next one is at most a week away."""
        today = datetime.fromtimestamp(now, self.zone).date()
        spans = []
        for number in range(-1, _LOOKED_AHEAD_DAYS):
            day = today + timedelta(days=number)
            if DAYS[day.weekday()] in self.days:
                last = day if self.end > self.begin else day + timedelta(days=1)
                begin = datetime.combine(day, self.begin, self.zone).timestamp()
                spans.append((begin, datetime.combine(last, self.end, self.zone).timestamp()))
        return spans

    def tell(self) -> dict[str, Any]:
        """Return it as plans and the API have it."""
        return {
            "begin": f"{self.begin:%H:%M}",
            "end": f"{self.end:%H:%M}",
            "days": list(self.days),
            "timezone": str(self.zone) if isinstance(self.zone, ZoneInfo) else "UTC",
        }


def read_window(told: Mapping[str, Any] | None) -> Window | None:
    """Return the window that a request asks for. Raises BadRequest."""
    if told is None:
        return None
    begin, end = _read_time("begin", told.get("begin")), _read_time("end", told.get("end"))
    if begin == end:
        raise _wrong("begin and end are the same")
    days = tuple(str(day).lower() for day in told.get("days") or DAYS)
    if unknown := [day for day in days if day not in DAYS]:
        raise _wrong(f"{unknown[0]!r} is no day; days are {', '.join(DAYS)}")
    return Window(begin, end, tuple(day for day in DAYS if day in days), _read_zone(told.get("timezone") or "UTC"))


def check_timing(request: PlanRequest, now: float) -> None:
    """Raise BadRequest for times that leave nothing to run in."""
    window = read_window(request.window)
    start = max(now, request.start_at or now)
    if request.deadline is not None and request.deadline <= start:
        raise BadRequest("deadline: lies before the job could begin", parameter="deadline")
    if window is not None and request.deadline is not None and window.opens_at(start) >= request.deadline:
        raise BadRequest("deadline: passes before the window opens", parameter="deadline")


def _read_time(name: str, value: object) -> time:
    try:
        read = time.fromisoformat(str(value))
    except ValueError:
        read = None
    if read is None or read.tzinfo is not None:  # the zone of a window stands beside it
        raise _wrong(f"{name} must be a time of the day as 22:30")
    return read.replace(second=0, microsecond=0)


def _read_zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC  # known also where the machine has no data of time zones
    try:
        return ZoneInfo(name)
    except (LookupError, OSError, ValueError):  # not known, a folder, or no name at all
        raise _wrong(f"{name!r} is no time zone that this machine knows; write it as Europe/Berlin") from None


def _wrong(problem: str) -> BadRequest:
    return BadRequest(f"window: {problem}", parameter="window")
