"""Frames read and written beside those of the client library, which writes and reads the other side."""

from typing import Any

import pytest
from pika import frame, spec
from pika.frame import decode_frame

from monitor.brokers.rabbitmq.wire import INCOMPLETE, Delivered, read_delivery, write_message

PROPERTIES = b"".join(spec.BasicProperties(message_id="m", headers={"a": 1}).encode())


def read(wire: bytes) -> tuple[int, Any]:
    """Read a frame as the library does."""
    return decode_frame(wire)


def deliver(body: bytes, channel: int = 3) -> bytes:
    """Return a delivery as the broker would write it."""
    method = frame.Method(channel, spec.Basic.Deliver("ctag", 7, True, "ex", "key"))
    header = frame.Header(channel, len(body), spec.BasicProperties(message_id="m", headers={"a": 1}))
    bodies = b"".join(frame.Body(channel, body[at : at + 131_064]).marshal() for at in range(0, len(body), 131_064))
    return method.marshal() + header.marshal() + bodies


@pytest.mark.parametrize("body", [b"", b"body"])
def test_a_delivery_is_read_once_it_is_there_as_a_whole(body: bytes) -> None:
    taken: list[Delivered] = []
    wire = deliver(body)
    for size in range(12, len(wire)):
        assert read_delivery(wire[:size], 0, {3: taken.append}) is INCOMPLETE
    found = read_delivery(b"before" + wire + b"after", 6, {3: taken.append})
    assert isinstance(found, tuple)
    end, receive, delivered = found
    receive(delivered)
    assert end == 6 + len(wire)
    assert taken == [Delivered(7, True, "ex", "key", PROPERTIES, body)]


def test_what_is_of_another_channel_or_kind_or_too_large_is_left_to_the_library() -> None:
    confirm = frame.Method(3, spec.Basic.Ack(1)).marshal()
    receivers = {3: list[Delivered]().append}
    assert read_delivery(deliver(b"body", channel=4), 0, receivers) is None
    assert read_delivery(confirm + b" " * 40, 0, receivers) is None
    assert read_delivery(deliver(b"x" * 70_000), 0, receivers) is None
    assert read_delivery(b"", 0, receivers) is None


@pytest.mark.parametrize("body", [b"", b"body", b"x" * 25])
def test_the_library_reads_what_is_published(body: bytes) -> None:
    wire = write_message(5, "exchange", "schl\u00fcssel", PROPERTIES, body, largest=10)
    size, method = read(wire)
    publish = method.method
    assert isinstance(publish, spec.Basic.Publish)
    assert (method.channel_number, publish.exchange, publish.routing_key) == (5, "exchange", "schl\u00fcssel")
    assert (publish.mandatory, publish.immediate) == (True, False)
    wire = wire[size:]
    size, header = read(wire)
    assert (header.body_size, header.properties.message_id, header.properties.headers) == (len(body), "m", {"a": 1})
    wire, found = wire[size:], b""
    while wire:
        size, piece = read(wire)
        wire, found = wire[size:], found + piece.fragment
    assert found == body
