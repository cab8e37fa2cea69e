"""From committed offsets and log offsets to lag, progress and loss. Pure functions on columns, one row a partition."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.brokers.kafka.memory import Memory
from monitor.model import Floats

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Lag:
    """How far rows are behind; NaN is unknown.

    `messages` is the number that everybody gives: the offsets from the committed one to the log's end; where retention
    has deleted beyond the committed offset, from the log's start. Offsets that hold no record (compacted away, or
    transaction markers) are counted. `backlog` is the same but for two cases that are 0: a partition that is owned,
    was never committed and holds nothing, and one where only a transaction's marker is left (see `measure`); and where
    the offsets have been read, it is the number of records among them (see `tails`).
    `position` is the offset that will be read next. `ahead` marks committed offsets beyond the end: the log was cut or
    made again, and what the group will read is not known. `counted` marks backlogs that are a number of records.
    """

    messages: Floats
    backlog: Floats
    position: Floats
    ahead: Mask
    counted: Mask


@dataclass(frozen=True, slots=True, eq=False)
class RowLogs:
    """Where each row's log begins, ends and is stable up to, and whether transactions write to its topic."""

    start: Floats
    end: Floats
    stable: Floats
    transactional: Mask


def measure(committed: Floats, uncommitted: Mask, logs: RowLogs) -> Lag:
    """Compare committed offsets with logs. The offsets must have been committed before the ends were read.

    Where transactions write, the last offset of a log without an open one is the marker that ended the last. A reader
    commits behind the record before it, and its lag stays 1 for ever (librdkafka#3917, spring-kafka#1587): nothing
    waits. A topic with other writers beside the transactions could have one record there instead; that is accepted
    where the topic may not be read, which would tell (`tails`).
    """
    position = np.maximum(committed, logs.start)
    ahead = committed > logs.end
    messages = np.where(ahead, np.nan, logs.end - position)
    only_marker = logs.transactional & (logs.stable == logs.end) & (messages == 1)
    nothing_there = uncommitted & (logs.start == logs.end)
    backlog = np.where(only_marker | nothing_there, 0.0, messages)
    return Lag(messages, backlog, position, ahead, counted=np.zeros(len(messages), dtype=np.bool_))


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """What rows did since they were last seen: messages consumed, lost unread, and 1 where the offset went back.

    `lost_before` are those of the lost that were gone when the row was first seen.
    """

    consumed: Floats
    lost: Floats
    lost_before: Floats
    rewound: Floats


def new_progress_memory() -> Memory:
    """Return what `advance` needs to keep: the last offset committed, up to where losses are counted, and `watched`.

    That is 1 once a row could be read: what is lost from then on went while somebody looked.
    """
    return Memory(committed=np.nan, lost_below=-np.inf, watched=0.0)


def advance(memory: Memory, committed: Floats, start: Floats) -> Progress:
    """Compare with the last cycle that could read a row, and remember this one.

    Lost are the messages between the committed offset and the log's start: deleted before the group has read them. They
    are counted once, also when the group later jumps over them, and are not consumed. A group that goes back below the
    start has lost nothing: it has read there before.
    """
    before, counted = memory["committed"], memory["lost_below"]
    back = committed < before
    consumed = np.nan_to_num(np.maximum(committed - np.fmax(before, counted), 0.0))
    consumed[np.isnan(before)] = 0.0
    below = start > committed
    lost = np.where(below & ~back, np.maximum(start - np.maximum(committed, counted), 0.0), 0.0)
    memory["lost_below"] = np.where(below, np.maximum(counted, start), counted)
    memory["committed"] = np.where(np.isnan(committed), before, committed)
    lost_before = np.where(memory["watched"] == 0, lost, 0.0)
    memory["watched"] = np.where(np.isnan(committed + start), memory["watched"], 1.0)
    return Progress(consumed, lost, lost_before, back.astype(np.float64))


def grown(before: Floats, now: Floats) -> Floats:
    """Return by how much ends have moved on; 0 where one of the two is not known."""
    return np.nan_to_num(np.maximum(now - before, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class Retention:
    """What deletes each row's records: age after `seconds`, NaN if it does not or is not known; size if `capped`."""

    seconds: Floats
    capped: Mask


def find_margin(lag: Lag, logs: RowLogs, ages: Floats, retention: Retention) -> Floats:
    """Return what is left to the oldest unread record before retention deletes it, as a ratio by row; 1 if none waits.

    It is the share of the retention time. Where size deletes as well, and has begun to, no more is left than the share
    of the log that lies before the record. NaN where nothing deletes records or it is not known.
    """
    full = retention.capped & (logs.start > 0)
    size = logs.end - logs.start
    before = np.divide(lag.position - logs.start, size, out=np.ones(len(size)), where=size > 0)
    left = np.fmin((retention.seconds - ages) / retention.seconds, np.where(full, before, np.nan))
    safe = np.where(np.isnan(retention.seconds) & ~full, np.nan, 1.0)
    margin: Floats = np.where(lag.backlog > 0, np.clip(left, 0.0, 1.0), safe)
    margin[np.isnan(lag.backlog)] = np.nan
    return margin
