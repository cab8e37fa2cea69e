"""Messages a second from counters that were seen again and again, and how long a backlog lasts at that rate."""

from dataclasses import dataclass

import numpy as np

from monitor.analysis.windows import realigned
from monitor.model import Floats, Ids

_POINTS = 6
"""How many points a span is thinned to."""


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """The counters of every subscription at one moment; NaN is not known."""

    published: Floats
    consumed: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """The counters at a few moments, oldest first, thinned, so that a span of any length costs the same memory.

    `points` are what rates begin from; `latest` is the last look, which may not be among them.
    """

    points: tuple[tuple[float, Totals], ...]
    latest: Totals


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """Messages a second of every subscription; NaN is not known."""

    published: Floats
    consumed: Floats


def begin_track(length: int) -> Track:
    """Return the track before the first look."""
    return Track((), Totals(*np.full((2, length), np.nan)))


def realign_track(track: Track, where: Ids) -> Track:
    """Take the subscriptions that stood at `where`, as `windows.places` says it."""
    points = tuple((moment, realigned(point, where)) for moment, point in track.points)
    return Track(points, realigned(track.latest, where))


def extend(track: Track, totals: Totals, at: float, span: float) -> Track:
    """Add one look to a track of `span` seconds."""
    spacing = span / _POINTS
    points = tuple(
        (moment, _without_resets(point, track.latest, totals))
        for moment, point in track.points
        if moment >= at - span - spacing
    )
    if not points or at - points[-1][0] >= spacing:
        points = (*points, (at, totals))
    return Track(points, totals)


def measure(track: Track, at: float) -> Rates:
    """Return the rates since the oldest point of the track at which each counter was known."""
    return Rates(*(_rate(track, at, name) for name in ("published", "consumed")))


def drain_seconds(backlog: Floats, rates: Rates) -> Floats:
    """Return how long each backlog lasts at the present rates: infinite if it does not shrink, NaN if not known."""
    shrinking = rates.consumed - rates.published
    with np.errstate(divide="ignore", invalid="ignore"):
        lasting = np.where(shrinking > 0, backlog / shrinking, np.inf)
    lasting[np.isnan(shrinking) | np.isnan(backlog)] = np.nan
    lasting[backlog == 0] = 0.0
    return lasting


def _without_resets(point: Totals, latest: Totals, totals: Totals) -> Totals:
    """Forget the counters of a point that have begun anew since."""
    return Totals(
        np.where(totals.published < latest.published, np.nan, point.published),
        np.where(totals.consumed < latest.consumed, np.nan, point.consumed),
    )


def _rate(track: Track, at: float, name: str) -> Floats:
    now: Floats = getattr(track.latest, name)
    since, begun = np.full(len(now), np.nan), np.full(len(now), np.nan)
    for moment, point in track.points:
        if moment < at:
            unset = np.isnan(begun)
            since[unset] = moment
            begun[unset] = getattr(point, name)[unset]
    rate: Floats = (now - begun) / (at - since)
    return rate
