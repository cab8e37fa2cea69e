"""SQS messages as dead letters, and dead letters as entries of SendMessageBatch: pure functions.

A message may carry ten attributes, so redrive takes one, `x-redrive`, whose JSON has what other buses keep in three
headers; it is shown as those three. Limits are those of the SQS quotas ("Message quotas"): ten attributes, 1 MiB a
message and a batch, where names, types and values of attributes count and system attributes do not.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from monitor.brokers.aws.queues import name_of
from monitor.conventions import Trace, failure_headers, read_trace
from monitor.letters import HEADER_COUNT, HEADER_ID, HEADER_JOB, DeadMessage, Header, Outcome, Outgoing
from monitor.model import FoundBy, Origin

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef, SendMessageBatchRequestEntryTypeDef

MARKER = "x-redrive"
MOST_ATTRIBUTES = 10
MOST_BYTES = 1_048_576
BATCH = 10

SOURCE = "DeadLetterQueueSourceArn"
GROUP = "MessageGroupId"
TRACE = "AWSTraceHeader"

_STAMPS = frozenset({HEADER_ID, HEADER_JOB, HEADER_COUNT})
_MILLISECONDS = 1_000.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """A message ready to be sent: the batch entry without its id, and the bytes that SQS counts."""

    outgoing: Outgoing
    fields: Mapping[str, Any]
    size: int

    @property
    def group(self) -> str:
        """Return the message group, empty without one."""
        return str(self.fields.get(GROUP, ""))

    def numbered(self, number: int) -> "SendMessageBatchRequestEntryTypeDef":
        """Return it as an entry of a batch."""
        return {"Id": str(number), **self.fields}  # type: ignore[typeddict-item]


@dataclass(frozen=True, slots=True)
class Unsendable:
    """Why a message cannot be sent, and what that counts as."""

    reason: str
    outcome: Outcome = Outcome.FAILED


@dataclass(frozen=True, slots=True)
class Limits:
    """What a target takes."""

    fifo: bool
    most_bytes: int = MOST_BYTES


def read_message(received: "MessageTypeDef", retention: float) -> DeadMessage:
    """Return a received message as a dead letter; `retention` is that of its queue, in seconds.

    A standard queue goes on counting the retention from the first enqueueing, and `SentTimestamp` is that time; a FIFO
    queue sets it anew when it takes a dead letter in. So one formula serves both.
    """
    system = {str(name): value for name, value in received.get("Attributes", {}).items()}
    headers = tuple(_read_attributes(received.get("MessageAttributes", {})))
    trace = read_trace((header.name, header.value) for header in headers) if headers else Trace()
    sent = _number(system.get("SentTimestamp"))
    enqueued_at = None if sent is None else sent / _MILLISECONDS
    receives = _number(system.get("ApproximateReceiveCount"))
    deliveries = None if receives is None else int(receives)
    body = received.get("Body", "")
    message_id = received.get("MessageId", "")
    origin, key = _find_origin(system, body)
    return DeadMessage(
        position=message_id,
        coordinates={"message_id": message_id},
        key=None,
        value=body.encode(),
        headers=headers,
        properties=system,
        enqueued_at=enqueued_at,
        expires_at=None if enqueued_at is None else enqueued_at + retention,
        deliveries=deliveries,
        origin=origin,
        origin_detail={**({"arn": key} if key else {}), **trace.detail},
        exception=trace.exception,
        exception_message=trace.message,
        attempts=deliveries if trace.attempts is None else trace.attempts,
    )


def job_of(message: DeadMessage) -> str:
    """Return the job that redrove this message before, empty if none did."""
    return next((it.value.decode() for it in message.headers if it.name == HEADER_JOB and it.value), "")


def origin_arn(message: DeadMessage) -> str:
    """Return the ARN of the queue or SNS subscription that the message itself says it comes from, empty without."""
    return str(message.origin_detail.get("arn", ""))


def _read_attributes(attributes: Mapping[str, Any]) -> Iterator[Header]:
    """Yield the attributes by name, since SQS keeps no order of them."""
    for name in sorted(attributes):
        attribute = attributes[name]
        kind = attribute.get("DataType", "String")
        value = attribute.get("BinaryValue") if kind.startswith("Binary") else attribute.get("StringValue", "").encode()
        stamps = _parse_marker(value) if name == MARKER else None
        if stamps is None:
            yield Header(name, value, kind)
        else:
            yield from stamps


def _parse_marker(value: bytes | None) -> tuple[Header, ...] | None:
    """Return the three headers that the attribute stands for; None where it is somebody else's."""
    try:
        marker = json.loads(value or b"null")
        texts = (str(marker["id"]), str(marker["job"]), str(int(marker["count"])))
    except (ValueError, KeyError, TypeError):
        return None
    names = (HEADER_ID, HEADER_JOB, HEADER_COUNT)
    return tuple(Header(name, text.encode()) for name, text in zip(names, texts, strict=True))


def _number(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None


def _find_origin(system: Mapping[str, str], body: str) -> tuple[Origin | None, str]:
    """Return where a message says it comes from, and the ARN of that: SQS by an attribute, SNS by its envelope."""
    source = system.get(SOURCE)
    if source:
        return Origin(name_of(source), FoundBy.HEADERS), source
    topic, subscription = _read_envelope(body)
    return (Origin(name_of(topic), FoundBy.HEADERS), subscription) if topic else (None, "")


def _read_envelope(body: str) -> tuple[str, str]:
    """Return the ARNs of topic and subscription that an SNS notification names; raw deliveries have no envelope."""
    if '"UnsubscribeURL"' not in body:
        return "", ""
    try:
        envelope = json.loads(body)
        asked = parse_qs(urlsplit(envelope["UnsubscribeURL"]).query)
        return str(envelope["TopicArn"]), asked["SubscriptionArn"][0]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return "", ""


def write_entry(outgoing: Outgoing, job: str, target: Limits, *, strip_failure_headers: bool) -> Entry | Unsendable:
    """Return a message as it is to be sent, every attribute as it was; or why SQS would not take it."""
    headers = list(_kept(outgoing.message.headers, strip_failure_headers=strip_failure_headers))
    if any(header.name == MARKER for header in headers):
        return Unsendable(f"it has an attribute {MARKER} that is not the product's", Outcome.SKIPPED)
    if len(headers) >= MOST_ATTRIBUTES:
        reason = f"it has {len(headers)} attributes of its own, and SQS takes no more than ten with {MARKER}"
        return Unsendable(reason, Outcome.SKIPPED)
    marker = {"id": outgoing.redrive_id, "job": job, "count": outgoing.count}
    headers.append(Header(MARKER, json.dumps(marker, separators=(",", ":")).encode(), "String"))
    try:
        body = (outgoing.message.value or b"").decode()
        attributes = {header.name: write_attribute(header) for header in headers}
    except UnicodeDecodeError:
        return Unsendable("its body or an attribute is no UTF-8, and SQS takes text only")
    empty = [header.name for header in headers if not header.value]
    if not body or empty:
        return Unsendable(f"{'its body' if not body else f'attribute {empty[0]}'} is empty, which SQS refuses")
    size = len(body.encode()) + sum(
        len(h.name.encode()) + len(h.kind or "String") + len(h.value or b"") for h in headers
    )
    if size > target.most_bytes:
        return Unsendable(f"it has {size:,} bytes with {MARKER}, and the target takes {target.most_bytes:,}")
    fields: dict[str, Any] = {"MessageBody": body, "MessageAttributes": attributes}
    properties = outgoing.message.properties
    if properties.get(GROUP):
        fields[GROUP] = properties[GROUP]
    elif target.fifo:
        return Unsendable("it has no message group, and the target is a FIFO queue")
    if target.fifo:
        fields["MessageDeduplicationId"] = deduplication_id(job, outgoing.message.position)
    if properties.get(TRACE):
        fields["MessageSystemAttributes"] = {TRACE: {"DataType": "String", "StringValue": properties[TRACE]}}
    return Entry(outgoing, fields, size)


def deduplication_id(job: str, message_id: str) -> str:
    """Return the id under which a FIFO queue takes a message of a job once.

    It is sent with content-based deduplication too: the body's hash would let a redrive within five minutes of the
    first sending, or of another redrive, vanish without an error.
    """
    return hashlib.sha256(f"{job}\n{message_id}".encode()).hexdigest()


def _kept(headers: Sequence[Header], *, strip_failure_headers: bool) -> Iterator[Header]:
    dropped = failure_headers(header.name for header in headers) if strip_failure_headers else frozenset()
    return (header for header in headers if header.name not in _STAMPS and header.name not in dropped)


def write_attribute(header: Header) -> Mapping[str, Any]:
    """Return a header as the attribute that it was."""
    kind, value = header.kind or "String", header.value or b""
    if kind.startswith("Binary"):
        return {"DataType": kind, "BinaryValue": value}
    return {"DataType": kind, "StringValue": value.decode()}


def pack(entries: Iterable[T], size_of: Callable[[T], int]) -> list[list[T]]:
    """Return the entries in batches that SQS takes, in their order: ten at most, and 1 MiB together."""
    batches: list[list[T]] = []
    room = 0
    for entry in entries:
        size = size_of(entry)
        if not batches or len(batches[-1]) == BATCH or size > room:
            batches.append([])
            room = MOST_BYTES
        batches[-1].append(entry)
        room -= size
    return batches


def split_lanes(entries: Sequence[Entry], fifo: bool, lanes: int) -> list[list[list[Entry]]]:
    """Return lists of batches; the lists may be sent at once, the batches of one list one after the other.

    A group of a FIFO queue stays in one list, so that one batch of it is under way at a time and its order holds.
    """
    if not fifo:
        return [[batch] for batch in pack(entries, lambda entry: entry.size)]
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.group, []).append(entry)
    shares: list[list[Entry]] = [[] for _ in range(min(lanes, len(groups)))]
    for group in sorted(groups.values(), key=len, reverse=True):
        min(shares, key=len).extend(group)
    return [pack(share, lambda entry: entry.size) for share in shares]
