"""The one shape that every source of numbers fills: a row a queue, a column a number, NaN where it is not known."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from monitor.model import Floats

QueueKey = tuple[str, str]
"""A queue's virtual host and name."""

READY, UNACKED, CONSUMERS, BYTES, HEAD = "ready", "unacked", "consumers", "bytes", "head"
STREAM_LAG, CAPACITY = "stream_lag", "capacity"
PUBLISHED, DELIVERED, ACKED, AUTO_ACKED, REDELIVERED = "published", "delivered", "acked", "auto_acked", "redelivered"
COUNTERS = (PUBLISHED, DELIVERED, ACKED, AUTO_ACKED, REDELIVERED)
"""Counters of a queue as the broker counts them; they begin again when it restarts. `delivered` are deliveries of every
kind, `auto_acked` those that need no acknowledgement and so are consumed at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """Numbers of queues. The same `keys` tuple means the same rows as before.

    `head` is the timestamp that the publisher gave the first message, in Unix seconds. `capacity` is the share of the
    time in which the queue could hand a message to a consumer at once.
    """

    keys: tuple[QueueKey, ...]
    columns: Mapping[str, Floats]

    def column(self, name: str) -> Floats:
        """Return a column, all NaN where the source does not have it."""
        found = self.columns.get(name)
        return np.full(len(self.keys), np.nan) if found is None else found


def label_of(key: QueueKey) -> str:
    """Return a queue's name for people and labels: bare in the virtual host `/`, `vhost/queue` elsewhere."""
    vhost, name = key
    return name if vhost == "/" else f"{vhost}/{name}"


def align(readings: Readings, keys: tuple[QueueKey, ...]) -> Readings:
    """Return the readings with the rows of `keys`: NaN where a queue was not read."""
    if readings.keys is keys or readings.keys == keys:
        return Readings(keys, readings.columns)
    place = {key: i for i, key in enumerate(readings.keys)}
    rows = np.fromiter((place.get(key, -1) for key in keys), dtype=np.int64, count=len(keys))
    return Readings(keys, {name: take(values, rows) for name, values in readings.columns.items()})


def take(values: Floats, rows: np.ndarray) -> Floats:
    """Return `values[rows]`, NaN for row -1."""
    if not len(values):
        return np.full(len(rows), np.nan)
    return np.where(rows >= 0, values[rows], np.nan)
