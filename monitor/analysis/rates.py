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


Track = tuple[tuple[float, Totals], ...]
"""The counters at a few moments, oldest first: thinned, so that a span of any length costs the same memory, but always
with the last two looks, so that what is new has a rate at its second."""


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """Messages a second of every subscription; NaN is not known."""

    published: Floats
    consumed: Floats


def realign_track(track: Track, where: Ids) -> Track:
    """Take the subscriptions that stood at `where`, as `windows.places` says it."""
    return tuple((moment, realigned(totals, where)) for moment, totals in track)


def extend(track: Track, totals: Totals, at: float, span: float) -> Track:
    """Add one look to a track of `span` seconds."""
    if not track:
        return ((at, totals),)
    spacing = span / _POINTS
    latest = track[-1][1]
    kept = [
        (moment, _without_resets(point, latest, totals)) for moment, point in track if moment >= at - span - spacing
    ]
    if len(kept) > 2 and kept[-2][0] - kept[-3][0] < spacing:
        del kept[-2]
    return (*kept, (at, totals))


def measure(track: Track) -> Rates:
    """Return the rates up to the last look, since the oldest at which each counter was known."""
    return Rates(*(_rate(track, name) for name in ("published", "consumed")))


def drain_seconds(backlog: Floats, rates: Rates) -> Floats:
    """Return how long each backlog lasts at the present rates: infinite if it does not shrink, NaN if not known."""
    shrinking = rates.consumed - rates.published
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
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


def _rate(track: Track, name: str) -> Floats:
    at, latest = track[-1]
    now: Floats = getattr(latest, name)
    since, begun = np.full(len(now), np.nan), np.full(len(now), np.nan)
    for moment, totals in track[:-1]:
        unset = np.isnan(begun)
        since[unset] = moment
        begun[unset] = getattr(totals, name)[unset]
    rate: Floats = (now - begun) / (at - since)
    return rate
