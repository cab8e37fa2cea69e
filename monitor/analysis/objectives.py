"""How long each objective was met and missed: counters of seconds, and unknown time is neither."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from monitor.analysis.windows import Flags, realigned
from monitor.model import Floats, Ids

OUTCOMES = ("met", "missed", "unknown")

_SPAN_INTERVALS = 1.5
"""How long one look speaks for, in intervals: a little lateness is no gap."""


@dataclass(frozen=True, slots=True, eq=False)
class Seconds:
    """Seconds watched by outcome, for every subscription."""

    met: Floats
    missed: Floats
    unknown: Floats


def begin_seconds(length: int) -> Seconds:
    """Return counters at zero."""
    return Seconds(*np.zeros((len(OUTCOMES), length)))


def realign_seconds(seconds: Seconds, where: Ids) -> Seconds:
    """Take the subscriptions that stood at `where`, as `windows.places` says it; new ones begin at zero."""
    moved = realigned(seconds, where)
    return Seconds(*(np.nan_to_num(column) for column in (moved.met, moved.missed, moved.unknown)))


def add_seconds(
    seconds: Seconds, age: Floats, at_least: Flags, allowed: Floats, elapsed: Floats, interval: float
) -> Seconds:
    """Add the time since the look before, `elapsed`, to the outcome that the ages of this look show.

    `allowed` is the objective. An age that is only a lower bound (`at_least`) can show that an objective is missed, and
    not that it is met. What elapsed beyond one interval was not watched, so it is unknown.
    """
    spoken_for = np.minimum(elapsed, _SPAN_INTERVALS * interval)
    missed = age > allowed
    met = (age <= allowed) & ~at_least
    return Seconds(
        met=seconds.met + np.where(met, spoken_for, 0.0),
        missed=seconds.missed + np.where(missed, spoken_for, 0.0),
        unknown=seconds.unknown + np.where(met | missed, elapsed - spoken_for, elapsed),
    )


def budget_left(lifetime: Mapping[str, float] | None, target: float | None) -> float | None:
    """Return the share of the error budget that is left, over all time that was judged, which `lifetime` counts.

    The budget is the share of the time that may miss the objective, 1 - target; what was used of it is the missed share
    of met and missed time. 1 is untouched, 0 used up, below 0 overdrawn. None without an objective, and while nothing
    could be judged yet.
    """
    if lifetime is None or target is None or target >= 1:
        return None
    judged = lifetime["met"] + lifetime["missed"]
    return 1 - lifetime["missed"] / judged / (1 - target) if judged > 0 else None
