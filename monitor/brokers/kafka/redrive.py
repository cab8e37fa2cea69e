"""The dead letters of a Kafka cluster: looking at them, planning, and opening a job."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from monitor.brokers.kafka.addressing import Route, Target
from monitor.brokers.kafka.archiving import ArchiveMover, LedgerWriter, RestoreMover
from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.elsewhere import Destination, FarMover
from monitor.brokers.kafka.intervals import Intervals
from monitor.brokers.kafka.ledger import Rows
from monitor.brokers.kafka.mover import DeadTopic, KafkaMover
from monitor.brokers.kafka.quiet import QuietLog
from monitor.brokers.kafka.reading import LetterReader, browsing_settings
from monitor.brokers.kafka.rights import TopicsToRedrive, check_rights
from monitor.brokers.kafka.settings import library_settings
from monitor.brokers.kafka.surveying import Surveyor
from monitor.brokers.kafka.topics import Topics
from monitor.brokers.kafka.transactor import translated
from monitor.brokers.kafka.translation import translate
from monitor.brokers.kafka.waiting import Span, Waiting, parse_position
from monitor.clock import Clock
from monitor.config import DeadLetterMapping, KafkaCluster, origins_by_place
from monitor.errors import BadAnswer, BrokerError, TimedOut, Unreachable
from monitor.letters import (
    LEDGER_TOPIC,
    Action,
    Choose,
    DeadMessage,
    Guarantee,
    Job,
    Mover,
    Page,
    Peers,
    PlanRequest,
    RedriveBus,
    Survey,
)
from monitor.model import Finding


class KafkaRedriveBus:
    """See `letters.RedriveBus`."""

    def __init__(self, cluster: KafkaCluster, dead_letters: Sequence[DeadLetterMapping], clock: Clock) -> None:
        self._watched = cluster
        if cluster.redrive is not None and cluster.redrive.security is not None:
            cluster = cluster.model_copy(update={"security": cluster.redrive.security})
        self._cluster, self._clock = cluster, clock
        self._mapped = {topic: it for (topic, *_), it in origins_by_place(cluster.name, dead_letters).items()}
        self._settings = library_settings(cluster)
        self._client = KafkaClient(cluster, clock.monotonic)
        self._topics = Topics(self._client, self._settings, clock)
        self._reader = LetterReader(self._settings, clock)
        self._surveyor = Surveyor(cluster.name, self._mapped, self._client, self._topics, self._reader)
        self._peers: Peers = _nobody

    def meet(self, peers: Peers) -> None:
        """Take what gives the redrive side of other clusters."""
        self._peers = peers

    def browse(self, queue: str, limit: int, cursor: str | None, deadline: float) -> Page:
        """Return what waits, partition by partition in the order of offsets."""
        waiting = self._topics.waiting(queue, deadline)
        places = {it.partition: it.low for it in waiting}
        if cursor is not None:
            partition, offset = parse_position(cursor)
            places = {number: low for number, low in places.items() if number >= partition}
            if partition in places:
                places[partition] = max(places[partition], offset)
        by_partition = {it.partition: it for it in waiting}
        spans = [Span(by_partition[number], low, by_partition[number].stable) for number, low in sorted(places.items())]
        return self._reader.page(queue, spans, limit, deadline)

    def browse_archive(self, queue: str, archive: str, limit: int, cursor: str | None, deadline: float) -> Page:
        """Return what the ledger has of an archive, as far as the topic still holds it."""
        waiting = {it.partition: replace(it, gone=Intervals()) for it in self._topics.waiting(queue, deadline)}
        marks = self._topics.marks(archive, queue, deadline)
        begin = parse_position(cursor) if cursor is not None else (0, 0)
        spans = [
            Span(waiting[number], max(first, waiting[number].start, begin[1] if number == begin[0] else 0), until)
            for number, rows in sorted(marks.items())
            if number >= begin[0]
            for first, until in sorted(rows.items())
        ]
        return self._reader.page(queue, [span for span in spans if span.low < span.high], limit, deadline)

    def survey(self, queue: str, request: PlanRequest, deadline: float) -> Survey:
        """Find out what a plan has to say; what is read for it is not changed by that.

        A target is a topic of this cluster, or `CLUSTER/TOPIC`. Raises ReadOnly where nothing may be sent to that one.
        """
        cluster, _, topic = (request.target or "").rpartition("/")
        request = replace(request, target=topic or None)
        if cluster in ("", self._cluster.name):
            return self._surveyor.survey(queue, request, deadline)
        try:
            there = self._peer(cluster)
        except BadAnswer as error:
            return _survey_nowhere(str(error))
        return self._surveyor.survey_elsewhere(queue, request, there._surveyor, deadline)

    def survey_archive(self, queue: str, archive: str, deadline: float) -> Survey:
        """Find out how much of an archive the ledger has and the topic still holds."""
        return self._surveyor.survey_archive(queue, archive, deadline)

    def count_selected(
        self, queue: str, bounds: Mapping[str, Any], selected: Callable[[DeadMessage], bool], deadline: float
    ) -> tuple[int, bool, Sequence[DeadMessage]]:
        """Read what is within the bounds and count, as far as the time allows; the rest is taken for selected."""
        return self._surveyor.count_selected(queue, bounds, selected, deadline)

    def open(self, job: Job, choose: Choose) -> Mover:
        """Connect for a job. Raises BrokerError, also when a target is not there any more."""
        deadline = self._clock.monotonic() + 30.0
        cluster = job.bounds.get("cluster")
        there = self if cluster is None else self._peer(cluster)
        topics = self._topics.partitions(deadline)
        if job.queue not in topics:
            raise BadAnswer("the topic does not exist any more", target=job.queue)
        topics_there = topics if cluster is None else there._topics.partitions(deadline)
        targets = there._find_targets(job.bounds.get("targets", ()), topics_there, deadline)
        if LEDGER_TOPIC not in topics:
            self._topics.make_ledger()
        waiting = self._topics.waiting(job.queue, deadline)
        topic_id = self._topics.topic_id(job.queue, deadline)
        if job.request.action != Action.REDRIVE:
            return self._open_archiving(job, choose, waiting, topic_id)
        starts = {it.partition: it.start for it in waiting}
        dead = DeadTopic(self._settings, topic_id, starts, partial(self._topics.rows, job.queue, topic_id))
        route = Route(targets, job.bounds["default"], job.bounds["forced"], topics[job.queue])
        if cluster is None:
            return KafkaMover(dead, job, choose, route, self._clock)
        destination = Destination(cluster, there._settings, partial(self._check_peer, cluster, there))
        return FarMover(dead, job, choose, route, self._clock, destination)

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
        known = TopicsToRedrive.among(topics, self._cluster.topics, self._mapped)
        return check_rights(self._client, self._settings, known, deadline)

    def purge(self, queue: str, deadline: float) -> int:
        """Delete the records of a topic up to its last stable offset, and return how many of them waited."""
        waiting = self._topics.waiting(queue, deadline)
        ends = [TopicPartition(queue, it.partition, it.stable) for it in waiting]
        try:
            admin = AdminClient(self._settings)  # held: without it the calls never come to an end
            for call in admin.delete_records(ends).values():
                call.result(max(1.0, self._client.remaining(deadline)))
        except KafkaException as error:
            raise translate(error.args[0], queue) from error
        except TimeoutError as error:
            raise TimedOut("the records were not deleted in time", target=queue) from error
        return sum(it.count(it.low, it.stable) for it in waiting)

    def close(self) -> None:
        """Let go of all connections."""
        self._client.close()
        self._topics.close()

    def _find_targets(self, names: Sequence[str], topics: Mapping[str, int], deadline: float) -> dict[str, Target]:
        """Return which of the topics are to be sent to. Raises BadAnswer when one is not there any more."""
        if not names:
            return {}
        for name in names:
            # A send to a topic that is not there could make the broker create it.
            if name not in topics:
                raise BadAnswer("the topic does not exist any more", target=name)
        limits = self._topics.largest_messages(names, deadline)
        return {name: Target(name, topics[name], limits[name]) for name in names}

    def _peer(self, cluster: str) -> "KafkaRedriveBus":
        """Return the redrive side of another cluster. Raises BadAnswer, and ReadOnly where it may not be sent to."""
        peer = self._peers(cluster)
        if not isinstance(peer, KafkaRedriveBus):
            raise BadAnswer("it is no Kafka cluster, and messages of Kafka can go to no other", target=cluster)
        return peer

    def _check_peer(self, cluster: str, peer: "KafkaRedriveBus") -> None:
        if self._peers(cluster) is not peer:
            raise Unreachable("its configuration has changed; the job goes on by the new one", target=cluster)

    def _open_archiving(self, job: Job, choose: Choose, waiting: Sequence[Waiting], topic_id: str) -> Mover:
        def read(name: str, deadline: float) -> Rows:
            return self._topics.rows(name, topic_id, deadline)

        with translated(job.queue), ExitStack() as opened:
            writer = LedgerWriter(self._settings, job.queue, topic_id, job.id)
            opened.callback(writer.close)
            mover: Mover
            if job.request.action == Action.RESTORE:
                mover = RestoreMover(writer, job, read, {it.partition: it.start for it in waiting})
            else:
                consumer = Consumer(browsing_settings(self._settings, job.queue), logger=QuietLog())
                mover = ArchiveMover(consumer, writer, job, choose, read, self._clock)
            opened.pop_all()
            return mover


def _nobody(cluster: str) -> RedriveBus:
    raise BadAnswer("no other cluster is known here", target=cluster)


def _survey_nowhere(why: str) -> Survey:
    return Survey(
        0, True, {}, None, Guarantee.AT_LEAST_ONCE, 0, blockers=(f"The target is on no cluster that is known: {why}.",)
    )
