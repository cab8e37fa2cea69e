"""The library's admin client with what it lacks, and its answers as they are told here."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    OFFSET_INVALID,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from monitor.brokers.kafka.translation import translate
from monitor.errors import BrokerError, TimedOut, Unreachable

R = TypeVar("R")

EARLIEST, LATEST = OFFSET_BEGINNING, OFFSET_END
"""What is asked of a partition: its first offset, or its end. A time in ms asks for the first record from then on."""
NO_SUCH_RECORD = -1
"""The offset that answers a time that is younger than every record."""


@dataclass(frozen=True, slots=True)
class Offsets:
    """What a leader said about partitions, in the order asked: offsets, and the timestamps of these records (ms).

    `errors` holds, by position, why an offset is not known. -1 in answer to a time says that no record is that young,
    and in place of a timestamp that there is none.
    """

    offsets: list[int]
    timestamps: list[int]
    errors: dict[int, BrokerError]


class Admin(AdminClient):
    """The library's client, with two calls taken below its Python layer.

    That layer makes a future, with a lock, for each single partition and looks every one of them over: in a large
    cluster a third of a cycle's work, and the futures of a request resolve together anyway. Here a request has one.
    """

    def start_list_offsets(self, asked: list[TopicPartition], isolation: IsolationLevel, seconds: float) -> Future[Any]:
        """Ask for offsets; `asked` carries in `offset` what is wanted. Brings a dict of infos or errors."""
        future = self._create_future()
        below: Any = super(AdminClient, self)  # the stubs leave this call out
        below.list_offsets(asked, future, isolation_level_value=isolation.value, request_timeout=seconds)
        return future

    def start_describe(self, groups: list[str], seconds: float) -> Future[Any]:
        """Ask what groups are. Brings a list of descriptions or errors, in order."""
        future = self._create_future()
        super(AdminClient, self).describe_consumer_groups(groups, future, request_timeout=seconds)
        return future

    def list_described_groups(self, timeout: float) -> list[Any]:
        """List groups of every kind; blocks."""
        below: Any = super(AdminClient, self)  # above it, the same call warns that it is an old one
        listed: list[Any] = below.list_groups(timeout=timeout)
        return listed


def start_aside(call: Callable[..., R], seconds: float) -> Future[R]:
    """Make a call that blocks in a thread of its own, which is left behind when nobody waits for it any more."""
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(call(timeout=seconds))
        except KafkaException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="kafka-metadata", daemon=True).start()
    return future


def close_aside(consumer: Consumer) -> None:
    """Let go of a consumer, without waiting: a broker that hangs may hold up its end."""
    threading.Thread(target=consumer.close, name="kafka-close", daemon=True).start()


def read_descriptions(results: list[Any]) -> list[Any] | BrokerError:
    """Return descriptions and KafkaErrors of groups in order, or why none of them came."""
    errors = [translate(result) for result in results if isinstance(result, KafkaError)]
    hung = [error for error in errors if isinstance(error, TimedOut | Unreachable)]
    return hung[0] if len(hung) == len(results) else results


def read_offsets(asked: Sequence[TopicPartition], found: Mapping[TopicPartition, Any]) -> Offsets | BrokerError:
    """Return what a leader answered in the order asked, or why it did not."""
    infos = [found[partition] for partition in asked]
    answer = Offsets([], [], {})
    for position, info in enumerate(infos):
        if isinstance(info, KafkaError):
            answer.errors[position] = translate(info)
            answer.offsets.append(OFFSET_INVALID)
            answer.timestamps.append(NO_SUCH_RECORD)
            continue
        if info.offset < NO_SUCH_RECORD:
            # A leader that hangs makes the library's call succeed, with this offset, when the timeout is over.
            answer.errors[position] = TimedOut("the leader did not answer in time")
        answer.offsets.append(info.offset)
        answer.timestamps.append(info.timestamp)
    hung = [error for error in answer.errors.values() if isinstance(error, TimedOut)]
    return hung[0] if len(hung) == len(infos) else answer
