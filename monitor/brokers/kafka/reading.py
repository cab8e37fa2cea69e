"""Reads letters where they lie: partitions are assigned by hand and nothing is committed, so that nothing changes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from monitor.brokers.kafka.ledger import group_of
from monitor.brokers.kafka.letters import read_letter
from monitor.brokers.kafka.quiet import QuietLog
from monitor.brokers.kafka.translation import translate
from monitor.brokers.kafka.waiting import Span, Waiting
from monitor.clock import Clock
from monitor.errors import TimedOut
from monitor.letters import DeadMessage, Page

_STEP_SECONDS = 0.1
_SCANNED_IN_FULL = 5_000
_SCANNED_AT_EACH_END = 100


class LetterReader:
    """Reads with a consumer for each call. Thread-safe."""

    def __init__(self, settings: Mapping[str, Any], clock: Clock) -> None:
        self._settings, self._clock = settings, clock

    def read(self, queue: str, spans: Iterable[Span], deadline: float) -> Iterator[Message]:
        """Yield the records of spans that wait, span by span."""
        wanted = [span for span in spans if span.count]
        if not wanted:
            return
        with self._reading(queue) as consumer:
            for span in wanted:
                consumer.assign([TopicPartition(queue, span.waiting.partition, max(span.low, span.waiting.start))])
                yield from self._read_span(consumer, queue, span, deadline)

    def page(self, queue: str, spans: Sequence[Span], limit: int, deadline: float) -> Page:
        """Return the first letters of spans, and where the next page begins."""
        messages: list[DeadMessage] = []
        for message in self.read(queue, spans, deadline):
            if len(messages) == limit:
                return Page(tuple(messages), next=f"{message.partition()}:{message.offset()}")
            messages.append(read_letter(message))
        return Page(tuple(messages))

    def sample(
        self,
        queue: str,
        waiting: Mapping[int, Waiting],
        bounds: Mapping[str, Sequence[int]],
        count: int,
        deadline: float,
    ) -> tuple[list[DeadMessage], bool]:
        """Return all letters within bounds and True, or some of both ends of each partition and False."""
        whole = count <= _SCANNED_IN_FULL
        spans: list[Span] = []
        for number, (low, high) in bounds.items():
            ends = [(low, high)]
            if not whole and high - low > 2 * _SCANNED_AT_EACH_END:
                ends = [(low, low + _SCANNED_AT_EACH_END), (high - _SCANNED_AT_EACH_END, high)]
            spans += [Span(waiting[int(number)], *it) for it in ends]
        return [read_letter(message) for message in self.read(queue, spans, deadline)], whole

    def _read_span(self, consumer: Consumer, queue: str, span: Span, deadline: float) -> Iterator[Message]:
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
            consumer = Consumer(browsing_settings(self._settings, queue), logger=QuietLog())
        except KafkaException as error:
            raise translate(error.args[0], queue) from error
        try:
            yield consumer
        except KafkaException as error:
            raise translate(error.args[0], queue) from error
        finally:
            consumer.close()


def browsing_settings(settings: Mapping[str, Any], queue: str) -> dict[str, Any]:
    """Return the configuration of a consumer that reads a topic up to its last stable offset and commits nothing."""
    return {
        **settings,
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
