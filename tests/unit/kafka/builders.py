"""Small clusters and groups for tests."""

from collections.abc import Sequence

import numpy as np

from monitor.brokers.kafka.groups import Group
from monitor.brokers.kafka.metadata import PARTITION_BITS, Directory
from monitor.brokers.kafka.rows import Rows, arrange


def make_directory(**topics: int) -> Directory:
    """A directory of topics with so many partitions each, led by broker 1."""
    directory = Directory()
    directory.update({name: [(1, 1, 1)] * count for name, count in topics.items()})
    return directory


def make_group(name: str, code: int, partitions: Sequence[tuple[int, int]], committed: Sequence[float]) -> Group:
    """A group with offsets on partitions, given as (topic code, number)."""
    keys = np.array([topic << PARTITION_BITS | number for topic, number in partitions], dtype=np.int64)
    offsets = np.array(committed, dtype=np.float64)
    return Group(name, code, keys=keys, committed=offsets, uncommitted=np.isnan(offsets))


def make_rows(partitions: Sequence[tuple[int, int]]) -> Rows:
    """The rows of one group on partitions (topic code, number) of topics with enough of them."""
    counts: dict[int, int] = {}
    for topic, number in partitions:
        counts[topic] = max(counts.get(topic, 0), number + 1)
    directory = make_directory(**{f"topic{topic}": counts.get(topic, 1) for topic in range(max(counts) + 1)})
    group = make_group("group", 0, partitions, [0.0] * len(partitions))
    return arrange("cluster", [group], directory.partitions, None)
