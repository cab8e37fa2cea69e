"""Just enough of Kafka's protocol to ask a broker whether its cluster serves."""

import socket
import struct
from dataclasses import dataclass

METADATA_KEY = 3
METADATA_VERSION = 1  # the oldest version that names the controller; Kafka 4 still answers it


@dataclass(frozen=True)
class ClusterView:
    """What one broker says of its cluster: the brokers that are not fenced, and a controller (None: it knows none)."""

    brokers: tuple[int, ...]
    controller: int | None


def describe_cluster(port: int, timeout_seconds: float = 2.0) -> ClusterView:
    """Ask the broker on this loopback port for its metadata, naming no topic.

    Source: the Metadata request, version 1, of the Kafka protocol guide.

    Raises:
        OSError: it cannot be reached, hangs up, or is no Kafka broker.
    """
    client = b"stack"
    # an empty array of topics: with null the broker would list them all
    body = struct.pack(">hhih", METADATA_KEY, METADATA_VERSION, 1, len(client)) + client + struct.pack(">i", 0)
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        with connection.makefile("rb") as stream:
            (size,) = struct.unpack(">i", _read(stream.read(4), 4))
            answer = _read(stream.read(size), size)
    try:
        return _parse(answer)
    except struct.error as error:
        raise ConnectionResetError("it answered with something else than Kafka's metadata") from error


def _read(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise ConnectionResetError("the broker hung up in the middle of its answer")
    return data


def _parse(answer: bytes) -> ClusterView:
    position = 4  # behind the correlation id
    (count,) = struct.unpack_from(">i", answer, position)
    position += 4
    brokers = []
    for _ in range(count):
        (node,) = struct.unpack_from(">i", answer, position)
        position = _skip_string(answer, position + 4)
        position = _skip_string(answer, position + 4)
        brokers.append(node)
    (controller,) = struct.unpack_from(">i", answer, position)
    return ClusterView(tuple(sorted(brokers)), controller if controller >= 0 else None)


def _skip_string(answer: bytes, position: int) -> int:
    length: int = struct.unpack_from(">h", answer, position)[0]
    return position + 2 + max(length, 0)
