"""Kafka: the topic `order-events` keyed by order id, a consumer group a service, dead letters on `order-events.dlq`."""

import struct
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Literal

from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka import Message as Record
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from examples.event_flow.buses.base import BusAway, Handle, Message
from examples.event_flow.handling import Failure
from examples.event_flow.names import CONSUMERS, Endpoints, Names
from examples.event_flow.outcomes import Outcome
from examples.event_flow.running import Contact, Stop

PARTITIONS: Final = 6
_ATTEMPTS_HEADER: Final = "kafka_deliveryAttempt"
_DEAD_LETTER_RETENTION_MS: Final = 14 * 24 * 3600 * 1000  # longer than the 7 days of the topic itself
_LONGEST_HOLD_MS: Final = 15 * 60 * 1000
_ANSWER_SECONDS: Final = 3.0
_DELIVERY_SECONDS: Final = 8.0
_POLL_SECONDS: Final = 0.5
_BATCH: Final = 50
_COMMIT_SECONDS: Final = 1.0
_GRACE_SECONDS: Final = 2.0
_LOG_ONLY_CRITICAL: Final = 2  # syslog level; librdkafka otherwise writes a line for each failed connection attempt

_NOT_OURS_ANY_MORE: Final = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.STALE_MEMBER_EPOCH,
    }
)

Headers = list[tuple[str, str | bytes | None]]


def connection(endpoints: Endpoints) -> dict[str, str | int | float | bool]:
    """Return the settings by which every client finds the brokers, and shows who it is where that is asked for."""
    settings: dict[str, str | int | float | bool] = {
        "bootstrap.servers": endpoints.kafka,
        "log_level": _LOG_ONLY_CRITICAL,
    }
    security = endpoints.security
    if security.ca_file:
        settings |= {"security.protocol": "SSL", "ssl.ca.location": security.ca_file}
    if security.username:
        settings |= {
            "security.protocol": "SASL_SSL" if security.ca_file else "SASL_PLAINTEXT",
            "sasl.mechanism": security.mechanism,
            "sasl.username": security.username,
            "sasl.password": security.password,
        }
    return settings


def set_up(endpoints: Endpoints, names: Names) -> None:
    """Create both topics where they are missing; leave those that exist as they are.

    Raises BusAway.
    """
    admin = AdminClient(connection(endpoints))
    try:
        replicas = min(3, len(admin.list_topics(timeout=_ANSWER_SECONDS).brokers))
        in_sync = {"min.insync.replicas": str(max(1, replicas - 1))}
        kept_long = in_sync | {"retention.ms": str(_DEAD_LETTER_RETENTION_MS)}
        topics = [
            NewTopic(names.kafka_topic, PARTITIONS, replicas, config=in_sync),
            # As many partitions as the source: a dead letter keeps the number of its partition, as with Spring.
            NewTopic(names.kafka_dead_letter_topic, PARTITIONS, replicas, config=kept_long),
        ]
        for created in admin.create_topics(topics, request_timeout=_ANSWER_SECONDS).values():
            _accept(created.result, KafkaError.TOPIC_ALREADY_EXISTS)
    except KafkaException as error:
        raise BusAway(_wording(error)) from error


def keep_dead_letters(endpoints: Endpoints, names: Names, seconds: int) -> None:
    """Set how long dead letters are kept. Raises BusAway."""
    retention = ConfigEntry("retention.ms", str(seconds * 1000), incremental_operation=AlterConfigOpType.SET)
    topic = ConfigResource(ResourceType.TOPIC, names.kafka_dead_letter_topic, incremental_configs=[retention])
    admin = AdminClient(connection(endpoints))
    try:
        for altered in admin.incremental_alter_configs([topic], request_timeout=_ANSWER_SECONDS).values():
            altered.result()
    except KafkaException as error:
        raise BusAway(_wording(error)) from error


def remove(endpoints: Endpoints, names: Names) -> None:
    """Delete topics and groups. Raises BusAway, also while a group still has members."""
    admin = AdminClient(connection(endpoints))
    try:
        groups = admin.delete_consumer_groups([names.kafka_group(service) for service in CONSUMERS])
        topics = admin.delete_topics([names.kafka_topic, names.kafka_dead_letter_topic])
        for deleted in [*groups.values(), *topics.values()]:
            _accept(deleted.result, KafkaError.GROUP_ID_NOT_FOUND, KafkaError.UNKNOWN_TOPIC_OR_PART)
    except KafkaException as error:
        raise BusAway(_wording(error)) from error


def _accept(result: Callable[[], None], *codes: int) -> None:
    try:
        result()
    except KafkaException as error:
        if error.args[0].code() not in codes:
            raise


def _wording(error: KafkaException) -> str:
    return str(error.args[0].str())


def _producer(endpoints: Endpoints) -> Producer:
    return Producer(
        {
            **connection(endpoints),
            "enable.idempotence": True,  # implies acks=all, and keeps the order when a request is sent again
            "message.timeout.ms": int(_DELIVERY_SECONDS * 1000),
            # Java's partitioner, so that services in any language find an order on the same partition
            "partitioner": "murmur2_random",
        }
    )


class KafkaPublisher:
    """Publishes events to the topic, keyed by order id, so that the events of an order stay in order."""

    def __init__(self, endpoints: Endpoints, names: Names, stop: Stop, clock_error_seconds: float = 0.0) -> None:
        """Take by how much the producer's clock is ahead: Kafka believes what a producer says of the time."""
        self._topic, self._stop, self._clock_error_seconds = names.kafka_topic, stop, clock_error_seconds
        self._producer = _producer(endpoints)

    def publish(self, batch: Sequence[Message], confirmed: Callable[[Message], None]) -> None:
        """Publish, and wait for all delivery reports. Raises BusAway where one tells of a failure."""
        waiting = {message.event_id for message in batch}
        failures: list[KafkaError] = []

        def reported(message: Message, error: KafkaError | None, _: Record) -> None:
            waiting.discard(message.event_id)
            if error is None:
                confirmed(message)
            else:
                failures.append(error)

        for message in batch:
            headers: Headers = [("event_id", message.event_id.encode()), ("event_type", message.type.encode())]
            self._producer.produce(
                self._topic,
                message.body,
                message.order_id,
                headers=headers,
                timestamp=int((time.time() + self._clock_error_seconds) * 1000),
                on_delivery=partial(reported, message),
            )
        while waiting and not self._stop.overdue(_GRACE_SECONDS):
            self._producer.poll(0.1)
        if failures or waiting:
            raise BusAway(failures[0].str() if failures else "no delivery report in time")

    def rest(self) -> None:
        """Serve librdkafka's callbacks; it keeps the connection alive by itself."""
        self._producer.poll(0)

    def close(self) -> None:
        """Drop what is still in the queue: the outbox has it."""
        self._producer.purge()
        self._producer.flush(1.0)


def _missed_soon(protocol: Literal["classic", "consumer"]) -> dict[str, int]:
    """Have a member that was killed be missed after ten seconds; with the newer protocol the broker says when."""
    return {"session.timeout.ms": 10_000} if protocol == "classic" else {}


class KafkaConsumer:
    """Consumes the topic as one group, commits after handling, and writes dead letters as Spring Kafka does."""

    def __init__(
        self,
        endpoints: Endpoints,
        names: Names,
        service: str,
        protocol: Literal["classic", "consumer"],
        stop: Stop,
        contact: Contact,
    ) -> None:
        self._stop, self._contact = stop, contact
        self._group, self._dead_letter_topic = names.kafka_group(service), names.kafka_dead_letter_topic
        self._just_assigned: list[TopicPartition] = []
        self._producer = _producer(endpoints)
        self._consumer = Consumer(
            {
                **connection(endpoints),
                "group.id": self._group,
                "client.id": service,
                "group.protocol": protocol,
                **_missed_soon(protocol),
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                # The end lies behind the marker of a transaction, which is no record: where nothing but the last record
                # was committed, the marker would count as lag for ever.
                "enable.partition.eof": True,
                # A message is held while the circuit is open, and nothing polled meanwhile. An outage that is longer
                # than this costs a rebalance, and no message.
                "max.poll.interval.ms": _LONGEST_HOLD_MS,
                "error_cb": self._on_error,
            }
        )
        self._consumer.subscribe([names.kafka_topic], on_assign=self._on_assign)

    def _on_error(self, error: KafkaError) -> None:
        # librdkafka reconnects by itself; this is only for the log, since consume() stays silent meanwhile.
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._contact.lost(error.str())

    def _on_assign(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._contact.made()
        self._just_assigned = partitions

    def run(self, handle: Handle, report: Callable[[Outcome], None]) -> None:
        """Consume until the end is asked for. Raises BusAway."""
        while not self._stop.requested:
            try:
                records = self._consumer.consume(_BATCH, _POLL_SECONDS)
            except KafkaException as error:
                raise BusAway(_wording(error)) from error
            if self._just_assigned:
                self._commit_first()
            if records:
                # Committed before the next consume(), within which partitions may be given away.
                self._commit(self._handle_batch(records, handle, report))

    def _commit_first(self) -> None:
        """Commit the start of partitions on which the group never has: else nobody can tell what waits there."""
        assigned, self._just_assigned = self._just_assigned, []
        try:
            unknown = [it for it in self._consumer.committed(assigned, _ANSWER_SECONDS) if it.offset < 0]
            starts = {
                (it.topic, it.partition): self._consumer.get_watermark_offsets(it, _ANSWER_SECONDS)[0] for it in unknown
            }
        except KafkaException as error:
            raise BusAway(_wording(error)) from error
        self._commit(starts)

    def _handle_batch(
        self, records: Sequence[Record], handle: Handle, report: Callable[[Outcome], None]
    ) -> dict[tuple[str, int], int]:
        """Handle records until the end is asked for; return the offset to commit for each topic and partition."""
        positions: dict[tuple[str, int], int] = {}
        due = time.monotonic() + _COMMIT_SECONDS
        try:
            for record in records:
                if (error := record.error()) is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        positions[_topic(record), _partition(record)] = _offset(record)
                    else:
                        self._tolerate(error)
                    continue
                outcome = self._handle(record, handle)
                report(outcome)
                if outcome is Outcome.ABANDONED:
                    break
                positions[_topic(record), _partition(record)] = _offset(record) + 1
                if self._stop.requested:
                    break
                if time.monotonic() > due:  # so that a slow consumer is seen to move, and a crash repeats little
                    self._commit(positions)
                    due = time.monotonic() + _COMMIT_SECONDS
        except BusAway:
            self._commit(positions)
            raise
        return positions

    @staticmethod
    def _tolerate(error: KafkaError) -> None:
        if not error.retriable():
            raise BusAway(error.str())

    def _handle(self, record: Record, handle: Handle) -> Outcome:
        self._contact.made()
        verdict = handle(record.value() or b"", self._stop.pause)
        if isinstance(verdict, Failure):
            self._bury(record, verdict)
            return Outcome.DEAD_LETTERED
        return verdict

    def _bury(self, record: Record, failure: Failure) -> None:
        reports: list[KafkaError | None] = []
        self._producer.produce(
            self._dead_letter_topic,
            record.value(),
            record.key(),
            partition=_partition(record),
            headers=dead_letter_headers(record, self._group, failure),
            on_delivery=lambda error, _: reports.append(error),
        )
        while not reports and not self._stop.overdue(_GRACE_SECONDS):
            self._producer.poll(0.1)
        if not reports or reports[0] is not None:  # not committed, so that it is handled and buried again
            raise BusAway(f"no dead letter could be written: {reports[0] if reports else 'no delivery report in time'}")

    def _commit(self, positions: dict[tuple[str, int], int]) -> None:
        if not positions:
            return
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in positions.items()]
        try:
            errors = [done.error for done in self._consumer.commit(offsets=offsets, asynchronous=False)]
        except KafkaException as error:
            errors = [error.args[0]]
        for error_or_none in errors:
            # After a rebalance another member gets these records once more, and the event ids tell it so.
            if error_or_none is not None and error_or_none.code() not in _NOT_OURS_ANY_MORE:
                raise BusAway(f"the commit failed: {error_or_none.str()}")

    def close(self) -> None:
        """Leave the group, so that its partitions are given to others at once."""
        self._consumer.close()
        self._producer.purge()
        self._producer.flush(1.0)


def dead_letter_headers(record: Record, group: str, failure: Failure) -> Headers:
    """Return the headers of a record's dead letter, by the convention of Spring Kafka's DeadLetterPublishingRecoverer.

    Partition (int32), offset and timestamp (int64, milliseconds) and the attempts (int32) are big-endian binary, the
    rest is text. Headers of the record itself stay, headers of an earlier death are replaced.
    """
    timestamp_type, timestamp_ms = record.timestamp()
    appended = timestamp_type == TIMESTAMP_LOG_APPEND_TIME
    texts = {
        "original-topic": _topic(record),
        "original-timestamp-type": "LogAppendTime" if appended else "CreateTime",
        "original-consumer-group": group,
        "exception-fqcn": failure.class_name,
        "exception-cause-fqcn": failure.cause_class_name,
        "exception-message": failure.message,
        "exception-stacktrace": failure.stacktrace,
    }
    death: dict[str, bytes] = {f"kafka_dlt-{name}": text.encode() for name, text in texts.items() if text is not None}
    death["kafka_dlt-original-partition"] = struct.pack(">i", _partition(record))
    death["kafka_dlt-original-offset"] = struct.pack(">q", _offset(record))
    death["kafka_dlt-original-timestamp"] = struct.pack(">q", timestamp_ms)
    death[_ATTEMPTS_HEADER] = struct.pack(">i", failure.attempts)
    return [*_kept_headers(record), *death.items()]


def _kept_headers(record: Record) -> Headers:
    headers = record.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return [(name, value) for name, value in pairs if not name.startswith("kafka_dlt-") and name != _ATTEMPTS_HEADER]


def _topic(record: Record) -> str:
    return record.topic() or ""


def _partition(record: Record) -> int:
    partition = record.partition()
    return -1 if partition is None else partition


def _offset(record: Record) -> int:
    offset = record.offset()
    return -1 if offset is None else offset
