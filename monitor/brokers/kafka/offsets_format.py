"""The records of `__consumer_offsets`, as Kafka's group coordinator writes them. Pure functions on bytes.

A key begins with its kind, a big-endian int16. Kinds 0 and 1 are commits: group and topic (int16 length, UTF-8), then
the partition (int32). Their value begins with its version (int16) and the offset (int64); what follows differs by
version and is not needed, and without a value the commit is deleted. Kind 2 and those above are about groups and their
members. Sources: OffsetCommitKey.json and OffsetCommitValue.json of Kafka's group-coordinator, which promise that
from version 4 on fields are only appended.
"""

import struct
from dataclasses import dataclass

from monitor.errors import BadAnswer

NEWEST_KIND = 23
"""The newest kind of Kafka 4.1, of which it is known that it is no commit."""
NEWEST_VALUE = 4
COMMIT_KINDS = frozenset({0, 1})

VALUE_HEAD = struct.Struct(">hq")
PARTITION = struct.Struct(">i")
_SHORT = struct.Struct(">h")


@dataclass(frozen=True, slots=True)
class CommitKey:
    """Whose commit it is, and of which partition."""

    group: str
    topic: str
    partition: int


def kind_of(key: bytes) -> int:
    """Return the kind of a record. Raises BadAnswer."""
    try:
        (kind,) = _SHORT.unpack_from(key)
    except struct.error as error:
        raise BadAnswer("keys that are cut off") from error
    return int(kind)


def read_commit_key(key: bytes) -> CommitKey:
    """Read the key of a commit. Raises BadAnswer, also where something follows."""
    group, at = _read_string(key, _SHORT.size)
    topic, at = _read_string(key, at)
    if at + PARTITION.size != len(key):
        raise BadAnswer("keys that are cut off, or too long")
    (partition,) = PARTITION.unpack_from(key, at)
    if partition < 0:
        raise BadAnswer("keys without a partition")
    return CommitKey(group, topic, partition)


def _read_string(data: bytes, at: int) -> tuple[str, int]:
    try:
        (length,) = _SHORT.unpack_from(data, at)
        begin = at + _SHORT.size
        text = data[begin : begin + length]
        if length < 0 or len(text) != length:
            raise BadAnswer("keys that are cut off")
        return text.decode(), begin + length
    except (struct.error, UnicodeDecodeError) as error:
        raise BadAnswer("keys that are no text") from error
