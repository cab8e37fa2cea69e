"""Reading where the partitions' logs begin and end, from all leaders side by side."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from confluent_kafka import TopicPartition

from monitor.brokers.kafka.admin import EARLIEST, LATEST, NO_SUCH_RECORD, Offsets
from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.lanes import Call
from monitor.brokers.kafka.metadata import NO_LEADER, Partitions, Replication
from monitor.brokers.kafka.problems import Problems
from monitor.errors import BrokerError, Unreachable
from monitor.model import Floats, Ids

_CHUNK = 500  # the library's work grows with the square of what one call asks


@dataclass(frozen=True, slots=True, eq=False)
class Logs:
    """First offset, end, and last stable offset of each slot's partition; NaN where it could not be read."""

    start: Floats
    end: Floats
    stable: Floats


@dataclass(frozen=True, slots=True)
class _Column:
    """A column that is being read: what is asked of each partition, and what has come."""

    asked: int
    stable: bool
    values: Floats


def read_logs(
    client: KafkaClient, partitions: Partitions, replication: Replication, seconds: float, problems: Problems
) -> Logs:
    """Ask every leader for its partitions' offsets. One that does not answer costs only its own partitions."""
    columns = [
        _Column(asked, stable, np.full(len(partitions), np.nan))
        for asked, stable in ((LATEST, False), (LATEST, True), (EARLIEST, False))
    ]
    lanes = {
        leader: list(_calls(client, columns, partitions, slots)) for leader, slots in _by_leader(replication, problems)
    }
    for call, result in client.run(lanes, seconds):
        column, slots = call.key
        if isinstance(result, BrokerError):
            leader = int(replication.leader[slots[0]])
            problems.add(result, f"offsets of the partitions that broker {leader} leads", len(slots))
            continue
        values = np.array(result.offsets, dtype=np.float64)
        for position, error in result.errors.items():
            problems.add(error, f"offsets of topic {partitions.topics[partitions.topic[slots[position]]]}")
            values[position] = np.nan
        column.values[slots] = values
    end, stable, start = (column.values for column in columns)
    return Logs(start, end, stable)


def read_times(
    client: KafkaClient,
    partitions: Partitions,
    replication: Replication,
    slots: Ids,
    moments: Floats,
    seconds: float,
    problems: Problems,
) -> tuple[Floats, Floats]:
    """Ask the time index of partitions for the first record that is not older than a moment (Unix seconds), one each.

    Returns its offset and timestamp (Unix seconds); infinite and NaN where no record is that young, both NaN where the
    leader did not tell.
    """
    offsets, stamps = np.full(len(slots), np.nan), np.full(len(slots), np.nan)
    lanes: dict[int, list[Call[Offsets]]] = {}
    leaders = replication.leader[slots]
    for leader in np.unique(leaders[leaders != NO_LEADER]).tolist():
        for chunk in _chunks(np.flatnonzero(leaders == leader)):
            milliseconds = np.maximum(moments[chunk] * 1000, 0).astype(np.int64).tolist()
            lanes.setdefault(leader, []).append(client.offsets(chunk, _asked(partitions, slots[chunk], milliseconds)))
    for call, result in client.run(lanes, seconds):
        if isinstance(result, BrokerError):
            problems.add(result, "time index")
            continue
        found = np.array(result.offsets, dtype=np.float64)
        times = np.array(result.timestamps, dtype=np.float64) / 1000
        times[found == NO_SUCH_RECORD] = np.nan
        found[found == NO_SUCH_RECORD] = np.inf
        for position, error in result.errors.items():
            problems.add(error, f"time index of topic {partitions.topics[partitions.topic[slots[call.key[position]]]]}")
            found[position] = times[position] = np.nan
        offsets[call.key], stamps[call.key] = found, times
    return offsets, stamps


def _by_leader(replication: Replication, problems: Problems) -> Iterator[tuple[int, Ids]]:
    for leader in np.unique(replication.leader).tolist():
        slots = np.flatnonzero(replication.leader == leader)
        if leader == NO_LEADER:
            problems.add(Unreachable("the partition has no leader"), "offsets of partitions", len(slots))
        else:
            yield leader, slots


def _calls(
    client: KafkaClient, columns: Sequence[_Column], partitions: Partitions, slots: Ids
) -> Iterator[Call[Offsets]]:
    for chunk in _chunks(slots):
        for column in columns:
            asked = _asked(partitions, chunk, repeat(column.asked, len(chunk)))
            yield client.offsets((column, chunk), asked, stable=column.stable)


def _asked(partitions: Partitions, slots: Ids, wanted: Iterable[int]) -> list[TopicPartition]:
    named = zip(partitions.named(slots), wanted, strict=True)
    return [TopicPartition(topic, number, asked) for (topic, number), asked in named]


def _chunks(slots: Ids) -> Iterator[Ids]:
    for start in range(0, len(slots), _CHUNK):
        yield slots[start : start + _CHUNK]
