"""Where Kafka messages go, and what is written on them. Messages are stand-ins: only a broker makes real ones."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from confluent_kafka import Message

from monitor.brokers.kafka.addressing import Addresser, Ready, Route, Target, Unsent

Headers = list[tuple[str, bytes | None]]
ORDERS, SMALL = Target("orders", 4, 1_000_000), Target("small", 2, 1_000)
FROM_ORDERS = ("kafka_dlt-original-topic", b"orders")


@dataclass
class Record:
    headers: Headers = field(default_factory=list)
    value: bytes | None = b"v"

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return 17

    def timestamp(self) -> tuple[int, int]:
        return (1, 1_700_000_000_000)


def send(record: Record, strip: bool = False, **route: Any) -> Ready | Unsent:
    values = {"targets": {"orders": ORDERS, "small": SMALL}, "default": None, "forced": False, "partitions": 4, **route}
    addresser = Addresser(Route(**values), "job", strip_failure_headers=strip)
    return addresser.address(cast(Message, record), b"k", record.value, record.headers)


def sent(record: Record, **options: Any) -> Ready:
    ready = send(record, **options)
    assert isinstance(ready, Ready)
    return ready


def test_a_message_goes_where_its_own_headers_say() -> None:
    ready = sent(Record([FROM_ORDERS, ("kafka_dlt-original-partition", (1).to_bytes(4, "big"))]))
    assert (ready.topic, ready.partition, ready.key, ready.value) == ("orders", 1, b"k", b"v")


def test_of_connects_appended_headers_the_last_counts() -> None:
    headers: Headers = [("__connect.errors.topic", b"small"), ("__connect.errors.topic", b"orders")]
    assert sent(Record(headers)).topic == "orders"


@pytest.mark.parametrize(
    ("told", "partitions", "expected"),
    [(b"\0\0\0\2", 4, 2), (b"\0\0\0\x09", 4, 3), (None, 4, 3), (None, 5, -1), (b"\0\0\0\x09", 5, -1)],
)
def test_the_partition_is_the_told_one_else_the_same_number_else_by_key(
    told: bytes | None, partitions: int, expected: int
) -> None:
    headers: Headers = [FROM_ORDERS, *([("kafka_dlt-original-partition", told)] if told else [])]
    assert sent(Record(headers), partitions=partitions).partition == expected


def test_nobody_is_sent_where_the_plan_does_not_say() -> None:
    unknown = send(Record([("kafka_dlt-original-topic", b"elsewhere")]), default="orders")
    assert unknown == Unsent("it comes from elsewhere, which the plan does not name as a target", False)
    assert send(Record()) == Unsent("nothing says where it came from", False)
    assert sent(Record(), default="orders").topic == "orders"
    assert sent(Record([FROM_ORDERS]), default="small", forced=True).topic == "small"


def test_stamps_come_last_and_replace_those_of_an_earlier_redrive() -> None:
    own: Headers = [("a", b"1"), FROM_ORDERS, ("a", None)]
    old: Headers = [("x-redrive-id", b"old"), ("x-redrive-job", b"old"), ("x-redrive-count", b"2")]
    assert sent(Record([*own, *old])).headers == [
        *own,
        ("x-redrive-id", b"job:3:17"),
        ("x-redrive-job", b"job"),
        ("x-redrive-count", b"3"),
        ("x-original-timestamp", b"1700000000000"),
    ]


def test_an_original_timestamp_that_is_there_stays_the_only_one() -> None:
    headers = sent(Record([FROM_ORDERS, ("x-original-timestamp", b"framework's")])).headers
    assert [value for name, value in headers if name == "x-original-timestamp"] == [b"framework's"]


def test_failure_headers_go_only_when_that_is_asked_for() -> None:
    headers: Headers = [("mine", b"1"), FROM_ORDERS, ("kafka_dlt-exception-message", b"no"), ("attempts", b"mine too")]
    assert [name for name, _ in sent(Record(headers)).headers][:4] == [name for name, _ in headers]
    assert [name for name, _ in sent(Record(headers), strip=True).headers][:2] == ["mine", "attempts"]


def test_what_the_target_would_refuse_is_not_sent() -> None:
    headers: Headers = [("kafka_dlt-original-topic", b"small")]
    assert isinstance(send(Record(headers, b"x" * 300)), Ready)
    too_large = send(Record(headers, b"x" * 990))
    assert too_large == Unsent("it is too large for small, which takes 1000 bytes", True)
    assert isinstance(send(Record([*headers, ("big", b"y" * 990)])), Unsent)
