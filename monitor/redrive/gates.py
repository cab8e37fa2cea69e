"""Whether a job may go on now: what people want, its hours, its deadline, and how its target is doing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from monitor.letters import Action, PlanRequest
from monitor.redrive.journal import StoredJob
from monitor.redrive.model import JobState
from monitor.redrive.surroundings import Surroundings
from monitor.redrive.timing import read_window

_LOOK_AROUND_SECONDS = 2.0
_OWN_REASONS = ("window_closed", "target_backpressure", "scheduled")
"""Reasons that go by themselves; while somebody wants a pause, that is the reason."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a job does not run now, and as what it stands meanwhile; a final state ends it."""

    state: JobState
    reason: str | None


class Gate:
    """Looks whether one job may go on. One thread uses it."""

    def __init__(self, plan: Mapping[str, Any], request: PlanRequest, surroundings: Surroundings) -> None:
        self._plan, self._request, self._surroundings = plan, request, surroundings
        self._window = read_window(request.window)
        self._looked_at = float("-inf")
        self._pressure: str | None = None

    def look(self, stored: StoredJob, now: float, monotonic: float) -> Obstacle | None:
        """Return what is in the way; `now` is Unix seconds."""
        if stored.wanted == "cancel":
            return Obstacle(JobState.CANCELLED, stored.reason if stored.state == JobState.PAUSED else None)
        deadline = self._request.deadline
        if deadline is not None and now >= deadline:
            return Obstacle(JobState.CANCELLED, f"deadline: it passed at {say_moment(deadline)}")
        if stored.wanted == "pause":
            kept = stored.reason if stored.state == JobState.PAUSED else None
            own = kept is None or kept.startswith(_OWN_REASONS)
            return Obstacle(JobState.PAUSED, "operator" if own else kept)
        return self._look_at_hours(stored, now) or self._look_around(stored, monotonic)

    def _look_at_hours(self, stored: StoredJob, now: float) -> Obstacle | None:
        opens = max(now, self._request.start_at or now)
        if self._window is not None:
            opens = self._window.opens_at(opens)
        if opens <= now:
            return None
        if stored.started_at is None:
            return Obstacle(JobState.SCHEDULED, f"scheduled: begins at {say_moment(opens)}")
        return Obstacle(JobState.PAUSED, f"window_closed: opens at {say_moment(opens)}")

    def _look_around(self, stored: StoredJob, monotonic: float) -> Obstacle | None:
        if stored.wanted == "overrule" or self._request.action != Action.REDRIVE:
            return None
        if monotonic - self._looked_at >= _LOOK_AROUND_SECONDS:
            self._looked_at = monotonic
            self._pressure = self._surroundings.find_backpressure(self._plan, self._request)
        return Obstacle(JobState.PAUSED, f"target_backpressure: {self._pressure}") if self._pressure else None


def say_moment(at: float) -> str:
    """Return a moment (Unix seconds) as text, in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%SZ}"
