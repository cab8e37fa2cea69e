"""How producers write: flows of records whose times are known, to compare told ages with true ones."""

from collections.abc import Mapping, Sequence

import numpy as np

from monitor.model import Floats

HOUR = 3600.0
RECORDS = 400


def steady(now: float) -> Floats:
    """One record every nine seconds, for an hour."""
    return np.linspace(now - HOUR, now, RECORDS, endpoint=False)


def bursty(now: float) -> Floats:
    """Twenty bursts of twenty records within a second, and minutes without any in between."""
    starts = np.linspace(now - HOUR, now - 90.0, 20)
    return np.concatenate([start + np.linspace(0.0, 1.0, 20) for start in starts])


def idle(now: float) -> Floats:
    """A steady hour that ended six hours ago; nothing since."""
    return steady(now - 6 * HOUR)


def restarted(now: float) -> Floats:
    """Ten minutes of writing, forty while the producer was away, ten minutes of catching up at double pace."""
    before = np.linspace(now - HOUR, now - HOUR + 600.0, RECORDS // 3)
    after = np.linspace(now - 600.0, now - 1.0, RECORDS - RECORDS // 3)
    return np.concatenate([before, after])


FLOWS = {flow.__name__: flow for flow in (steady, bursty, idle, restarted)}

POSITIONS = (0.02, 0.1, 0.34, 0.5, 0.9, 0.99)
"""Where groups stand, as a share of the log: each flow is read by one group for each."""


def offsets_of(count: int) -> Sequence[int]:
    """Return the offsets of the positions in a log of so many records."""
    return [int(share * count) for share in POSITIONS]


def true_ages(stamps: Floats, now: float) -> Mapping[int, float]:
    """Return by committed offset how old the first record is that was not yet read."""
    return {offset: now - float(stamps[offset]) for offset in offsets_of(len(stamps))}
