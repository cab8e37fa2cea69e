"""What frameworks write into a dead letter's headers: where it came from, why it died, how often it was tried. Pure.

One table for all buses. Names are compared without regard to case, since some brokers and gateways change it. Where a
framework appends to a list, or writes a header anew with each failure, the last one counts.

Sources: the documentation and sources of Spring Kafka, Spring Cloud Stream, Spring AMQP, Kafka Connect (KIP-298), Kafka
Streams (KIP-1034), share groups (KIP-1191), SmallRye, Karafka, Wolverine, MassTransit, NServiceBus, Rebus, Watermill,
EventBridge and Lambda.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

Value = bytes | str | int | float | None
"""A header's value as a bus has it: bytes where it knows no types."""

_LONGEST_TEXT = 65_536
_INTEGER_SIZES = {2: ">h", 4: ">i", 8: ">q"}
_MILLISECONDS = 1000.0
_LATEST_SECONDS = 1e11  # a number above it is meant as milliseconds: in seconds it would be the year 5138


@dataclass(frozen=True, slots=True)
class Trace:
    """What the headers say. Empty and None are not said. `failed_at` is in Unix seconds.

    `origin` is the destination that the message was consumed from, as the framework writes it; `detail` has what
    belongs to it: `partition`, `offset`, `timestamp`, `group`, `exchange`, `routing_key`.
    """

    framework: str = ""
    origin: str = ""
    detail: Mapping[str, str | int] = field(default_factory=dict)
    exception: str = ""
    message: str = ""
    stacktrace: str = ""
    attempts: int | None = None
    failed_at: float | None = None


@dataclass(frozen=True, slots=True)
class Convention:
    """The headers of one framework, by what they mean; of several names for one thing the first that is there counts.

    `marks` are the headers that tell this framework from others. `drops` are further names that go with them: a
    failure's headers are all that are named here.
    """

    framework: str
    marks: tuple[str, ...]
    origin: tuple[str, ...] = ()
    detail: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exception: tuple[str, ...] = ()
    message: tuple[str, ...] = ()
    stacktrace: tuple[str, ...] = ()
    attempts: tuple[str, ...] = ()
    failed_at: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()
    is_address: bool = False  # the origin is written as a URI or as queue@machine
    binary_numbers: bool = False  # numbers are big-endian bytes, as Java writes them

    def names(self) -> frozenset[str]:
        """Return all names of this convention, in lower case."""
        groups = (self.marks, self.origin, self.exception, self.message, self.stacktrace, self.attempts)
        every = (*groups, self.failed_at, self.drops, *self.detail.values())
        return frozenset(name.lower() for names in every for name in names)


def _place(prefix: str, *names: str, **renamed: str) -> Mapping[str, tuple[str, ...]]:
    return {key: (prefix + name,) for key, name in (*zip(names, names, strict=True), *renamed.items())}


_SPRING = ("kafka_dlt-original-", "kafka_original-")
_SPRING_DETAIL = {"partition": "partition", "offset": "offset", "timestamp": "timestamp", "group": "consumer-group"}
_CONNECT = "__connect.errors."
_STREAMS = "__streams.errors."
_SHARE = "__dlq.errors."
_SERVICE_BUS = "NServiceBus.ExceptionInfo."

CONVENTIONS = (
    Convention(
        "Spring Kafka",
        marks=tuple(prefix + "topic" for prefix in _SPRING),
        origin=tuple(prefix + "topic" for prefix in _SPRING),
        detail={key: tuple(prefix + name for prefix in _SPRING) for key, name in _SPRING_DETAIL.items()},
        exception=("kafka_dlt-exception-cause-fqcn", "kafka_dlt-exception-fqcn"),
        message=("kafka_dlt-exception-message", "kafka_exception-message"),
        stacktrace=("kafka_dlt-exception-stacktrace", "kafka_exception-stacktrace"),
        attempts=("retry_topic-attempts", "kafka_deliveryAttempt"),
        drops=(
            *(prefix + "timestamp-type" for prefix in _SPRING),
            "kafka_exception-fqcn",
            "kafka_exception-cause-fqcn",
            "kafka_dlt-key-exception-fqcn",
            "kafka_dlt-key-exception-message",
            "kafka_dlt-key-exception-stacktrace",
            "retry_topic-original-timestamp",
            "retry_topic-backoff-timestamp",
        ),
        binary_numbers=True,
    ),
    Convention(
        "Spring Cloud Stream",
        marks=("x-original-topic",),
        origin=("x-original-topic",),
        detail=_place("x-original-", "partition", "offset", "timestamp"),
        exception=("x-exception-fqcn",),
        message=("x-exception-message",),
        stacktrace=("x-exception-stacktrace",),
        attempts=("x-attempts",),
        drops=("x-original-timestamp-type",),
        binary_numbers=True,
    ),
    Convention(
        "Kafka Connect",
        marks=(_CONNECT + "topic", _CONNECT + "connector.name"),
        origin=(_CONNECT + "topic",),
        detail=_place(_CONNECT, "partition", "offset", connector="connector.name", task="task.id", stage="stage"),
        exception=(_CONNECT + "exception.class.name",),
        message=(_CONNECT + "exception.message",),
        stacktrace=(_CONNECT + "exception.stacktrace",),
        drops=(_CONNECT + "class.name",),
    ),
    Convention(
        "Kafka Streams",
        marks=(_STREAMS + "topic", _STREAMS + "exception"),
        origin=(_STREAMS + "topic",),
        detail=_place(_STREAMS, "partition", "offset"),
        exception=(_STREAMS + "exception",),
        message=(_STREAMS + "message",),
        stacktrace=(_STREAMS + "stacktrace",),
    ),
    Convention(
        "share group",
        marks=(_SHARE + "topic",),
        origin=(_SHARE + "topic",),
        detail=_place(_SHARE, "partition", "offset", "group"),
        message=(_SHARE + "message",),
        attempts=(_SHARE + "delivery.count",),
    ),
    Convention(
        "SmallRye",
        marks=("dead-letter-topic", "dead-letter-exception-class-name"),
        origin=("dead-letter-topic",),
        detail=_place("dead-letter-", "partition", "offset"),
        exception=("dead-letter-cause-class-name", "dead-letter-exception-class-name"),
        message=("dead-letter-cause", "dead-letter-reason"),
    ),
    Convention(
        "Karafka",
        marks=("source_topic",),
        origin=("source_topic",),
        detail=_place("source_", "partition", "offset", group="consumer_group"),
        attempts=("source_attempts",),
        drops=("source_key", "source_offset_metadata", "source_retries_count"),
    ),
    Convention(
        "Wolverine",
        marks=("original-destination", "exception-type"),
        origin=("original-destination",),
        detail=_place("original-", "partition", "offset"),
        exception=("exception-type",),
        message=("exception-message",),
        stacktrace=("exception-stack",),
        attempts=("attempts",),
        failed_at=("failed-at",),
        is_address=True,
    ),
    Convention(
        "MassTransit",
        marks=("MT-Fault-InputAddress", "MT-Fault-ExceptionType", "MT-Reason"),
        origin=("MT-Fault-InputAddress",),
        exception=("MT-Fault-ExceptionType",),
        message=("MT-Fault-Message",),
        stacktrace=("MT-Fault-StackTrace",),
        attempts=("MT-Fault-RetryCount",),
        failed_at=("MT-Fault-Timestamp",),
        drops=("MT-Fault-ConsumerType", "MT-Fault-MessageType"),
        is_address=True,
    ),
    Convention(
        "NServiceBus",
        marks=("NServiceBus.FailedQ",),
        origin=("NServiceBus.FailedQ",),
        exception=(_SERVICE_BUS + "ExceptionType",),
        message=(_SERVICE_BUS + "Message",),
        stacktrace=(_SERVICE_BUS + "StackTrace",),
        attempts=("NServiceBus.Retries",),
        failed_at=("NServiceBus.TimeOfFailure",),
        drops=(
            _SERVICE_BUS + "Source",
            _SERVICE_BUS + "HelpLink",
            _SERVICE_BUS + "InnerExceptionType",
            "NServiceBus.FLRetries",
            "NServiceBus.Retries.Timestamp",
        ),
        is_address=True,
    ),
    Convention(
        "Rebus",
        marks=("rbs2-source-queue", "rbs2-error-details"),
        origin=("rbs2-source-queue",),
        message=("rbs2-error-details",),
        attempts=("rbs2-delivery-count",),
        is_address=True,
    ),
    Convention(
        "Watermill",
        marks=("topic_poisoned", "reason_poisoned"),
        origin=("topic_poisoned",),
        detail={"handler": ("handler_poisoned",), "subscriber": ("subscriber_poisoned",)},
        message=("reason_poisoned",),
    ),
    Convention(
        "Spring AMQP",
        marks=("x-original-exchange", "x-original-routingKey", "x-original-queue"),
        # The exchange is no destination that was consumed from: without the queue's name the origin is not said.
        origin=("x-original-queue",),
        detail={"exchange": ("x-original-exchange",), "routing_key": ("x-original-routingKey",)},
        exception=("x-exception-fqcn",),
        message=("x-exception-message",),
        stacktrace=("x-exception-stacktrace",),
        attempts=("x-attempts",),
    ),
    Convention(
        "EventBridge",
        marks=("RULE_ARN", "TARGET_ARN"),
        # the target that could not be reached, not where the event came from
        detail={"rule": ("RULE_ARN",), "target": ("TARGET_ARN",)},
        exception=("ERROR_CODE",),
        message=("ERROR_MESSAGE",),
        attempts=("RETRY_ATTEMPTS",),
        drops=("EXHAUSTED_RETRY_CONDITION",),
    ),
    Convention(
        "Lambda",
        marks=("RequestID",),
        detail={"request": ("RequestID",)},
        exception=("ErrorCode",),
        message=("ErrorMessage",),
    ),
)
"""In the order in which they are tried: a message that carries the marks of two is taken for the first."""

_PLACES = {mark.lower(): place for place, it in reversed(list(enumerate(CONVENTIONS))) for mark in it.marks}
"""The first convention, by its place, that has a mark."""


def read_trace(headers: Iterable[tuple[str, Value]]) -> Trace:
    """Return what the headers say, by the first convention whose marks are among them; an empty trace without one."""
    found = {name.lower(): value for name, value in headers}  # the last of several counts
    place = min((_PLACES[name] for name in found if name in _PLACES), default=None)
    return Trace() if place is None else _read(CONVENTIONS[place], found)


def failure_headers(names: Iterable[str]) -> frozenset[str]:
    """Return which of the names are failure headers of the frameworks whose marks are among them, and so may go.

    A name alone is not enough: `attempts` is Wolverine's word, and anybody else's.
    """
    present = {name: name.lower() for name in names}
    lowered = frozenset(present.values())
    known = [c for c in CONVENTIONS if any(mark.lower() in lowered for mark in c.marks)]
    dropped = frozenset[str]().union(*(convention.names() for convention in known))
    return frozenset(name for name, lower in present.items() if lower in dropped)


def _read(convention: Convention, found: Mapping[str, Value]) -> Trace:
    def text(names: tuple[str, ...]) -> str:
        return next((_text(found[name.lower()]) for name in names if found.get(name.lower()) is not None), "")

    def number(names: tuple[str, ...]) -> int | None:
        value = next((found[name.lower()] for name in names if found.get(name.lower()) is not None), None)
        return _number(value, binary=convention.binary_numbers)

    origin = text(convention.origin)
    detail: dict[str, str | int] = {}
    for key, names in convention.detail.items():
        value = number(names) if key in ("partition", "offset", "timestamp") else text(names)
        if value is not None and value != "":
            detail[key] = value
    return Trace(
        convention.framework,
        _destination(origin) if convention.is_address else origin,
        detail,
        text(convention.exception),
        text(convention.message),
        text(convention.stacktrace),
        number(convention.attempts),
        _time(text(convention.failed_at)),
    )


def _text(value: Value) -> str:
    if isinstance(value, bytes):
        return value[:_LONGEST_TEXT].decode("utf-8", "replace")
    return "" if value is None else str(value)[:_LONGEST_TEXT]


def _number(value: Value, *, binary: bool) -> int | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return int(value)
    text = _text(value).strip()
    # Java writes 4 or 8 bytes; text of the same length that reads as a number, as in b"1234", is rarer and still
    # told apart by its digits: such bytes would be a number above 800 million
    if text.isascii() and text.lstrip("-").isdigit():
        return int(text)
    if binary and isinstance(value, bytes) and len(value) in _INTEGER_SIZES:
        return int(struct.unpack(_INTEGER_SIZES[len(value)], value)[0])
    return None


def _destination(address: str) -> str:
    """Return the queue within `rabbitmq://host/vhost/queue?options`, `queue:name`, `queue@machine` or a bare name.

    What comes before the last `/` of an address is the broker's, not the queue's.
    """
    if "://" in address:
        return unquote(urlsplit(address).path.rstrip("/").rpartition("/")[2])
    scheme, _, rest = address.partition(":")
    name = rest if scheme in ("queue", "topic", "exchange") and rest else address
    return name.partition("@")[0].partition("?")[0]


def _time(text: str) -> float | None:
    """Return Unix seconds of a number (seconds or milliseconds), of ISO 8601 or of NServiceBus' own way to write it."""
    text = text.strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        number = float(text)
        return number / _MILLISECONDS if number > _LATEST_SECONDS else number
    for parse in (datetime.fromisoformat, _parse_service_bus):
        try:
            found = parse(text)
        except ValueError:
            continue
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    return None


def _parse_service_bus(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S:%f Z").replace(tzinfo=UTC)
