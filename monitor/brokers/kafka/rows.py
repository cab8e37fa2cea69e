"""The rows of a cycle: one for each partition of each group, and one for each topic of each group.

A row is a partition that its group has committed on or that one of its members owns. Rows are sorted by group and key,
so the rows of a group's topic follow each other, and sums over them need no loop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.brokers.kafka.groups import Group
from monitor.brokers.kafka.metadata import PARTITION_BITS, TOPIC_BITS, Partitions
from monitor.model import Codes, Floats, Ids, Labels, encode_id

_GROUP_SHIFT = PARTITION_BITS + TOPIC_BITS


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Which rows there are. `ids` rise; `slot` is each row's partition, `pair` its (group, topic).

    A pair's rows begin at `first[pair]`; `pair_ids` rise as well and are never used for another pair; `pair_group` and
    `pair_topic` index `groups` and the topics of the partitions. `names` holds each pair's subscription id and scope.
    """

    groups: tuple[str, ...]
    ids: Ids
    slot: Ids
    pair: Codes
    first: Ids
    pair_ids: Ids
    pair_group: Codes
    pair_topic: Codes
    labels: tuple[Labels, ...]
    pair_labels: tuple[Labels, ...]
    names: tuple[tuple[str, Mapping[str, str]], ...]

    def __len__(self) -> int:
        return len(self.ids)

    def total(self, values: Floats) -> Floats:
        """Add up the rows of each pair; one NaN makes the sum NaN."""
        return np.add.reduceat(values, self.first) if len(values) else np.empty(0)

    def largest(self, values: Floats) -> Floats:
        """Return the largest value of each pair, NaN only where no row has one."""
        return np.fmax.reduceat(values, self.first) if len(values) else np.empty(0)

    def smallest(self, values: Floats) -> Floats:
        """Return the smallest value of each pair, NaN only where no row has one."""
        return np.fmin.reduceat(values, self.first) if len(values) else np.empty(0)


def arrange(cluster: str, groups: Sequence[Group], partitions: Partitions, known: Rows | None) -> Rows:
    """Return the rows of all groups, in the order of their codes; the known ones themselves if nothing has changed."""
    ids = np.concatenate([np.empty(0, dtype=np.int64), *(group.code << _GROUP_SHIFT | group.keys for group in groups)])
    names = tuple(group.name for group in groups)
    slot = partitions.slots_of(ids & ((1 << _GROUP_SHIFT) - 1))
    if (
        known is not None
        and names == known.groups
        and np.array_equal(ids, known.ids)
        and np.array_equal(slot, known.slot)
    ):
        return known
    pair_of_row = ids >> PARTITION_BITS
    first = np.flatnonzero(np.diff(pair_of_row, prepend=-1))
    pair = np.repeat(np.arange(len(first), dtype=np.int32), np.diff(first, append=len(ids)))
    pair_ids = pair_of_row[first]
    codes = np.array([group.code for group in groups], dtype=np.int64)
    pair_group = np.searchsorted(codes, pair_ids >> TOPIC_BITS).astype(np.int32)
    pair_topic = partitions.topic[slot[first]]
    group_label, topic_label = Labels("group", names, pair_group), Labels("topic", partitions.topics, pair_topic)
    numbers = tuple(str(number) for number in range(int(partitions.number.max(initial=-1)) + 1))
    labels = (
        Labels("group", names, pair_group[pair]),
        Labels("topic", partitions.topics, pair_topic[pair]),
        Labels("partition", numbers, partitions.number[slot]),
    )
    scopes = zip(group_label.decode(), topic_label.decode(), strict=True)
    pair_names = tuple((encode_id(cluster, group, topic), {"group": group, "topic": topic}) for group, topic in scopes)
    return Rows(
        names, ids, slot, pair, first, pair_ids, pair_group, pair_topic, labels, (group_label, topic_label), pair_names
    )


def _equal(*pairs: tuple[Ids, Ids]) -> bool:
    return all(np.array_equal(one, other) for one, other in pairs)
