"""Dead letters read from what the broker delivers, and written anew for their way back. Pure."""

import hashlib
import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from monitor.brokers.rabbitmq.properties import (
    KINDS,
    Field,
    Properties,
    decode_properties,
    encode_field,
    encode_properties,
    number_field,
    plain,
    shown,
    string_field,
)
from monitor.brokers.rabbitmq.readings import QueueKey, label_of
from monitor.brokers.rabbitmq.taking import Delivery
from monitor.conventions import Trace, failure_headers, read_trace
from monitor.letters import HEADER_COUNT, HEADER_ID, HEADER_JOB, DeadMessage, Header, Outgoing
from monitor.model import FoundBy, Origin

DELIVERY_COUNT = "x-delivery-count"
_COUNTS = frozenset({DELIVERY_COUNT.encode(), b"x-acquired-count"})
_COPIES = ("CC", "BCC")
_DEATH = ("x-death", "x-first-death-", "x-last-death-", "x-opt-deaths")
_OURS = frozenset({HEADER_ID, HEADER_JOB, HEADER_COUNT})
_TEXTS = (
    "content_type",
    "content_encoding",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
)
_NUMBERS = ("delivery_mode", "priority", "timestamp")
_NAMES = {name: name.encode() + b"=" for name in (*_TEXTS, *_NUMBERS)}
_MILLISECONDS = 1000.0
_MOST_REMEMBERED = 1024

FindQueue = Callable[[str, str], str | None]
"""Returns the label of the one queue behind an exchange and a routing key, None where there are none or several."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the messages of one dead-letter queue. `time_to_live` is the queue's, in seconds."""

    queue: QueueKey
    time_to_live: float | None = None
    find_queue: FindQueue = lambda _exchange, _key: None

    def read(self, delivery: Delivery, properties: Properties | None = None) -> DeadMessage:
        """Return a delivered message; its position is its fingerprint, which messages share that are equal throughout.

        `properties` are the delivery's, where they are decoded already. Raises ValueError when they cannot be read.
        """
        properties = properties or decode_properties(delivery.raw)
        print_ = fingerprint(properties, delivery.body)
        headers = shown_headers(properties)
        death = self._death(properties)
        trace = read_trace((header.name, header.value) for header in headers)
        time = death.get("time")
        enqueued_at = float(time) if isinstance(time, int) else trace.failed_at
        count = properties.header(DELIVERY_COUNT)
        return DeadMessage(
            print_,
            _coordinates(print_, properties),
            None,
            delivery.body,
            headers,
            _shown_properties(properties, delivery),
            enqueued_at,
            self._expires_at(properties, enqueued_at),
            count if isinstance(count, int) else None,
            self._origin(trace, death),
            _origin_detail(trace, death),
            trace.exception or str(death.get("reason") or ""),
            trace.message,
            trace.attempts if trace.attempts is not None else _count_of(death),
            delivery.raw,
        )

    def read_in_short(self, delivery: Delivery, properties: Properties) -> DeadMessage:
        """Return only what a job needs to know of a message that goes as it is, to where all go."""
        print_, headers = fingerprint(properties, delivery.body), shown_headers(properties)
        coordinates = _coordinates(print_, properties)
        return DeadMessage(print_, coordinates, None, delivery.body, headers, {"redelivered": delivery.redelivered})

    def _death(self, properties: Properties) -> Mapping[str, Any]:
        """Return the newest death outside of this very queue: the broker puts the newest first."""
        entry = next((it for it in properties.headers or () if it.name == b"x-death"), None)
        deaths = _plain_again(entry) if entry is not None else None
        if not isinstance(deaths, list):
            return {}
        entries = (death for death in deaths if isinstance(death, dict))
        return next((death for death in entries if death.get("queue") != self.queue[1]), {})

    def _origin(self, trace: Trace, death: Mapping[str, Any]) -> Origin | None:
        if trace.origin:
            return Origin(label_of((self.queue[0], trace.origin)), FoundBy.HEADERS)
        if isinstance(death.get("queue"), str):
            return Origin(label_of((self.queue[0], death["queue"])), FoundBy.HEADERS)
        exchange, key = trace.detail.get("exchange"), trace.detail.get("routing_key")
        if exchange is None and key is None:
            return None
        found = self.find_queue(str(exchange or ""), str(key or ""))
        return None if found is None else Origin(found, FoundBy.HEADERS)

    def _expires_at(self, properties: Properties, enqueued_at: float | None) -> float | None:
        own = properties.text("expiration")
        limits = [self.time_to_live, float(own) / _MILLISECONDS if own and own.isdigit() else None]
        least = min((limit for limit in limits if limit is not None), default=None)
        return None if least is None or enqueued_at is None else enqueued_at + least


def fingerprint(properties: Properties, body: bytes) -> str:
    """Return what tells a message from any other that is not the same in every byte.

    A delivery count, which changes, is left out; the order of headers as well, since the broker sorts them when it adds
    one (`rabbit_misc:set_table_value`), and the two ways to write a 64-bit integer are one.
    """
    # the values of properties are in the order of the protocol
    parts = [_NAMES[name] + value for name, value in properties.values.items()]
    if properties.headers:
        kept = [entry for entry in properties.headers if entry.name not in _COUNTS]
        parts += sorted([it.name + b":" + (b"l" if it.kind == b"L" else it.kind) + it.raw for it in kept])
    parts.append(body)
    lengths = _lengths_of(len(parts)).pack(*map(len, parts))
    return hashlib.blake2b(lengths + b"".join(parts), digest_size=12).hexdigest()


@lru_cache(maxsize=64)
def _lengths_of(number: int) -> struct.Struct:
    return struct.Struct(f">{number}Q")


def _coordinates(print_: str, properties: Properties) -> dict[str, str]:
    message_id = properties.text("message_id")
    return {"fingerprint": print_, "message_id": message_id} if message_id else {"fingerprint": print_}


def shown_headers(properties: Properties) -> tuple[Header, ...]:
    """Return the headers as people and expressions see them, in their order."""
    return tuple([_shown_header(entry) for entry in properties.headers or ()])


def _shown_header(entry: Field) -> Header:
    # the headers of dead letters hardly differ from one to the next, and tables among them are dear to decode
    return _shown_again(entry) if len(entry.raw) <= _MOST_REMEMBERED else _show(entry)


def _show(entry: Field) -> Header:
    return Header(_name_of(entry.name), shown(entry), KINDS[entry.kind])


_shown_again = lru_cache(maxsize=1024)(_show)
_plain_again = lru_cache(maxsize=1024)(plain)


def _shown_properties(properties: Properties, delivery: Delivery) -> dict[str, Any]:
    found: dict[str, Any] = {name: properties.text(name) for name in _TEXTS if name in properties.values}
    found |= {name: properties.number(name) for name in _NUMBERS if name in properties.values}
    return found | {
        "exchange": delivery.exchange,
        "routing_key": delivery.routing_key,
        "redelivered": delivery.redelivered,
    }


def _origin_detail(trace: Trace, death: Mapping[str, Any]) -> dict[str, Any]:
    keys = death.get("routing-keys")
    found = {
        "exchange": death.get("exchange"),
        "routing_key": keys[0] if isinstance(keys, list) and keys else None,
        "reason": death.get("reason"),
        "count": death.get("count"),
        "framework": trace.framework or None,
    }
    return {name: value for name, value in found.items() if value is not None} | dict(trace.detail)


def _count_of(death: Mapping[str, Any]) -> int | None:
    count = death.get("count")
    return count if isinstance(count, int) else None


def write_properties(
    original: Properties,
    outgoing: Outgoing,
    job: str,
    *,
    user: str,
    strip_failure_headers: bool,
    untouched: bool = False,
) -> bytes:
    """Return the properties to send, as wire bytes. Raises ValueError for a header name that is too long.

    `untouched` says that the outgoing message's headers are the original's own.
    Of the headers those that are as they were go on byte for byte. What the broker itself notes of deaths goes: up to
    3.13 it believes what a client sends of them. So do CC and BCC, which would send copies to other queues; and the
    user id, which the broker refuses unless it is the user who sends.
    """
    dropped = frozenset[str]()
    if strip_failure_headers:
        dropped = failure_headers(header.name for header in outgoing.message.headers)
    fields = (original.headers or ()) if untouched else _kept_fields(original, outgoing.message.headers)
    headers = [entry for entry in fields if _goes_on(entry.name) and not (dropped and _name_of(entry.name) in dropped)]
    stamp = encode_field(string_field(HEADER_ID, outgoing.redrive_id.encode())) + _encode_stamp(job, outgoing.count)
    values = original.values
    if "user_id" in values and original.text("user_id") != user:
        values = {name: value for name, value in values.items() if name != "user_id"}
    return encode_properties(Properties(values, tuple(headers)), stamp)


@lru_cache(maxsize=64)
def _encode_stamp(job: str, count: int) -> bytes:
    """Return what all messages carry that a job sends for the same time each."""
    return encode_field(string_field(HEADER_JOB, job.encode())) + encode_field(number_field(HEADER_COUNT, count))


def dropped_headers(names: Collection[str]) -> list[str]:
    """Return which headers a redrive takes away in any case, but for its own."""
    return sorted(name for name in set(names) - _OURS if not _goes_on(name.encode()))


@lru_cache(maxsize=4096)
def _goes_on(name: bytes) -> bool:
    """Say whether a header of this name is sent on."""
    text = _name_of(name)
    return name not in _COUNTS and text not in _OURS and text not in _COPIES and not text.startswith(_DEATH)


def is_returned(name: bytes) -> bool:
    """Say whether a header stays when a message goes back into the queue that it was set aside from."""
    return name not in _COUNTS and name not in (HEADER_ID.encode(), *(copy.encode() for copy in _COPIES))


def _name_of(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _kept_fields(original: Properties, headers: Sequence[Header]) -> list[Field]:
    """Return the fields for headers: those that are among the original ones as they were, others as texts."""
    unused: dict[Header, list[Field]] = {}
    for entry in original.headers or ():
        unused.setdefault(_shown_header(entry), []).append(entry)
    fields = []
    for header in headers:
        same = unused.get(header)
        fields.append(same.pop(0) if same else string_field(header.name, header.value or b""))
    return fields
