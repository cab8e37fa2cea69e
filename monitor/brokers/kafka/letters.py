"""Records of dead-letter topics as dead letters."""

from typing import Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from monitor.conventions import read_trace
from monitor.letters import DeadMessage, Header
from monitor.model import FoundBy, Origin

Headers = list[tuple[str, bytes | None]]


def read_letter(message: Message) -> DeadMessage:
    """Return a record as a dead letter."""
    headers = read_headers(message)
    trace = read_trace(headers)
    kind, milliseconds = message.timestamp()
    detail = {"framework": trace.framework, **trace.detail} if trace.framework else {}
    return DeadMessage(
        position=f"{message.partition()}:{message.offset()}",
        coordinates={"partition": message.partition(), "offset": message.offset()},
        key=_bytes(message.key()),
        value=_bytes(message.value()),
        headers=tuple(Header(name, value) for name, value in headers),
        enqueued_at=None if kind == TIMESTAMP_NOT_AVAILABLE else milliseconds / 1000,
        origin=Origin(trace.origin, FoundBy.HEADERS) if trace.origin else None,
        origin_detail=detail,
        exception=trace.exception,
        exception_message=trace.message,
        attempts=trace.attempts,
    )


def read_headers(message: Message) -> Headers:
    """Return a record's headers in their order, duplicates and null values included."""
    headers: Any = message.headers()
    return headers or []


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
