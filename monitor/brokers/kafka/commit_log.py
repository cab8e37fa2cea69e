"""What all groups have committed, followed along the records of `__consumer_offsets`. No I/O.

The later record wins, and one without a value deletes: with the records of aborted transactions left out, that is what
the coordinator itself does (OffsetMetadataManager.replay). Kept are two columns, sorted by key; a million commits are
16 MB of them. A key is `group number << 38 | topic number << 18 | partition`, with numbers of this module's own, since
commits may name topics that nobody watches yet.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from monitor.brokers.kafka.committed import UNREADABLE
from monitor.brokers.kafka.metadata import PARTITION_BITS, TOPIC_BITS, Directory, Partitions, positions_in
from monitor.brokers.kafka.offsets_format import (
    COMMIT_KINDS,
    NEWEST_KIND,
    NEWEST_VALUE,
    PARTITION,
    VALUE_HEAD,
    kind_of,
    read_commit_key,
)
from monitor.errors import BadAnswer
from monitor.model import Ids

_GROUP_SHIFT = PARTITION_BITS + TOPIC_BITS
_PARTITION_MASK = (1 << PARTITION_BITS) - 1
_TOPIC_MASK = (1 << TOPIC_BITS) - 1
_NOBODY = -1
_NONE = -1
_TOMBSTONE = VALUE_HEAD.pack(0, _NONE)
_UNREADABLE = VALUE_HEAD.pack(0, UNREADABLE)
_HEADS = np.dtype([("version", ">i2"), ("offset", ">i8")])
_WAITING_ROWS = 200_000
_MOST_PREFIXES = 200_000
_SPARE_NUMBERS = 1_000

Watched = Callable[[str, str], bool]
"""Says of a group and a topic whether anybody wants to know."""


@dataclass(frozen=True, slots=True, eq=False)
class Commits:
    """The commits on partitions of one directory: of each group, keys of the directory, rising, and offsets."""

    keys: Ids
    offsets: Ids
    starts: Ids
    numbers: Mapping[str, int]

    def of(self, group: str) -> tuple[Ids, Ids]:
        """Return keys and offsets of one group; both are empty where it has committed nothing."""
        number = self.numbers.get(group, len(self.starts))
        if number + 1 >= len(self.starts):  # nothing of it was there when these rows were arranged
            return self.keys[:0], self.offsets[:0]
        begin, end = self.starts[number], self.starts[number + 1]
        return self.keys[begin:end], self.offsets[begin:end]


@dataclass(frozen=True, slots=True, eq=False)
class _Arrangement:
    """How the rows are handed out, for as long as neither they nor the partitions change."""

    version: int
    partitions: Partitions
    rows: Ids
    keys: Ids
    starts: Ids


class CommitLog:
    """The state after the records taken so far. `unknown` counts records that could not be read, by what they are."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self.unknown: Counter[str] = Counter()
        self.clear()

    def clear(self) -> None:
        """Forget everything: the records will be taken again from the first one on."""
        self._keys: Ids = np.empty(0, dtype=np.int64)
        self._offsets: Ids = np.empty(0, dtype=np.int64)
        self._version = 0
        self._waiting: list[tuple[Ids, Ids]] = []
        self._waiting_rows = 0
        self._groups: dict[str, int] = {}
        self._topics: dict[str, int] = {}
        self._room = _SPARE_NUMBERS, _SPARE_NUMBERS
        self._prefixes: dict[bytes, int] = {}  # a cache of keys without their partition, which repeat
        self._arrangement: _Arrangement | None = None
        self.unknown.clear()

    def __len__(self) -> int:
        self.settle()
        return len(self._keys)

    def take(self, keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> None:
        """Take records, in the order of their partitions' logs."""
        known = self._prefixes.get
        codes = [_NOBODY if key is None else known(key[:-4]) for key in keys]
        if None in codes:
            codes = [self._look_again(key) if code is None else code for key, code in zip(keys, codes, strict=True)]
        pairs = np.array(codes, dtype=np.int64)
        wanted = pairs != _NOBODY
        if not wanted.all():
            some = wanted.tolist()
            pairs, keys, values = pairs[wanted], list(compress(keys, some)), list(compress(values, some))
        if len(pairs):
            numbers = np.frombuffer(b"".join([key[-PARTITION.size :] for key in keys if key]), dtype=">i4")
            self._waiting.append((pairs | numbers, self._read_offsets(values)))
            self._waiting_rows += len(pairs)
            if self._waiting_rows > max(_WAITING_ROWS, len(self._keys)):
                self.settle()

    def _look_again(self, key: bytes | None) -> int:
        """Return the number of a key that was not known when the batch came; others of it may have made it known."""
        key = key or b""
        code = self._prefixes.get(key[: -PARTITION.size])
        return self._learn(key) if code is None else code

    def _learn(self, key: bytes) -> int:
        """Return the number of a key's group and topic, or that nobody wants to know about it."""
        try:
            kind = kind_of(key)
            if kind not in COMMIT_KINDS:
                if not 0 <= kind <= NEWEST_KIND:
                    self.unknown[f"the unknown kind {kind}"] += 1
                return _NOBODY
            commit = read_commit_key(key)
        except BadAnswer as error:
            self.unknown[error.problem] += 1
            return _NOBODY
        code = _NOBODY
        if self._watched(commit.group, commit.topic):
            group = self._groups.setdefault(commit.group, len(self._groups))
            topic = self._topics.setdefault(commit.topic, len(self._topics))
            code = group << _GROUP_SHIFT | topic << PARTITION_BITS
        if len(self._prefixes) >= _MOST_PREFIXES:
            self._prefixes.clear()
        self._prefixes[key[: -PARTITION.size]] = code
        return code

    def _read_offsets(self, values: Sequence[bytes | None]) -> Ids:
        size = VALUE_HEAD.size
        heads = [_TOMBSTONE if value is None else value[:size] for value in values]
        joined = b"".join(heads)
        if len(joined) != size * len(heads):
            heads = [head if len(head) == size else _UNREADABLE for head in heads]
            joined = b"".join(heads)
        rows = np.frombuffer(joined, dtype=_HEADS)
        offsets: Ids = rows["offset"].astype(np.int64)
        strange = (rows["version"] < 0) | (rows["version"] > NEWEST_VALUE)
        offsets[strange] = UNREADABLE
        unread = int((offsets == UNREADABLE).sum())
        if unread:
            self.unknown["commits in an unknown version"] += unread
        return offsets

    def settle(self) -> None:
        """Bring the records that wait into the columns."""
        if not self._waiting:
            return
        keys = np.concatenate([keys for keys, _ in self._waiting])
        offsets = np.concatenate([offsets for _, offsets in self._waiting])
        self._waiting, self._waiting_rows = [], 0
        order = np.argsort(keys, kind="stable")
        keys, offsets = keys[order], offsets[order]
        last = np.append(keys[1:] != keys[:-1], True)
        keys, offsets = keys[last], offsets[last]
        there = (offsets >= 0) | (offsets == UNREADABLE)
        found = positions_in(self._keys, keys)
        old, new = found >= 0, there & (found < 0)
        self._offsets[found[old]] = offsets[old]
        gone = found[old & ~there]
        if len(gone) or new.any():
            kept_keys, kept_offsets = np.delete(self._keys, gone), np.delete(self._offsets, gone)
            places = np.searchsorted(kept_keys, keys[new])
            self._keys = np.insert(kept_keys, places, keys[new])
            self._offsets = np.insert(kept_offsets, places, offsets[new])
            self._version += 1
            self._renumber()

    def _renumber(self) -> None:
        """Give numbers anew when many belong to groups or topics that are gone: names must not pile up."""
        if len(self._groups) <= self._room[0] and len(self._topics) <= self._room[1]:
            return
        group, topic = self._keys >> _GROUP_SHIFT, self._keys >> PARTITION_BITS & _TOPIC_MASK
        groups, topics = np.unique(group), np.unique(topic)
        # Numbers keep their order, so that the keys stay sorted.
        group, topic = np.searchsorted(groups, group), np.searchsorted(topics, topic)
        self._keys = group << _GROUP_SHIFT | topic << PARTITION_BITS | self._keys & _PARTITION_MASK
        self._groups, self._topics = _kept(self._groups, groups), _kept(self._topics, topics)
        self._room = 2 * len(groups) + _SPARE_NUMBERS, 2 * len(topics) + _SPARE_NUMBERS
        self._prefixes.clear()

    def commits(self, directory: Directory) -> Commits:
        """Return what has been committed on the partitions that a directory has."""
        self.settle()
        known = self._arrangement
        if known is None or known.version != self._version or known.partitions is not directory.partitions:
            known = self._arrangement = self._arrange(directory)
        return Commits(known.keys, self._offsets[known.rows], known.starts, self._groups)

    def _arrange(self, directory: Directory) -> _Arrangement:
        partitions = directory.partitions
        places = np.array([directory.index.get(name, -1) for name in self._topics], dtype=np.int64)
        topic, number = self._keys >> PARTITION_BITS & _TOPIC_MASK, self._keys & _PARTITION_MASK
        place = places[topic] if len(topic) else topic
        there = place >= 0
        there[there] = number[there] < np.diff(partitions.first)[place[there]]
        rows = np.flatnonzero(there)
        keys = partitions.codes[place[rows]] << PARTITION_BITS | number[rows]
        group = self._keys[rows] >> _GROUP_SHIFT
        order = np.argsort(group << _GROUP_SHIFT | keys, kind="stable")
        starts = np.searchsorted(group[order], np.arange(len(self._groups) + 1))
        return _Arrangement(self._version, partitions, rows[order], keys[order], starts)


def _kept(names: Mapping[str, int], numbers: Ids) -> dict[str, int]:
    by_number = {number: name for name, number in names.items()}
    return {by_number[number]: place for place, number in enumerate(numbers.tolist())}
