"""The transactions of a redrive: opened, committed together with the group's offsets, given up.

The transactional id belongs to the dead-letter topic: whoever opens it fences everybody who had it before. After an
error inside of a transaction nothing is made good here; the next one's first call ends it, either way.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from monitor.brokers.kafka.addressing import Ready
from monitor.brokers.kafka.quiet import QuietLog
from monitor.brokers.kafka.translation import translate
from monitor.clock import Clock
from monitor.errors import LeaseLost, TimedOut

Report = Callable[[Any, Any], None]
"""Is told of the delivery of a message: the error, if any, and where it landed."""

FENCED = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED})

_TO_ABORT_SECONDS = 10.0
_CALL_SECONDS = 5.0
_GRACE_SECONDS = 2.0
_INTRODUCED = 10  # topics; more than a dead-letter topic has origins as a rule
_BATCH_OVERHEAD = 61  # bytes before the first record of a batch (format v2)


class Transactor:
    """One transactional producer. One thread uses it; its calls raise KafkaException, and TimedOut."""

    def __init__(self, settings: Mapping[str, Any], topic: str, id_: str, smallest: int, clock: Clock) -> None:
        self._topic, self._clock = topic, clock
        self.producer = Producer(
            {
                **sending_settings(settings, smallest),
                "transactional.id": id_,
                "transaction.timeout.ms": 60_000,
                "queue.buffering.max.messages": 1_000_000,
            },
            logger=QuietLog(),
        )
        self.is_broken = self.is_open = False

    def fence(self, topics: Sequence[str], deadline: float) -> None:
        """Shut out whoever had the id before; `topics` are those that will be written to."""
        introduce(self.producer, topics, deadline - self._clock.monotonic())
        while True:
            try:
                self.producer.init_transactions(max(0.5, min(_CALL_SECONDS, self._left(deadline))))
            except KafkaException as error:
                # While the broker still aborts the transaction of whoever had this id before, it asks to come back.
                if not error.args[0].retriable() or self._left(deadline) <= 0:
                    raise
            else:
                return

    def begin(self) -> None:
        """Begin a transaction, unless one is open."""
        if not self.is_open:
            self.producer.begin_transaction()
            self.is_open = True

    def produce(self, it: Ready, report: Report) -> None:
        """Send a message within the transaction, waiting for room in the library's queue."""
        put(self.producer, it, report)

    def commit(self, offsets: list[TopicPartition], consumer: Consumer, deadline: float) -> None:
        """Commit what was sent together with the offsets of the consumer's group."""
        group = consumer.consumer_group_metadata()
        producer = self.producer
        self._retry(lambda seconds: producer.send_offsets_to_transaction(offsets, group, seconds), deadline)
        self._retry(producer.commit_transaction, deadline)
        self.is_open = False

    def abort(self) -> None:
        """Take everything back that was sent in the transaction."""
        self.producer.abort_transaction(_TO_ABORT_SECONDS)
        self.is_open = False

    def _retry(self, call: Callable[[float], object], deadline: float) -> None:
        while True:
            try:
                self._call_aside(call, max(0.5, min(_CALL_SECONDS, self._left(deadline))))
            except KafkaException as error:
                if not error.args[0].retriable() or self._left(deadline) <= 0:
                    raise
            else:
                return

    def _call_aside(self, call: Callable[[float], object], seconds: float) -> None:
        """Call the library, and leave the call behind when it takes longer than it was told to.

        After a restart of the group's coordinator `send_offsets_to_transaction` never comes back, whatever its timeout.
        """
        done: Future[object] = Future()

        def run() -> None:
            try:
                done.set_result(call(seconds))
            except KafkaException as error:
                done.set_exception(error)

        threading.Thread(target=run, name="kafka-transaction", daemon=True).start()
        try:
            done.result(seconds + _GRACE_SECONDS)
        except TimeoutError:
            self.is_broken = True
            raise TimedOut("the transaction does not come to an end", target=self._topic) from None

    def _left(self, deadline: float) -> float:
        return deadline - self._clock.monotonic()


def sending_settings(settings: Mapping[str, Any], smallest: int) -> dict[str, Any]:
    """Return a producer's settings; `smallest` is the least that any of its topics takes at once, in bytes."""
    return {
        **settings,
        "message.max.bytes": 1_000_000_000,  # the broker's own limit is the one that counts
        "batch.size": max(1_000, min(1_000_000, smallest - _BATCH_OVERHEAD)),
        "partitioner": "murmur2_random",  # as the Java client does; the library's own default is another
        "linger.ms": 5,
    }


def put(producer: Producer, it: Ready, report: Report) -> None:
    """Hand a message over to be sent, waiting for room in the library's queue. Raises KafkaException."""
    while True:
        try:
            producer.produce(it.topic, it.value, it.key, it.partition, report, headers=it.headers)  # type: ignore[arg-type]
        except BufferError:
            producer.poll(0.05)
        else:
            return


def introduce(handle: Producer | Consumer, topics: Sequence[str], seconds: float) -> None:
    """Have the library connect and learn of topics before it is asked for anything else. Raises KafkaException.

    A call that comes before the first connection, or that is about topics unknown to it, it takes up again only by
    timers of half a second and of one second.
    """
    for name in topics[:_INTRODUCED]:
        handle.list_topics(name, max(0.5, min(_CALL_SECONDS, seconds)))


@contextmanager
def translated(target: str) -> Iterator[None]:
    """Raise BrokerErrors, LeaseLost among them, in place of the library's."""
    try:
        yield
    except KafkaException as error:
        fault = error.args[0]
        if fault.code() in FENCED:
            raise LeaseLost(f"{target}: another monitor redrives it, or the broker gave this one up") from error
        raise translate(fault, target) from error
