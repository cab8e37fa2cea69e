"""The end-to-end probe: records are sent through every broker, read back, and committed, on a topic of its own.

It runs beside the cycles, in a thread of its own, so that what hangs in it holds up no cycle; a cycle tells what the
last round found. It works by what the cycles' metadata says: whether the topic is there, and who leads its partitions.
A round sends one record to each partition with acks=all. One that the broker took and that did not come back in time
is *lost*; one that the broker did not take in time is *refused*.

The topic keeps records for ten minutes and is deleted, with its group, when the probe ends. A process that is killed
leaves an empty topic behind, which the next one uses again.
"""

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from monitor.brokers.kafka.metadata import NO_LEADER, Listing
from monitor.brokers.kafka.problems import Problems
from monitor.brokers.kafka.quiet import QuietLog
from monitor.brokers.kafka.rounds import LOST, OUTCOMES, RETURNED, Record, Round, Session
from monitor.brokers.kafka.translation import translate
from monitor.clock import Clock
from monitor.config import KafkaProbe
from monitor.errors import BrokerError, Forbidden, TimedOut
from monitor.memory import Memory
from monitor.model import Finding, Table

_NAME, _LABELS = "probe_messages", ("broker", "outcome")
_TOTAL = "kafka_probe_messages_total"
_STEP_SECONDS = 0.05
_LONGEST_SETTING_UP = 10.0
_CLEANED_WITHIN = 1.5
_TARGET = "the end-to-end probe"
_GRANT = "grant Create, Read, Write and Delete on the topic {0}, and Read and Delete on the group of that name"
_TOPIC_CONFIG = {
    "cleanup.policy": "delete",
    "retention.ms": "600000",
    "segment.ms": "600000",
    "message.timestamp.type": "CreateTime",
}


@dataclass(slots=True)
class _Found:
    """What there is to tell."""

    round_trips: dict[str, float | None] = field(default_factory=dict)
    commit_seconds: float | None = None
    ended_at: float | None = None
    errors: list[tuple[BrokerError, str]] = field(default_factory=list)


class Probe:
    """The probe of one cluster. Nothing runs before the first `look`."""

    def __init__(self, settings: Mapping[str, Any], probe: KafkaProbe, clock: Clock, memory: Memory) -> None:
        self._settings, self._probe, self._clock, self._memory = settings, probe, clock, memory
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka-probe", daemon=True)
        self._leaders: dict[int, int] = {}
        self._brokers = 0
        self._is_there = False
        self._found = _Found()
        self._totals: dict[tuple[str, str], float] = {}
        self._left = dict(memory.recall(_NAME, _LABELS))

    def look(self, listing: Listing) -> None:
        """Take over what metadata says of the topic, and begin, the first time."""
        rows = listing.topics.get(self._probe.topic, [])
        with self._lock:
            self._is_there, self._brokers = bool(rows), len(listing.brokers)
            # A partition that nobody leads belongs to its last leader: that is the one who is away.
            told = {number: leader for number, (leader, _, _) in enumerate(rows) if leader != NO_LEADER}
            known = {number: leader for number, leader in self._leaders.items() if number < len(rows)}
            self._leaders = known | told
        if not self._thread.ident and not self._stopped.is_set():
            self._thread.start()

    def tell(self, problems: Problems) -> dict[str, Table]:
        """Return the tables of what was found so far; none before the first round has ended."""
        with self._lock:
            found, errors = self._found, self._found.errors
            found.errors = []
            totals = Table.of_rows(_LABELS, list(self._totals), {_TOTAL: self._totals.values()})
            tables = {
                "probe": Table.of_rows((), (), {
                    "kafka_probe_commit_seconds": [found.commit_seconds],
                    "kafka_probe_last_round_timestamp_seconds": [found.ended_at],
                }),
                "probe_brokers": Table.of_rows(
                    ("broker",),
                    [(broker,) for broker in found.round_trips],
                    {"kafka_probe_round_trip_seconds": found.round_trips.values()},
                ),
                "probe_messages": totals,
            }  # fmt: skip
        for error, target in errors:
            problems.add(error, target)
        if found.ended_at is None:
            return {}
        self._memory.keep(_NAME, totals)
        return tables

    def close(self) -> None:
        """End the probe, and remove its topic and group if that takes no longer than a moment. May come twice."""
        self._stopped.set()
        if self._thread.ident:
            self._thread.join(_CLEANED_WITHIN)

    def _run(self) -> None:
        session: Session | None = None
        while not self._stopped.is_set():
            began = self._clock.monotonic()
            try:
                session = self._round(session)
            except KafkaException as error:
                self._note(translate(error.args[0]), _TARGET)
                _drop(session)
                session = None
            spent = self._clock.monotonic() - began
            self._stopped.wait(max(self._probe.interval - spent, _STEP_SECONDS))
        _drop(session)
        if self._is_there:
            self._clean()

    def _round(self, session: Session | None) -> Session | None:
        """Do one round; return the session to go on with, None where a new one is better."""
        with self._lock:
            partitions, is_there = dict(self._leaders), self._is_there
        if not is_there:
            self._create()
            _drop(session)
            return None
        if session is None:
            session = Session(self._settings, self._probe.topic, self._probe.timeout, self._clock.monotonic)
        done = session.run(partitions, self._stopped)
        if self._stopped.is_set():
            return session
        self._take(done, partitions)
        if done.commit_error is None and any(record.outcome == RETURNED for record in done.records):
            return session
        _drop(session)  # the library may go on asking a broker that hangs, after others have taken over for it
        return None

    def _take(self, done: Round, leaders: Mapping[int, int]) -> None:
        trips: dict[str, float | None] = {}
        for record in done.records:
            broker = str(leaders[record.partition])
            seconds = None if record.returned_at is None else record.returned_at - record.sent_at
            if record.partition not in done.fresh or seconds is None:
                trips[broker] = _longer(trips.get(broker, 0.0), seconds)
            self._count(broker, record.outcome)
            if record.outcome != RETURNED:
                self._note(_why(record, self._probe.timeout), f"{_TARGET} through broker {broker}")
        if done.commit_error is not None:
            self._note(translate(done.commit_error), f"the commit of {_TARGET}")
        with self._lock:
            errors = self._found.errors
            self._found = _Found(trips, done.commit_seconds, self._clock.now(), errors)

    def _count(self, broker: str, outcome: str) -> None:
        with self._lock:
            for each in OUTCOMES:  # a counter that is born at its first event hides it from `increase`
                key = (broker, each)
                if key not in self._totals:
                    self._totals[key] = self._left.pop(key, {}).get(_TOTAL, 0.0)
            self._totals[broker, outcome] += 1

    def _note(self, error: BrokerError, target: str) -> None:
        with self._lock:
            self._found.errors.append((error, target))

    def _create(self) -> None:
        """Make the topic, with as many partitions as there are brokers; metadata will tell when it is there."""
        admin = AdminClient(dict(self._settings), logger=QuietLog())
        new = NewTopic(self._probe.topic, num_partitions=max(1, self._brokers), config=dict(_TOPIC_CONFIG))
        made = admin.create_topics([new], request_timeout=_LONGEST_SETTING_UP)[self._probe.topic]
        try:
            self._wait(admin, made, _LONGEST_SETTING_UP)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise

    def _clean(self) -> None:
        admin = AdminClient(dict(self._settings), logger=QuietLog())
        topic = self._probe.topic
        removals = [
            admin.delete_topics([topic], request_timeout=_CLEANED_WITHIN)[topic],
            admin.delete_consumer_groups([topic], request_timeout=_CLEANED_WITHIN)[topic],
        ]
        for removal in removals:
            try:
                self._wait(admin, removal, _CLEANED_WITHIN)
            except KafkaException:
                continue  # it keeps nothing but records of the last minutes, and the next probe uses it again

    def check(self, seconds: float) -> Finding:
        """Find out whether the topic can be made, or used if it is there; nothing is made or written for that."""
        admin, topic = AdminClient(dict(self._settings), logger=QuietLog()), self._probe.topic
        new = NewTopic(topic, num_partitions=1)
        made = admin.create_topics([new], validate_only=True, request_timeout=seconds)[topic]
        try:
            self._wait(admin, made, seconds)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                return _refused(error, topic)
            return self._check_rights(admin, seconds)
        return Finding(_TARGET, True, f"may make its topic {topic}", required=False)

    def _check_rights(self, admin: AdminClient, seconds: float) -> Finding:
        topic = self._probe.topic
        asked = TopicCollection([topic])
        described = admin.describe_topics(asked, include_authorized_operations=True, request_timeout=seconds)[topic]
        try:
            allowed = {it.name for it in self._wait(admin, described, seconds).authorized_operations or ()}
        except KafkaException as error:
            return _refused(error, topic)
        missing = [] if "ALL" in allowed else sorted({"READ", "WRITE", "DELETE"} - allowed)
        if missing:
            names = ", ".join(name.capitalize() for name in missing)
            return Finding(_TARGET, False, f"{names} missing on {topic}", _GRANT.format(topic), required=False)
        return Finding(_TARGET, True, f"may use its topic {topic}", required=False)

    def _wait(self, admin: AdminClient, future: Future[Any], seconds: float) -> Any:
        """Wait for a call's result, serving the library's callbacks. Raises KafkaException."""
        deadline = self._clock.monotonic() + seconds
        while not future.done() and self._clock.monotonic() < deadline:
            admin.poll(_STEP_SECONDS)
        if not future.done():
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return future.result()


def _longer(known: float | None, seconds: float | None) -> float | None:
    return None if known is None or seconds is None else max(known, seconds)


def _why(record: Record, seconds: float) -> BrokerError:
    if record.error is not None:
        return translate(record.error)
    taken = "was taken and did not come back" if record.outcome == LOST else "was not taken"
    return TimedOut(f"a record {taken} within {seconds:g} s")


def _refused(error: KafkaException, topic: str) -> Finding:
    told, grant = translate(error.args[0]), _GRANT.format(topic)
    remedy = grant if isinstance(told, Forbidden) else told.remedy or "check probe.security, and that the brokers run"
    return Finding(_TARGET, False, told.problem, remedy, required=False)


def _drop(session: Session | None) -> None:
    """Give up a session, without waiting for its end: with brokers that hang it may take long."""
    if session is not None:
        threading.Thread(target=session.close, name="kafka-probe-close", daemon=True).start()
