"""The dead letters of a Kafka cluster: looking at them, planning, and opening a job.

Looking assigns partitions by hand and never commits, so that it changes nothing.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from monitor.brokers.kafka.addressing import Route, Target
from monitor.brokers.kafka.archiving import ArchiveMover, LedgerWriter, RestoreMover, archive_name
from monitor.brokers.kafka.client import EARLIEST, LATEST, KafkaClient, library_settings
from monitor.brokers.kafka.committed import Request
from monitor.brokers.kafka.intervals import Intervals
from monitor.brokers.kafka.ledger import Ledger, Rows, gone_before, group_of
from monitor.brokers.kafka.letters import read_letter
from monitor.brokers.kafka.mover import KafkaMover
from monitor.brokers.kafka.quiet import QuietLog
from monitor.brokers.kafka.rights import TopicsToRedrive, check_rights
from monitor.brokers.kafka.translation import translate
from monitor.brokers.naming import strip_dead_suffix
from monitor.clock import Clock
from monitor.config import DeadLetterMapping, KafkaCluster, origins_by_place
from monitor.errors import BadAnswer, BrokerError, TimedOut
from monitor.letters import (
    ARCHIVED,
    GROUP_PREFIX,
    LEDGER_TOPIC,
    Action,
    Choose,
    DeadMessage,
    Guarantee,
    Job,
    Mover,
    Page,
    PlanRequest,
    Survey,
)
from monitor.model import Finding, FoundBy

_STEP_SECONDS = 0.1
_SCANNED_IN_FULL = 5_000
_SCANNED_AT_EACH_END = 100
_SAMPLES = 5
_GROUPS_ASKED = 500
_READERS_SECONDS = 10.0
_COUNTED_AT_MOST = 1_000_000
_DEFAULT_MAX_BYTES = 1_048_588
_LEDGER_CONFIG = {"cleanup.policy": "compact", "segment.bytes": "16777216", "min.cleanable.dirty.ratio": "0.1"}
_ORDERING = (
    "In order within each partition; but they come after the newer messages of the same key that are there already."
)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What waits in one partition: from the log's start to the last stable offset, without what is gone."""

    partition: int
    start: int
    stable: int
    gone: Intervals

    @property
    def low(self) -> int:
        """The first offset that may still wait."""
        return self.gone.after(max(self.start, self.cursor))

    @property
    def cursor(self) -> int:
        """Nothing before it waits."""
        return self.gone.after(0)

    def count(self, low: int, high: int) -> int:
        """Return how many offsets within bounds still wait."""
        return max(0, high - low - self.gone.count(low, high))


@dataclass(frozen=True, slots=True)
class _Span:
    """Offsets of one partition that are to be read."""

    waiting: _Waiting
    low: int
    high: int

    @property
    def count(self) -> int:
        """How many of them still wait."""
        return self.waiting.count(self.low, self.high)


class KafkaRedriveBus:
    """See `letters.RedriveBus`."""

    def __init__(self, cluster: KafkaCluster, dead_letters: Sequence[DeadLetterMapping], clock: Clock) -> None:
        self._watched = cluster
        if cluster.redrive is not None and cluster.redrive.security is not None:
            cluster = cluster.model_copy(update={"security": cluster.redrive.security})
        self._cluster, self._clock = cluster, clock
        self._origins = {topic: it for (topic, *_), it in origins_by_place(cluster.name, dead_letters).items()}
        self._settings = library_settings(cluster)
        self._client = KafkaClient(cluster, clock.monotonic)
        self._ledger = Ledger(self._client, self._settings, clock)
        self._lock = threading.Lock()

    def browse(self, queue: str, limit: int, cursor: str | None, deadline: float) -> Page:
        """Return what waits, partition by partition in the order of offsets."""
        waiting = self._waiting(queue, deadline)
        places = {it.partition: it.low for it in waiting}
        if cursor is not None:
            partition, offset = _parse_position(cursor)
            places = {number: low for number, low in places.items() if number >= partition}
            if partition in places:
                places[partition] = max(places[partition], offset)
        by_partition = {it.partition: it for it in waiting}
        spans = [
            _Span(by_partition[number], low, by_partition[number].stable) for number, low in sorted(places.items())
        ]
        return self._page(queue, spans, limit, deadline)

    def browse_archive(self, queue: str, archive: str, limit: int, cursor: str | None, deadline: float) -> Page:
        """Return what the ledger has of an archive, as far as the topic still holds it."""
        waiting = {it.partition: replace(it, gone=Intervals()) for it in self._waiting(queue, deadline)}
        marks = self._ledger.rows(archive_name(archive, queue), self._topic_id(queue, deadline))
        begin = _parse_position(cursor) if cursor is not None else (0, 0)
        spans = [
            _Span(waiting[number], max(first, waiting[number].start, begin[1] if number == begin[0] else 0), until)
            for number, rows in sorted(marks.items())
            if number >= begin[0]
            for first, until in sorted(rows.items())
        ]
        return self._page(queue, [span for span in spans if span.low < span.high], limit, deadline)

    def _page(self, queue: str, spans: Sequence[_Span], limit: int, deadline: float) -> Page:
        messages: list[DeadMessage] = []
        for message in self._read(queue, spans, deadline):
            if len(messages) == limit:
                return Page(tuple(messages), next=f"{message.partition()}:{message.offset()}")
            messages.append(read_letter(message))
        return Page(tuple(messages))

    def survey(self, queue: str, request: PlanRequest, deadline: float) -> Survey:
        """Find out what a plan has to say; what is read for it is not changed by that."""
        topics = self._topics(deadline)
        if queue not in topics:
            raise BadAnswer("there is no such topic", target=queue)
        waiting = self._waiting(queue, deadline)
        bounds = _bounds(waiting, request.positions)
        by_partition = {it.partition: it for it in waiting}
        count = sum(by_partition[int(number)].count(low, high) for number, (low, high) in bounds.items())
        if request.action == Action.ARCHIVE:
            return self._survey_archiving(queue, request, waiting, bounds, count, deadline)
        letters, exact = self._sample(queue, by_partition, bounds, count, deadline)
        found = _Origins(self._cluster.name, queue, topics, self._origins.get(queue, ()), request.target)
        found.look_at(letters)
        also, incomplete = self._readers(found.targets, topics, deadline)
        groups = {str(letter.origin_detail["group"]) for letter in letters if "group" in letter.origin_detail}
        if request.positions:
            wanted = set(request.positions)
            letters = [letter for letter in letters if letter.position in wanted]
            count, exact = (len(letters), True) if exact else (min(count, len(wanted)), False)
        elif exact:
            count = len(letters)
        return Survey(
            count=count,
            count_is_exact=exact,
            bounds={
                "partitions": bounds,
                "partition_count": len(waiting),
                "since": {str(it.partition): it.cursor for it in waiting}
                | {"topic_id": self._topic_id(queue, deadline)},
                "targets": found.targets,
                "default": found.default,
                "forced": found.forced,
            },
            target=", ".join(found.targets) or None,
            guarantee=Guarantee.EXACTLY_ONCE,
            max_duplicates_per_interruption=0,
            origin_evidence=tuple(found.evidence),
            also_receives=tuple(group for group in also if len(groups) != 1 or group not in groups),
            ordering=_ORDERING,
            warnings=(*found.warnings, *incomplete, *_warn_of_readers(also, groups)),
            blockers=tuple(found.blockers),
            samples=tuple(letters[:_SAMPLES]),
        )

    def _survey_archiving(
        self,
        queue: str,
        request: PlanRequest,
        waiting: Sequence["_Waiting"],
        bounds: Mapping[str, Sequence[int]],
        count: int,
        deadline: float,
    ) -> Survey:
        letters, exact = self._sample(queue, {it.partition: it for it in waiting}, bounds, count, deadline)
        if request.positions:
            letters = [letter for letter in letters if letter.position in request.positions]
            count, exact = (len(letters), True) if exact else (min(count, len(request.positions)), False)
        elif exact:
            count = len(letters)
        since = {str(it.partition): it.cursor for it in waiting}
        return Survey(
            count=count,
            count_is_exact=exact,
            bounds={"partitions": bounds, "since": since | {"topic_id": self._topic_id(queue, deadline)}},
            target=ARCHIVED,
            guarantee=Guarantee.EXACTLY_ONCE,
            max_duplicates_per_interruption=0,
            ordering="They stay in their topic, as long as its retention lasts, and are no longer counted as waiting.",
            samples=tuple(letters[:_SAMPLES]),
        )

    def survey_archive(self, queue: str, archive: str, deadline: float) -> Survey:
        """Find out how much of an archive the ledger has and the topic still holds."""
        topics = self._topics(deadline)
        if LEDGER_TOPIC in topics:
            self._ledger.refresh(deadline)
        marks = self._ledger.rows(archive_name(archive, queue), self._topic_id(queue, deadline))
        count = sum(until - first for rows in marks.values() for first, until in rows.items())
        return Survey(
            count=count,
            count_is_exact=True,
            bounds={"count": count},
            target=queue,
            guarantee=Guarantee.EXACTLY_ONCE,
            max_duplicates_per_interruption=0,
            ordering="They wait again where they lie.",
        )

    def count_selected(
        self, queue: str, bounds: Mapping[str, Any], selected: Callable[[DeadMessage], bool], deadline: float
    ) -> tuple[int, bool, Sequence[DeadMessage]]:
        """Read what is within the bounds and count, as far as the time allows; the rest is taken for selected."""
        by_partition = {it.partition: it for it in self._waiting(queue, deadline)}
        spans = [_Span(by_partition[int(number)], *bound) for number, bound in bounds["partitions"].items()]
        unread = {span.waiting.partition: span for span in spans}
        count, samples = 0, list[DeadMessage]()
        try:
            for message in self._read(queue, spans, deadline):
                span = unread[number := int(message.partition() or 0)]
                unread[number] = replace(span, low=int(message.offset() or 0) + 1)
                letter = read_letter(message)
                if selected(letter):
                    count += 1
                    samples += [letter] if len(samples) < _SAMPLES else []
        except TimedOut:
            return count + sum(span.count for span in unread.values()), False, samples
        return count, True, samples

    def open(self, job: Job, choose: Choose) -> Mover:
        """Connect for a job. Raises BrokerError, also when a target is not there any more."""
        deadline = self._clock.monotonic() + 30.0
        topics = self._topics(deadline)
        for name in (job.queue, *job.bounds.get("targets", ())):
            # A send to a topic that is not there could make the broker create it.
            if name not in topics:
                raise BadAnswer("the topic does not exist any more", target=name)
        if LEDGER_TOPIC not in topics:
            self._make_ledger()
        waiting = self._waiting(job.queue, deadline)
        topic_id = self._topic_id(job.queue, deadline)
        if job.request.action != Action.REDRIVE:
            return self._open_archiving(job, choose, waiting, topic_id)
        limits = self._largest_messages(job.bounds["targets"], deadline)
        targets = {name: Target(name, topics[name], limits[name]) for name in job.bounds["targets"]}
        return KafkaMover(
            self._settings,
            job,
            choose,
            Route(targets, job.bounds["default"], job.bounds["forced"], topics[job.queue]),
            partial(self._rows, job.queue, topic_id),
            topic_id,
            {it.partition: it.start for it in waiting},
            self._clock,
        )

    def check(self, deadline: float) -> Sequence[Finding]:
        """Find out what is missing for redriving, changing nothing. A broker's errors are findings."""
        watching = KafkaClient(self._watched, self._clock.monotonic)
        try:
            # A topic that the others may not see at all is known to those who watch.
            topics = watching.list_topics(watching.until(deadline, 0.3)).topics
        except BrokerError:
            topics = {}  # which the check of those who watch tells
        finally:
            watching.close()
        known = TopicsToRedrive.among(topics, self._cluster.topics, self._origins)
        return check_rights(self._client, self._settings, known, deadline)

    def _open_archiving(self, job: Job, choose: Choose, waiting: Sequence["_Waiting"], topic_id: str) -> Mover:
        def read(name: str, deadline: float) -> Rows:
            return self._rows(name, topic_id, deadline)

        writer = LedgerWriter(self._settings, job.queue, topic_id, job.id)
        if job.request.action == Action.RESTORE:
            return RestoreMover(writer, job, read, {it.partition: it.start for it in waiting})
        consumer = Consumer(self._reader_settings(job.queue), logger=QuietLog())
        return ArchiveMover(consumer, writer, job, choose, read, self._clock)

    def purge(self, queue: str, deadline: float) -> int:
        """Delete the records of a topic up to its last stable offset, and return how many of them waited."""
        waiting = self._waiting(queue, deadline)
        ends = [TopicPartition(queue, it.partition, it.stable) for it in waiting]
        admin = AdminClient(self._settings)  # held: without it the calls never come to an end
        for call in admin.delete_records(ends).values():
            try:
                call.result(max(1.0, self._client.remaining(deadline)))
            except KafkaException as error:
                raise translate(error.args[0], queue) from error
            except TimeoutError as error:
                raise TimedOut("the records were not deleted in time", target=queue) from error
        return sum(it.count(it.low, it.stable) for it in waiting)

    def close(self) -> None:
        """Let go of all connections."""
        self._client.close()
        self._ledger.close()

    # -- what there is ------------------------------------------------------------------------------------------------

    def _topics(self, deadline: float) -> dict[str, int]:
        """Return the number of partitions of each topic. To ask for one by name could make the broker create it."""
        listing = self._client.list_topics(deadline)
        return {name: len(it.partitions) for name, it in listing.topics.items() if it.error is None}

    def _waiting(self, queue: str, deadline: float) -> list[_Waiting]:
        """Return what waits in each partition, as the ledger has it."""
        topics = self._topics(deadline)
        if queue not in topics:
            raise BadAnswer("there is no such topic", target=queue)
        numbers = range(topics[queue])
        starts, stables = self._offsets(queue, numbers, deadline)
        if LEDGER_TOPIC in topics:
            self._ledger.refresh(deadline)
        rows = self._ledger.rows(queue, self._topic_id(queue, deadline))
        return [_Waiting(n, starts[n], stables[n], gone_before(None, rows.get(n, {}))) for n in numbers]

    def _offsets(self, queue: str, numbers: Sequence[int], deadline: float) -> tuple[list[int], list[int]]:
        """Return where each partition's log begins, and its last stable offset."""
        results: dict[int, list[int]] = {}
        calls = [
            self._client.offsets(what, [TopicPartition(queue, number, what) for number in numbers], stable=True)
            for what in (EARLIEST, LATEST)
        ]
        for call, result in self._client.run({0: calls}, self._client.remaining(deadline)):
            if isinstance(result, BrokerError):
                raise result
            for error in result.errors.values():
                raise error
            results[call.key] = result.offsets
        return results[EARLIEST], results[LATEST]

    def _topic_id(self, queue: str, deadline: float) -> str:
        described = self._client.describe_topics([queue], self._client.remaining(deadline))[queue]
        if isinstance(described, BrokerError):
            raise described
        return str(described.topic_id)

    def _largest_messages(self, topics: Sequence[str], deadline: float) -> dict[str, int]:
        configs = self._client.describe_topic_configs(topics, self._client.remaining(deadline))
        limits = {}
        for name, config in configs.items():
            # Without the right to read configurations the broker's own refusal has to do.
            known = not isinstance(config, BrokerError)
            limits[name] = int(config["max.message.bytes"].value) if known else _DEFAULT_MAX_BYTES
        return limits

    def _rows(self, queue: str, topic_id: str, deadline: float) -> Rows:
        self._ledger.refresh(deadline)
        return self._ledger.rows(queue, topic_id)

    def _make_ledger(self) -> None:
        admin = AdminClient(self._settings)
        topic = NewTopic(LEDGER_TOPIC, num_partitions=1, replication_factor=-1, config=_LEDGER_CONFIG)
        try:
            admin.create_topics([topic])[LEDGER_TOPIC].result(15)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise translate(error.args[0], LEDGER_TOPIC) from error
        until = time.monotonic() + 15
        while LEDGER_TOPIC not in self._topics(until) and time.monotonic() < until:
            time.sleep(0.05)

    # -- reading ------------------------------------------------------------------------------------------------------

    def _read(self, queue: str, spans: Iterable[_Span], deadline: float) -> Iterator[Message]:
        """Yield the records of spans that wait, span by span."""
        wanted = [span for span in spans if span.count]
        if not wanted:
            return
        with self._reading(queue) as consumer:
            for span in wanted:
                consumer.assign([TopicPartition(queue, span.waiting.partition, max(span.low, span.waiting.start))])
                yield from self._read_span(consumer, queue, span, deadline)

    def _read_span(self, consumer: Consumer, queue: str, span: _Span, deadline: float) -> Iterator[Message]:
        place = span.low
        while place < span.high:
            if self._clock.monotonic() > deadline:
                raise TimedOut("the dead letters could not be read in time", target=queue)
            for message in consumer.consume(min(500, span.high - place), _STEP_SECONDS):
                error, offset = message.error(), int(message.offset() or 0)
                if error is None:
                    place = offset + 1
                    if offset < span.high and offset not in span.waiting.gone:
                        yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    place = max(place, offset)
                else:
                    raise translate(error, queue)

    @contextmanager
    def _reading(self, queue: str) -> Iterator[Consumer]:
        try:
            consumer = Consumer(self._reader_settings(queue), logger=QuietLog())
        except KafkaException as error:
            raise translate(error.args[0], queue) from error
        try:
            yield consumer
        except KafkaException as error:
            raise translate(error.args[0], queue) from error
        finally:
            consumer.close()

    def _reader_settings(self, queue: str) -> dict[str, Any]:
        return {
            **self._settings,
            "group.id": group_of(queue),  # needed by the library; nothing is committed, nobody joins
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
            "queued.max.messages.kbytes": 16_384,
            "fetch.wait.max.ms": 100,
        }

    def _sample(
        self,
        queue: str,
        waiting: Mapping[int, _Waiting],
        bounds: Mapping[str, Sequence[int]],
        count: int,
        deadline: float,
    ) -> tuple[list[DeadMessage], bool]:
        """Return all letters within bounds and True, or some of both ends of each partition and False."""
        whole = count <= _SCANNED_IN_FULL
        spans: list[_Span] = []
        for number, (low, high) in bounds.items():
            ends = [(low, high)]
            if not whole and high - low > 2 * _SCANNED_AT_EACH_END:
                ends = [(low, low + _SCANNED_AT_EACH_END), (high - _SCANNED_AT_EACH_END, high)]
            spans += [_Span(waiting[int(number)], *it) for it in ends]
        return [read_letter(message) for message in self._read(queue, spans, deadline)], whole

    def _readers(
        self, targets: Sequence[str], topics: Mapping[str, int], deadline: float
    ) -> tuple[list[str], list[str]]:
        """Return the groups that have read the targets, and warnings where not all could be asked."""
        seconds = min(_READERS_SECONDS, self._client.remaining(deadline) / 2)
        listed = self._client.wait(self._client.list_groups(seconds), seconds).valid
        groups = [it.group_id for it in listed if not it.group_id.startswith(GROUP_PREFIX)]
        asked = [(name, number) for name in targets for number in range(min(topics[name], 50))]
        request = Request([name for name, _ in asked], [number for _, number in asked])
        calls = [self._client.committed(group, group, request) for group in groups[:_GROUPS_ASKED] if asked]
        found, missing = [], max(0, len(groups) - _GROUPS_ASKED)
        for call, result in self._client.run({0: calls}, seconds):
            if isinstance(result, BrokerError):
                missing += 1
            elif (result.offsets >= 0).any():
                found.append(call.key)
        told = [f"{missing} consumer groups could not be asked whether they read the target."] if missing else []
        return sorted(found), told


class _Origins:
    """Where messages go, and by which evidence."""

    def __init__(
        self, cluster: str, queue: str, topics: Mapping[str, int], mapped: Sequence[str], target: str | None
    ) -> None:
        self._cluster, self._queue, self._topics, self._mapped = cluster, queue, topics, mapped
        self._target = target
        self.targets: list[str] = []
        self.default: str | None = None
        self.forced = target is not None
        self.evidence: list[dict[str, Any]] = []
        self.warnings: list[str] = []
        self.blockers: list[str] = []

    def look_at(self, letters: Sequence[DeadMessage]) -> None:
        """Weigh what the letters' headers, the configuration and the name say."""
        named = Counter(letter.origin.name for letter in letters if letter.origin)
        frameworks = {it.origin.name: it.origin_detail.get("framework") for it in letters if it.origin}
        self.evidence += [
            {"origin": name, "found_by": FoundBy.HEADERS, "messages": count, "detail": frameworks[name]}
            for name, count in named.most_common()
        ]
        self.evidence += [{"origin": name, "found_by": FoundBy.CONFIGURATION} for name in self._mapped]
        by_name = strip_dead_suffix(self._queue)
        if by_name in self._topics and by_name not in named and by_name not in self._mapped:
            self.evidence.append({"origin": by_name, "found_by": FoundBy.NAME})
        if self._target is not None:
            self._take(self._target)
            self.default = self._target
            return
        silent = len(letters) - sum(named.values())
        for name in named:
            self._take(name)
        if len(self._mapped) == 1:
            self._take(self._mapped[0])
            self.default = self._mapped[0]
        elif silent and letters:
            self._tell_silent(silent, by_name if by_name in self._topics else None, bool(named))

    def _take(self, name: str) -> None:
        if name == self._queue:
            self.blockers.append("The target is the dead-letter queue itself; name another by --target.")
        elif name not in self._topics:
            told = f"The target {name} does not exist on {self._cluster}."
            (self.blockers if self._target or not self.targets else self.warnings).append(told)
        elif name not in self.targets:
            self.targets.append(name)

    def _tell_silent(self, silent: int, by_name: str | None, some_are_known: bool) -> None:
        if some_are_known:
            self.warnings.append(f"{silent} of the messages looked at do not say where they came from; they stay.")
        elif by_name is not None:
            self.blockers.append(
                f"Only the name says that these come from {by_name}, and that is not enough to send them there; "
                f"if it is right, say --target {by_name}."
            )
        else:
            self.blockers.append("Nothing says where these messages came from; name a target by --target.")


def _bounds(waiting: Sequence[_Waiting], positions: Sequence[str]) -> dict[str, list[int]]:
    """Return, by partition, from where to where a job may read."""
    bounds = {str(it.partition): [it.low, it.stable] for it in waiting if it.low < it.stable}
    if not positions:
        return bounds
    wanted: dict[str, list[int]] = {}
    for partition, offset in map(_parse_position, positions):
        wanted.setdefault(str(partition), []).append(offset)
    return {
        number: [max(low, min(wanted[number])), min(high, max(wanted[number]) + 1)]
        for number, (low, high) in bounds.items()
        if number in wanted
    }


def _parse_position(text: str) -> tuple[int, int]:
    partition, _, offset = text.partition(":")
    if not (partition.isdigit() and offset.isdigit()):
        raise BadAnswer(f"{text!r} is no position; write PARTITION:OFFSET")
    return int(partition), int(offset)


def _warn_of_readers(also: Sequence[str], failed: set[str]) -> list[str]:
    if len(also) > 1 and len(failed) != 1:
        return ["Every group that reads the target gets the messages again; which of them had failed is not known."]
    others = [group for group in also if group not in failed]
    if failed and others:
        return [f"Besides {', '.join(sorted(failed))}, which had failed, {len(others)} more groups get them again."]
    return []
