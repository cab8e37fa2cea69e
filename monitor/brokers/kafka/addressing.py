"""Where each message of a job goes, and what is written on it. The path that every message takes, so it is short.

What headers say about the origin is read by `conventions`, once for each combination of the headers that matter for it:
in a dead-letter topic these are few.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from confluent_kafka import Message

from monitor.brokers.kafka.letters import Headers
from monitor.conventions import CONVENTIONS, Trace, failure_headers, read_trace
from monitor.letters import HEADER_COUNT, HEADER_ID, HEADER_JOB

STAMPS = frozenset({HEADER_ID, HEADER_JOB, HEADER_COUNT})
ORIGINAL_TIMESTAMP = "x-original-timestamp"

_BATCH_OVERHEAD = 61  # bytes before the first record of a batch (format v2)
_RECORD_OVERHEAD = 30  # varints and attributes of one record, at most
_HEADER_OVERHEAD = 10  # two varints, at most
_STAMPS_BYTES = 400  # what is added, generously
_REMEMBERED = 10_000
_FIRST: tuple[str, bytes | None] = (HEADER_COUNT, b"1")

_ORIGINS = frozenset(
    name.lower() for it in CONVENTIONS for names in (it.origin, it.detail.get("partition", ())) for name in names
)
_MARKS = frozenset(mark.lower() for it in CONVENTIONS for mark in it.marks)


# What a header is to a redrive: nothing, a stamp, an old timestamp, telling by its value, telling by being there.
_NOTHING, _STAMP, _TIMESTAMP, _TRACE, _MARK = range(5)


@dataclass(frozen=True, slots=True)
class Target:
    """A topic that messages go to: how many partitions, and how large a batch may be (bytes)."""

    name: str
    partitions: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Route:
    """Where messages go: to the topic that their own headers name, if that is in `targets`, else to `default`.

    `forced` sends all to `default`, whatever their headers say. `partitions` is how many the dead-letter topic has.
    """

    targets: Mapping[str, Target]
    default: str | None
    forced: bool
    partitions: int


class Ready(NamedTuple):
    """A message as it is to be sent."""

    topic: str
    partition: int
    key: Any
    value: Any
    headers: Headers


class Unsent(NamedTuple):
    """Why a message is not sent, and whether that is a failure rather than a decision."""

    reason: str
    failed: bool


class Way(NamedTuple):
    """Where messages with the same origin go: a topic, and the partition that their headers name, if any."""

    target: Target
    partition: int | None


class Addresser:
    """Addresses the messages of one job. One thread uses it."""

    def __init__(self, route: Route, job: str, *, strip_failure_headers: bool) -> None:
        self._route, self._job, self._strip = route, job, strip_failure_headers
        self._job_stamp: tuple[str, bytes | None] = (HEADER_JOB, job.encode())
        self._roles: dict[str, int] = {}
        self._ways: dict[tuple[tuple[str, bytes | None], ...], Way | Unsent] = {}
        self.too_large: set[tuple[int, int]] = set()

    def address(self, message: Message, key: Any, value: Any, headers: Headers) -> Ready | Unsent:
        """Return the message with its target, partition and stamps, or why it has none."""
        way, size, stamped, timed = self._look_over(headers)
        if isinstance(way, Unsent):
            return way
        target, told = way
        size += len(value or b"") + len(key or b"")
        partition, offset = message.partition(), message.offset()
        doubtful = size > target.max_bytes // 2 or self.too_large
        if doubtful and ((partition, offset) in self.too_large or _fits_not(target, size, headers)):
            return Unsent(f"it is too large for {target.name}, which takes {target.max_bytes} bytes", failed=True)
        kept = self._clean(headers, stamped) if stamped or self._strip else headers
        count = _count(headers) if stamped else _FIRST
        stamps: Headers = [(HEADER_ID, f"{self._job}:{partition}:{offset}".encode()), self._job_stamp, count]
        kind, milliseconds = message.timestamp()
        if kind and not timed:
            stamps.append((ORIGINAL_TIMESTAMP, b"%d" % milliseconds))
        if told is None:  # the same number where both topics have equally many, otherwise it goes by key
            told = int(partition or 0) if target.partitions == self._route.partitions else -1
        return Ready(target.name, told, key, value, kept + stamps)

    def _look_over(self, headers: Headers) -> tuple[Way | Unsent, int, bool, bool]:
        """Return the way that headers tell, their bytes, and whether stamps and an old timestamp are there."""
        roles, size, stamped, timed = self._roles, 0, False, False
        signs: list[tuple[str, bytes | None]] = []
        for header in headers:
            name, content = header
            if content:
                size += len(content)
            role = roles.get(name)
            if role is None:
                role = self._classify(name)
            if role == 0:
                continue
            if role == _TRACE:
                signs.append(header)
            elif role == _MARK:
                signs.append((name, b""))
            elif role == _STAMP:
                stamped = True
            timed = timed or name == ORIGINAL_TIMESTAMP
        key = tuple(signs)
        return self._ways.get(key) or self._find_way(key), size, stamped, timed

    def _classify(self, name: str) -> int:
        if len(self._roles) > _REMEMBERED:
            self._roles.clear()
        lower, role = name.lower(), _NOTHING
        if name in STAMPS:
            role = _STAMP
        elif lower in _ORIGINS:
            role = _TRACE
        elif lower in _MARKS:
            role = _MARK
        elif name == ORIGINAL_TIMESTAMP:
            role = _TIMESTAMP
        self._roles[name] = role
        return role

    def _find_way(self, signs: tuple[tuple[str, bytes | None], ...]) -> Way | Unsent:
        if len(self._ways) > _REMEMBERED:
            self._ways.clear()
        trace = read_trace(signs)
        target = self._target(trace)
        way = target if isinstance(target, Unsent) else Way(target, _told_partition(target, trace))
        self._ways[signs] = way
        return way

    def _target(self, trace: Trace) -> Target | Unsent:
        route = self._route
        if trace.origin and not route.forced:
            found = route.targets.get(trace.origin)
            told = f"it comes from {trace.origin}, which the plan does not name as a target"
            return found or Unsent(told, failed=False)
        if route.default is None:
            return Unsent("nothing says where it came from", failed=False)
        return route.targets[route.default]

    def _clean(self, headers: Headers, stamped: bool) -> Headers:
        gone = failure_headers(name for name, _ in headers) if self._strip else frozenset[str]()
        return [it for it in headers if it[0] not in gone and not (stamped and it[0] in STAMPS)]


def _told_partition(target: Target, trace: Trace) -> int | None:
    told = trace.detail.get("partition") if trace.origin == target.name else None
    return told if isinstance(told, int) and 0 <= told < target.partitions else None


def _count(headers: Headers) -> tuple[str, bytes | None]:
    """Return the stamp that says for how many times a message is redriven that was redriven before."""
    before = [value for name, value in headers if name == HEADER_COUNT]
    number = int(before[-1]) if before and before[-1] and before[-1].isdigit() else 0
    return HEADER_COUNT, b"%d" % (number + 1)


def _fits_not(target: Target, size: int, headers: Headers) -> bool:
    names = sum(len(name.encode()) + _HEADER_OVERHEAD for name, _ in headers)
    return size + names + _STAMPS_BYTES + _BATCH_OVERHEAD + _RECORD_OVERHEAD > target.max_bytes
