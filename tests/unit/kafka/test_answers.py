"""What the library answers about the offsets of partitions, recorded: a hung leader makes its call succeed."""

from types import SimpleNamespace
from typing import Any

from confluent_kafka import OFFSET_INVALID, KafkaError, TopicPartition

from monitor.brokers.kafka.admin import Offsets, read_offsets
from monitor.errors import TimedOut

HUNG = SimpleNamespace(offset=OFFSET_INVALID, timestamp=-1)  # as confluent-kafka 2.16 gives it when the timeout is over
ASKED = [TopicPartition("orders", number) for number in range(3)]


def read(*infos: Any) -> Offsets | Exception:
    return read_offsets(ASKED, dict(zip(ASKED, infos, strict=True)))


def told(offset: int) -> Any:
    return SimpleNamespace(offset=offset, timestamp=1_700_000_000_000)


def test_an_offset_that_a_hung_leader_leaves_unset_is_an_error_and_no_number() -> None:
    answer = read(told(7), HUNG, KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
    assert isinstance(answer, Offsets)
    assert answer.offsets[0] == 7
    assert {position: type(error) for position, error in answer.errors.items()}[1] is TimedOut
    assert sorted(answer.errors) == [1, 2]
    assert all(offset < 0 for offset in answer.offsets[1:])


def test_a_leader_that_answered_for_no_partition_at_all_is_hung() -> None:
    assert isinstance(read(HUNG, HUNG, HUNG), TimedOut)


def test_no_record_that_young_is_an_answer() -> None:
    answer = read(told(-1), told(3), told(4))
    assert isinstance(answer, Offsets)
    assert (answer.errors, list(answer.offsets)) == ({}, [-1, 3, 4])
