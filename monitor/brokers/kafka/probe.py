"""The end-to-end probe: records are sent through every broker, read back, and committed, on a topic of its own.

It runs beside the cycles, in a thread of its own, so that what hangs in it holds up no cycle; a cycle tells what the
last round found. It works by what the cycles' metadata says: whether the topic is there, and who leads its partitions.
A round sends one record to each partition with acks=all. One that the broker took and that did not come back in time
is *lost*; one that the broker did not take in time is *refused*.

The topic keeps records for ten minutes and is deleted, with its group, when the probe ends. A process that is killed
leaves an empty topic behind, which the next one uses again.
"""

import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from monitor.brokers.kafka.metadata import NO_LEADER, Listing
from monitor.brokers.kafka.problems import Problems
from monitor.brokers.kafka.translation import translate
from monitor.clock import Clock
from monitor.config import KafkaProbe
from monitor.errors import BrokerError, Forbidden, TimedOut
from monitor.memory import Memory
from monitor.model import Finding, Table

RETURNED, LOST, REFUSED = OUTCOMES = ("returned", "lost", "refused")

_NAME, _LABELS = "probe_messages", ("broker", "outcome")
_TOTAL = "kafka_probe_messages_total"
_STEP_SECONDS = 0.01  # how exactly a round trip is timed while several records are under way
_LONGEST_SETTING_UP = 10.0
_CLEANED_WITHIN = 1.5
_TARGET = "the end-to-end probe"
_GRANT = "grant Create, Read, Write and Delete on the topic {0}, and Read and Delete on the group of that name"
_NOT_IN_TIME = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._MSG_TIMED_OUT)
_TOPIC_CONFIG = {
    "cleanup.policy": "delete",
    "retention.ms": "600000",
    "segment.ms": "600000",
    "message.timestamp.type": "CreateTime",
}


@dataclass(slots=True)
class Record:
    """One record of a round, on its way. Moments are of the monotonic clock, None while it has not happened."""

    partition: int
    sent_at: float
    offset: int | None = None
    returned_at: float | None = None
    error: KafkaError | None = None

    @property
    def is_settled(self) -> bool:
        """Say whether no more is to be heard of it."""
        return self.returned_at is not None or self.error is not None

    @property
    def outcome(self) -> str:
        """Return what became of it, if the round ends now."""
        if self.returned_at is not None:
            return RETURNED
        return REFUSED if self.offset is None else LOST


@dataclass(frozen=True, slots=True)
class Round:
    """What one round found. `commit_seconds` is None where nothing was committed.

    `fresh` are the partitions for which the reader had only just been told where to begin: their time tells nothing.
    """

    records: tuple[Record, ...]
    commit_seconds: float | None
    commit_error: KafkaError | None = None
    fresh: frozenset[int] = frozenset()


@dataclass(slots=True)
class _Found:
    """What there is to tell."""

    round_trips: dict[str, float | None] = field(default_factory=dict)
    commit_seconds: float | None = None
    ended_at: float | None = None
    errors: list[tuple[BrokerError, str]] = field(default_factory=list)


class Session:
    """The clients of the probe. Records of others on the topic, and those of earlier rounds, are left aside."""

    def __init__(self, settings: Mapping[str, Any], topic: str, seconds: float, monotonic: Callable[[], float]) -> None:
        self._topic, self._seconds, self._monotonic = topic, seconds, monotonic
        self._key = uuid.uuid4().bytes
        self._number = 0
        self._position: dict[int, int] = {}
        self._committed: list[KafkaError | None] = []
        milliseconds = max(1000, int(seconds * 1000))
        quiet = _Quiet()
        self._producer = Producer(
            {**settings, "acks": "all", "linger.ms": 0, "message.timeout.ms": milliseconds}, logger=quiet
        )
        self._consumer = Consumer(
            {
                **settings,
                "group.id": topic,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "latest",
                "allow.auto.create.topics": False,
                "fetch.wait.max.ms": 100,
                "on_commit": self._take_commit,
            },
            logger=quiet,
        )

    def run(self, partitions: Mapping[int, int], stopped: threading.Event) -> Round:
        """Send a record to each partition (to its leader), and wait for all to come back and to be committed."""
        self._number += 1
        deadline = self._monotonic() + self._seconds
        records = {number: self._send(number) for number in partitions}
        fresh: set[int] = set()
        while self._monotonic() < deadline and not stopped.is_set():
            self._producer.poll(0)
            fresh |= self._follow(records)
            message = self._consumer.poll(_STEP_SECONDS)
            if message is not None:
                self._take(message, records)
            elif all(record.is_settled for record in records.values()):
                break
        self._producer.purge()
        self._producer.poll(0)
        seconds, error = self._commit(records, deadline, stopped)
        return Round(tuple(records.values()), seconds, error, frozenset(fresh))

    def close(self) -> None:
        """Let go of the connections; may take as long as the brokers do."""
        self._consumer.close()

    def _send(self, partition: int) -> Record:
        record = Record(partition, self._monotonic())
        value = str(self._number).encode()
        done = partial(_take_delivery, record)
        try:
            self._producer.produce(self._topic, value, self._key, partition, on_delivery=done)
        except KafkaException as error:  # the topic has lost this partition
            record.error = error.args[0]
        return record

    def _follow(self, records: Mapping[int, Record]) -> set[int]:
        """Begin to read where the first record of a partition lies: nothing before it is asked for.

        A topic that was made again begins again as well, with offsets that were passed in the one before.
        """
        begun = {
            record.partition
            for record in records.values()
            if record.offset is not None
            and record.returned_at is None
            and not 0 <= self._position.get(record.partition, -1) <= record.offset
        }
        for partition in begun:
            self._position[partition] = records[partition].offset or 0
        if begun:
            self._consumer.assign([TopicPartition(self._topic, *item) for item in self._position.items()])
        return begun

    def _take(self, message: Message, records: Mapping[int, Record]) -> None:
        number, offset = message.partition(), message.offset()
        if message.error() is not None or number is None or offset is None:
            return  # the library tries again; what does not come is lost
        self._position[number] = max(self._position.get(number, 0), offset + 1)
        mine = message.key() == self._key and message.value() == str(self._number).encode()
        if mine and number in records:
            records[number].returned_at = self._monotonic()

    def _commit(
        self, records: Mapping[int, Record], deadline: float, stopped: threading.Event
    ) -> tuple[float | None, KafkaError | None]:
        back = [record.partition for record in records.values() if record.returned_at is not None]
        if not back:
            return None, None
        self._committed.clear()
        began = self._monotonic()
        offsets = [TopicPartition(self._topic, number, self._position[number]) for number in back]
        self._consumer.commit(offsets=offsets, asynchronous=True)
        until = max(deadline, began + self._seconds / 2)
        while not self._committed and self._monotonic() < until and not stopped.is_set():
            self._consumer.poll(_STEP_SECONDS)
        if not self._committed:
            return None, KafkaError(KafkaError._TIMED_OUT)
        error = self._committed[0]
        return (None, error) if error is not None else (self._monotonic() - began, None)

    def _take_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        failed = (partition.error for partition in partitions if partition.error is not None)
        self._committed.append(error or next(failed, None))


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
        if not self._thread.ident:
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
        admin = AdminClient(dict(self._settings), logger=_Quiet())
        new = NewTopic(self._probe.topic, num_partitions=max(1, self._brokers), config=dict(_TOPIC_CONFIG))
        made = admin.create_topics([new], request_timeout=_LONGEST_SETTING_UP)[self._probe.topic]
        try:
            self._wait(admin, made, _LONGEST_SETTING_UP)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise

    def _clean(self) -> None:
        admin = AdminClient(dict(self._settings), logger=_Quiet())
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
        admin, topic = AdminClient(dict(self._settings), logger=_Quiet()), self._probe.topic
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


def _take_delivery(record: Record, error: KafkaError | None, message: Message) -> None:
    if error is None:
        record.offset = message.offset()
    elif error.code() not in _NOT_IN_TIME:
        record.error = error


def _drop(session: Session | None) -> None:
    """Give up a session, without waiting for its end: with brokers that hang it may take long."""
    if session is not None:
        threading.Thread(target=session.close, name="kafka-probe-close", daemon=True).start()


class _Quiet:
    """Takes the library's log lines; what matters comes as outcomes."""

    def log(self, _level: int, _text: str, *_arguments: object) -> None:
        pass
