"""Just enough of Kafka's protocol for share groups, which no Python client speaks: turn them on, and be a member."""

import socket
import struct
import uuid

_UPDATE_FEATURES, _SHARE_GROUP_HEARTBEAT = (57, 1), (76, 1)
_NO_TAGS = b"\0"
_JOIN, _LEAVE = 0, -1


class ShareMember:
    """A member of a share group. Sources: UpdateFeatures 1 and ShareGroupHeartbeat 1 of Kafka's protocol guide."""

    def __init__(self, bootstrap: str, group: str, topic: str) -> None:
        host, _, port = bootstrap.partition(":")
        self._connection = socket.create_connection((host, int(port)), timeout=10.0)
        self._group, self._topic, self._id = group, topic, str(uuid.uuid4())

    def turn_on(self) -> None:
        """Have the cluster allow share groups: in Kafka 4.1 they wait for that."""
        feature = _text("share.version") + struct.pack(">hb", 1, 1) + _NO_TAGS
        self._call(_UPDATE_FEATURES, struct.pack(">i", 5000) + _count(1) + feature + b"\0" + _NO_TAGS)

    def join(self) -> bool:
        """Ask to be a member; say whether that was granted."""
        return self._beat(_JOIN)

    def leave(self) -> None:
        """Leave the group, and hang up."""
        self._beat(_LEAVE)
        self._connection.close()

    def _beat(self, epoch: int) -> bool:
        who = _text(self._group) + _text(self._id) + struct.pack(">i", epoch) + b"\0"
        answer = self._call(_SHARE_GROUP_HEARTBEAT, who + _count(1) + _text(self._topic) + _NO_TAGS)
        error: int = struct.unpack_from(">h", answer, 4 + 1 + 4)[0]  # behind correlation, tags and throttle time
        return error == 0

    def _call(self, api: tuple[int, int], body: bytes) -> bytes:
        head = struct.pack(">hhih", *api, 1, 4) + b"test" + _NO_TAGS
        self._connection.sendall(struct.pack(">i", len(head + body)) + head + body)
        (size,) = struct.unpack(">i", self._read(4))
        return self._read(size)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._connection.recv(size - len(data))
            assert part, "the broker hung up"
            data += part
        return data


def _count(length: int) -> bytes:
    return bytes([length + 1])  # compact lengths are one more, and all of ours fit into one byte


def _text(value: str) -> bytes:
    assert len(value) < 127
    return _count(len(value)) + value.encode()
