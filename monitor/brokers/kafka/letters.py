"""Records of dead-letter topics as dead letters, and whose headers say where they came from.

Header names are those of the frameworks that write them: Spring Kafka (`KafkaHeaders`), Spring Cloud Stream, Kafka
Connect (KIP-298), Kafka Streams (KIP-1034), share groups (KIP-1191), SmallRye, Karafka, Wolverine, Watermill.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from monitor.letters import HEADER_COUNT, HEADER_ID, HEADER_JOB, DeadMessage, Header
from monitor.model import FoundBy, Origin

RawHeaders = Sequence[tuple[str, bytes | None]]

STAMPS = frozenset({HEADER_ID, HEADER_JOB, HEADER_COUNT})
ORIGINAL_TIMESTAMP = "x-original-timestamp"


@dataclass(frozen=True, slots=True)
class Convention:
    """How one framework marks a dead letter.

    `binary` says that numbers are big-endian integers instead of text; `appended` that each failure adds headers, so
    that the last ones count.
    """

    framework: str
    topic: str
    partition: str = ""
    offset: str = ""
    group: str = ""
    exceptions: tuple[str, ...] = ()
    message: str = ""
    attempts: str = ""
    binary: bool = False
    appended: bool = False


def _spring(prefix: str, framework: str, exception_prefix: str = "") -> Convention:
    told = exception_prefix or prefix.removesuffix("original-")
    return Convention(
        framework,
        topic=f"{prefix}topic",
        partition=f"{prefix}partition",
        offset=f"{prefix}offset",
        group=f"{prefix}consumer-group",
        exceptions=(f"{told}exception-cause-fqcn", f"{told}exception-fqcn"),
        message=f"{told}exception-message",
        attempts="retry_topic-attempts",
        binary=True,
    )


CONVENTIONS = (
    _spring("kafka_dlt-original-", "Spring Kafka"),
    _spring("kafka_original-", "Spring Kafka"),
    Convention(
        "Kafka Connect",
        topic="__connect.errors.topic",
        partition="__connect.errors.partition",
        offset="__connect.errors.offset",
        exceptions=("__connect.errors.exception.class.name",),
        message="__connect.errors.exception.message",
        appended=True,
    ),
    Convention(
        "Kafka Streams",
        topic="__streams.errors.topic",
        partition="__streams.errors.partition",
        offset="__streams.errors.offset",
        exceptions=("__streams.errors.exception",),
        message="__streams.errors.message",
        appended=True,
    ),
    Convention(
        "share group",
        topic="__dlq.errors.topic",
        partition="__dlq.errors.partition",
        offset="__dlq.errors.offset",
        group="__dlq.errors.group",
        message="__dlq.errors.message",
        attempts="__dlq.errors.delivery.count",
        appended=True,
    ),
    _spring("x-original-", "Spring Cloud Stream", "x-"),
    Convention(
        "SmallRye",
        topic="dead-letter-topic",
        partition="dead-letter-partition",
        offset="dead-letter-offset",
        exceptions=("dead-letter-cause-class-name", "dead-letter-exception-class-name"),
        message="dead-letter-reason",
    ),
    Convention(
        "Wolverine",
        topic="original-destination",
        partition="original-partition",
        offset="original-offset",
        exceptions=("exception-type",),
        message="exception-message",
        attempts="attempts",
    ),
    Convention("Karafka", topic="source_topic", partition="source_partition", offset="source_offset"),
    Convention("Watermill", topic="topic_poisoned", message="reason_poisoned"),
)
BY_TOPIC_HEADER = {convention.topic: convention for convention in CONVENTIONS}

_FAILURE_PREFIXES = (
    "kafka_dlt-",
    "kafka_original-",
    "kafka_exception-",
    "retry_topic-",
    "__connect.errors.",
    "__streams.errors.",
    "__dlq.errors.",
    "x-original-",
    "x-exception-",
)
_FAILURE_NAMES = frozenset(
    {
        "dead-letter-topic", "dead-letter-partition", "dead-letter-offset", "dead-letter-reason", "dead-letter-cause",
        "dead-letter-exception-class-name", "dead-letter-cause-class-name", "original-destination",
        "original-partition", "original-offset", "exception-type", "exception-message", "exception-stack", "failed-at",
        "attempts", "topic_poisoned", "handler_poisoned", "subscriber_poisoned", "reason_poisoned",
        "kafka_deliveryAttempt",
    }
)  # fmt: skip


def is_failure_header(name: str) -> bool:
    """Say whether a header is known to be written by a framework when it gives a message up."""
    return name in _FAILURE_NAMES or name.startswith(_FAILURE_PREFIXES)


def find_origin(headers: RawHeaders) -> tuple[Convention, str] | None:
    """Return the convention and the topic that a record's headers name as its origin."""
    found: tuple[Convention, str] | None = None
    for name, value in headers:
        convention = BY_TOPIC_HEADER.get(name)
        if convention is not None and value and (found is None or (convention.appended and found[0] is convention)):
            found = convention, value.decode("utf-8", "replace")
    return found


def read_number(value: bytes | None, convention: Convention) -> int | None:
    """Return the number in a header; None where there is none that can be read."""
    if not value:
        return None
    if convention.binary and len(value) in (4, 8):
        return int.from_bytes(value, "big", signed=True)
    return int(value) if value.isdigit() else None


def origin_partition(headers: RawHeaders, convention: Convention) -> int | None:
    """Return the partition that a record came from, as its headers tell."""
    return read_number(_value(headers, convention.partition, convention.appended), convention)


def read_letter(message: Message) -> DeadMessage:
    """Return a record as a dead letter."""
    raw = read_headers(message)
    found = find_origin(raw)
    partition, offset = message.partition(), message.offset()
    kind, milliseconds = message.timestamp()
    value, key = message.value(), message.key()
    told = _told(raw, found[0]) if found else {}
    return DeadMessage(
        position=f"{partition}:{offset}",
        coordinates={"partition": partition, "offset": offset},
        key=_bytes(key),
        value=_bytes(value),
        headers=tuple(Header(name, value) for name, value in raw),
        enqueued_at=None if kind == TIMESTAMP_NOT_AVAILABLE else milliseconds / 1000,
        origin=Origin(found[1], FoundBy.HEADERS) if found else None,
        origin_detail=told.get("detail", {}),
        exception=told.get("exception", ""),
        exception_message=told.get("message", ""),
        attempts=told.get("attempts"),
    )


def read_headers(message: Message) -> list[tuple[str, bytes | None]]:
    """Return a record's headers in their order, duplicates and null values included."""
    headers: Any = message.headers()
    return headers or []


def _told(headers: RawHeaders, it: Convention) -> dict[str, Any]:
    exceptions = (_value(headers, name, it.appended) for name in it.exceptions)
    detail = {
        "framework": it.framework,
        "partition": read_number(_value(headers, it.partition, it.appended), it),
        "offset": read_number(_value(headers, it.offset, it.appended), it),
        "group": _text(_value(headers, it.group, it.appended)) or None,
    }
    return {
        "detail": {name: value for name, value in detail.items() if value is not None},
        "exception": next((_text(value) for value in exceptions if value), ""),
        "message": _text(_value(headers, it.message, it.appended)),
        "attempts": read_number(_value(headers, it.attempts, it.appended), it),
    }


def _value(headers: RawHeaders, name: str, last: bool) -> bytes | None:
    if not name:
        return None
    found: Iterable[bytes | None] = (value for key, value in (reversed(headers) if last else headers) if key == name)
    return next(iter(found), None)


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
