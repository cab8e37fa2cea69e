"""The watched topics and partitions as columns, with numbers that stay theirs while the monitor runs.

A partition's *slot* is its row in these columns; slots move when topics come and go. Its *key* never moves and is never
given to another: `topic code << 18 | partition number`. A group's partition has the id `group code << 38 | key`. Codes
are given in the order of first sight and not again, also not to a topic that was deleted and made again.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.config import Filter
from monitor.model import Codes, Ids

PARTITION_BITS = 18
TOPIC_BITS = 20
NO_LEADER = -1
OWN_PREFIX = ("eventflow.redrive.", "eventflow.probe")
"""How the topics and groups of the product itself begin, which are not watched."""
OFFSETS_TOPIC = "__consumer_offsets"
SHARE_STATE_TOPIC = "__share_group_state"
INTERNAL_TOPICS = frozenset({OFFSETS_TOPIC, "__transaction_state", SHARE_STATE_TOPIC})


def is_watched(name: str, names: Filter) -> bool:
    """Say whether a topic or group is to be watched: it is not the product's own, and the filter lets it through."""
    return not name.startswith(OWN_PREFIX) and names.matches(name)


@dataclass(frozen=True, slots=True)
class Listing:
    """What one metadata answer says: by topic, of each partition (leader, replicas, in sync), in order of number.

    `coordinators` are the leaders of the partitions in which the groups' offsets are kept, empty where these
    credentials may not see them. `unreadable` are topics that came with an error.
    """

    topics: Mapping[str, list[tuple[int, int, int]]]
    coordinators: tuple[int, ...]
    brokers: tuple[int, ...]
    unreadable: tuple[str, ...] = ()


def read_listing(answer: Any) -> Listing:
    """Take what is needed out of the library's metadata."""
    topics, unreadable = {}, []
    for name, topic in answer.topics.items():
        if topic.error is None:
            topics[name] = _partitions(topic.partitions)
        else:
            unreadable.append(name)
    keepers = topics.get(OFFSETS_TOPIC, [])
    return Listing(topics, tuple(leader for leader, _, _ in keepers), tuple(answer.brokers), tuple(unreadable))


def _partitions(partitions: Mapping[int, Any]) -> list[tuple[int, int, int]]:
    rows = [(NO_LEADER, 0, 0)] * (max(partitions, default=-1) + 1)
    for number, partition in partitions.items():
        rows[number] = (partition.leader, len(partition.replicas), len(partition.isrs))
    return rows


def keeper_of(group: str, partitions: int) -> int:
    """Return the partition of `__consumer_offsets` in which Kafka keeps a group's offsets.

    It is `abs(hash(group)) mod partitions`, with Java's string hash (GroupCoordinatorService.partitionFor, Utils.abs).
    """
    units = group.encode("utf-16-be")
    code = 0
    for i in range(0, len(units), 2):
        code = (31 * code + (units[i] << 8 | units[i + 1])) & 0xFFFFFFFF
    signed = code - 0x1_0000_0000 if code > 0x7FFFFFFF else code
    return (0 if signed == -0x8000_0000 else abs(signed)) % partitions


def coordinator_of(group: str, coordinators: tuple[int, ...]) -> int:
    """Return the broker that keeps a group's offsets, NO_LEADER if it cannot be told.

    It is the leader of the partition that they are kept in.
    """
    return coordinators[keeper_of(group, len(coordinators))] if coordinators else NO_LEADER


@dataclass(frozen=True, slots=True, eq=False)
class Partitions:
    """All watched partitions. Topic t has the slots `first[t]` to `first[t + 1]`; the other columns are by slot.

    `keys` rise with the slots.
    """

    topics: tuple[str, ...]
    codes: Ids
    first: Ids
    topic: Codes
    number: Codes
    keys: Ids

    def __len__(self) -> int:
        return len(self.number)

    def named(self, slots: Ids) -> Iterator[tuple[str, int]]:
        """Return topic and partition number of slots."""
        names = (self.topics[topic] for topic in self.topic[slots].tolist())
        return zip(names, self.number[slots].tolist(), strict=True)

    def slots_of(self, keys: Ids) -> Ids:
        """Return the slot of each key, -1 for those that are no longer there."""
        return positions_in(self.keys, keys)


@dataclass(frozen=True, slots=True, eq=False)
class Replication:
    """Who leads each slot's partition (NO_LEADER if nobody), and how many replicas it has and are in sync."""

    leader: Codes
    replicas: Codes
    in_sync: Codes


def positions_in(ordered: Ids, wanted: Ids) -> Ids:
    """Return the position of each wanted value in a rising array, -1 where it is not there."""
    if not len(ordered):
        return np.full(len(wanted), -1, dtype=np.int64)
    found = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return np.where(ordered[found] == wanted, found, -1)


class Directory:
    """Gives topics their codes and keeps the columns as long as nothing changes."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._next_code = 0
        self.partitions = _columns({}, {})
        self.index: dict[str, int] = {}
        self.coordinators: tuple[int, ...] = ()

    def update(
        self, topics: Mapping[str, list[tuple[int, int, int]]], coordinators: tuple[int, ...] = ()
    ) -> Replication:
        """Take over what metadata says; `partitions` and `index` (topic to its number there) are new if need be."""
        self.coordinators = coordinators
        for name in sorted(topics.keys() - self._codes.keys()):
            self._renew(name)
        for name in self._codes.keys() - topics.keys():
            del self._codes[name]
        ordered = {name: topics[name] for name in sorted(self._codes, key=self._codes.__getitem__)}
        columns = _columns({name: len(rows) for name, rows in ordered.items()}, self._codes)
        known = self.partitions
        if columns.topics != known.topics or not np.array_equal(columns.keys, known.keys):
            self.partitions = columns
            self.index = {name: position for position, name in enumerate(columns.topics)}
        flat = np.array([row for rows in ordered.values() for row in rows], dtype=np.int32).reshape(-1, 3)
        return Replication(flat[:, 0].copy(), flat[:, 1].copy(), flat[:, 2].copy())

    def leaderless(self, name: str) -> list[tuple[int, int, int]]:
        """Return the rows of a known topic whose partitions nobody leads."""
        topic = self.index[name]
        first = self.partitions.first
        return [(NO_LEADER, 0, 0)] * int(first[topic + 1] - first[topic])

    def recreated(self, names: Iterable[str]) -> None:
        """Take topics for new ones from the next update on: their old offsets say nothing about them."""
        for name in names:
            if name in self._codes:
                del self._codes[name]

    def _renew(self, name: str) -> None:
        self._codes[name] = self._next_code
        self._next_code += 1


def _columns(counts: Mapping[str, int], codes: Mapping[str, int]) -> Partitions:
    sizes = np.fromiter(counts.values(), dtype=np.int64, count=len(counts))
    first = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes)])
    topic = np.repeat(np.arange(len(counts), dtype=np.int32), sizes)
    number = (np.arange(first[-1]) - first[topic]).astype(np.int32)
    topic_codes = np.array([codes[name] for name in counts], dtype=np.int64)
    return Partitions(tuple(counts), topic_codes, first, topic, number, topic_codes[topic] << PARTITION_BITS | number)
