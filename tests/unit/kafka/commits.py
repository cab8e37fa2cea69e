"""Writes records of `__consumer_offsets` as Kafka's group coordinator does."""

import struct

from monitor.brokers.kafka.offsets_format import CommitKey


def string(text: str) -> bytes:
    """A string of the older message formats."""
    return struct.pack(">h", len(text.encode())) + text.encode()


def commit_key(commit: CommitKey, kind: int = 1) -> bytes:
    """The key of a commit (OffsetCommitKey)."""
    return struct.pack(">h", kind) + string(commit.group) + string(commit.topic) + struct.pack(">i", commit.partition)


def commit_value(offset: int, version: int = 3) -> bytes:
    """The value of a commit (OffsetCommitValue), in any of its versions."""
    if version >= 4:  # flexible: compact strings, and fields that are added at the end
        return struct.pack(">hqiBqB", version, offset, -1, 1, 1_700_000_000_000, 0)
    epoch = struct.pack(">i", -1) if version == 3 else b""
    expiry = struct.pack(">q", 1_800_000_000_000) if version == 1 else b""
    return struct.pack(">hq", version, offset) + epoch + string("") + struct.pack(">q", 1_700_000_000_000) + expiry


def group_key(group: str, kind: int = 2) -> bytes:
    """The key of what is kept of a group as such (GroupMetadataKey, and those of newer groups)."""
    return struct.pack(">h", kind) + string(group)
