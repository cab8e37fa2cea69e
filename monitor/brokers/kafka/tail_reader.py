"""Reads the last offsets of partitions, to see which of them hold a record."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from monitor.brokers.kafka.admin import close_aside
from monitor.brokers.kafka.quiet import QuietLog
from monitor.brokers.kafka.reading import browsing_settings
from monitor.brokers.kafka.tails import MOST_RECORDS, Tail
from monitor.brokers.kafka.translation import translate
from monitor.clock import Clock
from monitor.errors import BadAnswer, BrokerError, TimedOut

_BATCH = 1000
_STEP_SECONDS = 0.05
_LONGEST_ANSWER_BYTES = 64 * 1024

Found = list[int] | BrokerError


class TailReader:
    """Reads with a consumer for each call: most cycles need none. `settings` are librdkafka's."""

    def __init__(self, settings: Callable[[], Mapping[str, Any]], clock: Clock) -> None:
        self._settings, self._clock = settings, clock

    def read(self, tails: Sequence[Tail], seconds: float) -> Sequence[Found]:
        """Return the offsets of the records in each tail, no more than one above `MOST_RECORDS`, or why not."""
        deadline = self._clock.monotonic() + seconds
        reading = _Reading(tails)
        try:
            consumer = Consumer(_settings(self._settings(), tails[0].group), logger=QuietLog())
        except KafkaException as error:
            return [translate(error.args[0])] * len(tails)
        try:
            consumer.assign([TopicPartition(tail.topic, tail.partition, tail.start) for tail in tails])
            while reading.open and self._clock.monotonic() < deadline:
                for message in consumer.consume(_BATCH, _STEP_SECONDS):
                    if reading.take(message):
                        # What is read to its end is not to be asked about again and again meanwhile.
                        consumer.incremental_unassign([TopicPartition(message.topic() or "", message.partition() or 0)])
        except KafkaException as error:
            return reading.end(translate(error.args[0]))
        finally:
            close_aside(consumer)
        return reading.end(TimedOut("the records could not be read in time"))


class _Reading:
    """What has come of each tail. `open` are those that have not been read to their end."""

    def __init__(self, tails: Sequence[Tail]) -> None:
        self.open = {(tail.topic, tail.partition): tail for tail in tails}
        self._found: dict[tuple[str, int], Found] = {}
        self._records: dict[tuple[str, int], list[int]] = {key: [] for key in self.open}

    def take(self, message: Message) -> bool:
        """Take a message or an error, and say whether it ends the reading of its partition."""
        key = message.topic() or "", message.partition() or 0
        tail = self.open.get(key)
        if tail is None:
            return False
        found = _judge(message, tail, self._records[key])
        if found is not None:
            self._found[key] = found
            del self.open[key]
        return found is not None

    def end(self, error: BrokerError) -> Sequence[Found]:
        """Return the answers in the order of the tails, for what is still open the error."""
        return [self._found.get(key, error) for key in self._records]


def _judge(message: Message, tail: Tail, records: list[int]) -> Found | None:
    """Return what a tail holds, as soon as a message settles it; the message is added to its records."""
    error, offset = message.error(), int(message.offset() or 0)
    if error is None:
        if offset < tail.end:
            records.append(offset)
        return records if offset >= tail.end - 1 or len(records) > MOST_RECORDS else None
    if error.code() != KafkaError._PARTITION_EOF:
        return translate(error)
    # The end, as readers of committed data see it, lies beyond the markers, which are no messages.
    return records if offset >= tail.end else BadAnswer("the log ends before the end that was told")


def _settings(settings: Mapping[str, Any], group: str) -> dict[str, Any]:
    return {
        **browsing_settings(settings, ""),
        # One that may be described; nothing else is done with it: it gets no member and no offset.
        "group.id": group,
        "auto.offset.reset": "error",  # a log that was cut must not be read from elsewhere
        "max.partition.fetch.bytes": _LONGEST_ANSWER_BYTES,
        "queued.min.messages": 2 * MOST_RECORDS,
        "fetch.wait.max.ms": 20,  # that the end is reached is told only after such a wait
    }
