"""The library's connection with a short path for what every message of a redrive goes through.

The library makes an object of each frame, hands it from layer to layer and decodes all properties: 55 µs a message that
is taken and published. Here a delivery that lies whole in the buffer is read at once, its properties left as bytes,
and a message to publish is written as bytes. All else (the handshake, channels, confirms, deliveries that come in
pieces) stays with the library. It has no public place for either (looked at in pika 1.3.2 to 1.4.4).

Frames are those of AMQP 0.9.1, section 4.2: kind, channel, size, payload, end.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import pika
from pika import frame, spec

_FRAME = struct.Struct(">BHL")
_FRAME_END = bytes([spec.FRAME_END])
_OVERHEAD = _FRAME.size + len(_FRAME_END)
_METHOD, _HEADER, _BODY = spec.FRAME_METHOD, spec.FRAME_HEADER, spec.FRAME_BODY
_DELIVER = struct.pack(">HH", 60, 60)
_PUBLISH = struct.pack(">HHH", 60, 40, 0)  # with the reserved field
_MANDATORY = b"\x01"
_CONTENT = struct.Struct(">HHQ")  # class, weight, size of the body
_BASIC = 60
_TAG = struct.Struct(">QB")
_LENGTH = slice(3, 7)
_MOST_BODY = 65_536  # one frame holds it, and so little may wait for its end
_MOST_AT_ONCE = 1 << 17


class Delivered(NamedTuple):
    """A delivery as it lay on the wire."""

    tag: int
    redelivered: bool
    exchange: str
    routing_key: str
    properties: bytes
    body: bytes


OnDelivery = Callable[[Delivered], None]


class WireProperties:
    """The properties of a message as bytes, where the library expects an object that it can encode and decode."""

    INDEX = spec.BasicProperties.INDEX

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def encode(self) -> list[bytes]:
        """Return what goes onto the wire after the body's size."""
        return [self.raw]


class WireConnection(pika.SelectConnection):
    """See above. `receivers` take the deliveries of a channel, by its number."""

    _frame_buffer: bytes  # what has been received and not yet read
    bytes_received: int

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.receivers: dict[int, OnDelivery] = {}
        self._corked: list[bytes] | None = None
        super().__init__(*arguments, **options)

    @contextmanager
    def corked(self) -> Iterator[None]:
        """Gather what is sent meanwhile: the library makes a system call of each frame."""
        self._corked = []
        try:
            yield
        finally:
            frames, self._corked = self._corked, None
            self._output_marshaled_frames(frames)

    def publish(self, channel: int, exchange: str, routing_key: str, properties: bytes, body: bytes) -> None:
        """Publish a message, mandatory. Raises ValueError for a name that is too long."""
        largest = int(self.params.frame_max) - _OVERHEAD
        self._output_marshaled_frames([write_message(channel, exchange, routing_key, properties, body, largest)])

    def _proto_connection_made(self, transport: Any) -> None:
        """Take over what is connected, where the library does it; it would read seven messages a system call."""
        transport._MAX_RECV_BYTES = _MOST_AT_ONCE
        super()._proto_connection_made(transport)  # type: ignore[misc]

    def _output_marshaled_frames(self, marshaled_frames: list[bytes]) -> None:
        """Write frames, where the library does it."""
        if self._corked is not None:
            self._corked += marshaled_frames
        elif marshaled_frames:
            super()._output_marshaled_frames([b"".join(marshaled_frames)])  # type: ignore[misc]

    def _on_data_available(self, data_in: bytes) -> None:
        """Read what has come, where the library does it."""
        buffer = self._frame_buffer + data_in
        while buffer:
            found, at = read_delivery(buffer, 0, self.receivers), 0
            while isinstance(found, tuple):
                at, receive, delivered = found
                receive(delivered)
                found = read_delivery(buffer, at, self.receivers)
            self.bytes_received += at
            self._frame_buffer = buffer[at:]
            if found is INCOMPLETE:
                return
            size, value = self._read_frame()
            if not value:
                return
            self._trim_frame_buffer(size)  # type: ignore[attr-defined]
            self._process_frame(value)  # type: ignore[attr-defined]
            buffer = self._frame_buffer

    def _read_frame(self) -> tuple[int, Any]:
        """Read one frame, where the library looks for one; the properties in a header stay as they are."""
        buffer = self._frame_buffer
        if not buffer or buffer[0] != _HEADER:
            return super()._read_frame()  # type: ignore[misc, no-any-return]
        end = _OVERHEAD + int.from_bytes(buffer[_LENGTH], "big")
        if len(buffer) < max(end, _FRAME.size):
            return 0, None
        data = bytes(buffer[_FRAME.size : end - 1])
        _, _, size = _CONTENT.unpack_from(data)
        channel = int.from_bytes(buffer[1:3], "big")
        properties: Any = WireProperties(data[_CONTENT.size :])
        return end, frame.Header(channel, size, properties)


class Incomplete:
    """There is more to come before the delivery can be read."""


INCOMPLETE = Incomplete()


def read_delivery(
    buffer: bytes, at: int, receivers: Mapping[int, OnDelivery]
) -> tuple[int, OnDelivery, Delivered] | Incomplete | None:
    """Read a delivery that begins at a place: where it ends, whom it is for, and what it is.

    None for whatever else is there: another method, another channel, or a body that comes in several frames.
    """
    if len(buffer) < at + _FRAME.size + len(_DELIVER):
        return None
    kind, channel, size = _FRAME.unpack_from(buffer, at)
    receive = receivers.get(channel)
    place = at + _FRAME.size
    if kind != _METHOD or receive is None or not buffer.startswith(_DELIVER, place):
        return None
    header = place + size + 1
    if len(buffer) < header + _FRAME.size + _CONTENT.size:
        return INCOMPLETE
    _, _, header_size = _FRAME.unpack_from(buffer, header)
    content = header + _FRAME.size
    _, _, body_size = _CONTENT.unpack_from(buffer, content)
    if body_size > _MOST_BODY:
        return None
    body = content + header_size + 1 + (_FRAME.size if body_size else 0)
    end = body + body_size + (1 if body_size else 0)
    if len(buffer) < end:
        return INCOMPLETE
    place += len(_DELIVER)
    place += 1 + buffer[place]  # past the consumer's tag
    tag, redelivered = _TAG.unpack_from(buffer, place)
    place += _TAG.size
    exchange = buffer[place + 1 : (key := place + 1 + buffer[place])]
    routing_key = buffer[key + 1 : key + 1 + buffer[key]]
    properties = buffer[content + _CONTENT.size : content + header_size]
    delivered = Delivered(
        tag, bool(redelivered), _text(exchange), _text(routing_key), properties, buffer[body : body + body_size]
    )
    return end, receive, delivered


def write_message(channel: int, exchange: str, routing_key: str, properties: bytes, body: bytes, largest: int) -> bytes:
    """Return the frames of a mandatory publish; `largest` is how many bytes of a body one of them holds."""
    method = _write_publish(channel, exchange, routing_key)
    header = _CONTENT.pack(_BASIC, 0, len(body)) + properties
    pieces = [method, _FRAME.pack(_HEADER, channel, len(header)), header, _FRAME_END]
    for place in range(0, len(body), largest):
        piece = body[place : place + largest]
        pieces += (_FRAME.pack(_BODY, channel, len(piece)), piece, _FRAME_END)
    return b"".join(pieces)


@lru_cache(maxsize=64)
def _write_publish(channel: int, exchange: str, routing_key: str) -> bytes:
    names = b"".join(bytes([len(name)]) + name for name in (exchange.encode(), routing_key.encode()))
    method = _PUBLISH + names + _MANDATORY
    return _FRAME.pack(_METHOD, channel, len(method)) + method + _FRAME_END


@lru_cache(maxsize=256)
def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
