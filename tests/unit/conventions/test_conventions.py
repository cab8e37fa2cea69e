import struct

import pytest

from monitor.conventions import CONVENTIONS, Trace, Value, failure_headers, read_trace

READ: list[tuple[str, list[tuple[str, Value]], Trace]] = [
    (
        "Spring Kafka, numbers as Java writes them, the cause before its wrapper",
        [
            ("kafka_dlt-original-topic", b"orders"),
            ("kafka_dlt-original-partition", struct.pack(">i", 3)),
            ("kafka_dlt-original-offset", struct.pack(">q", 12_345)),
            ("kafka_dlt-original-consumer-group", b"billing"),
            ("kafka_dlt-exception-fqcn", b"o.s.k.ListenerExecutionFailedException"),
            ("kafka_dlt-exception-cause-fqcn", b"java.lang.IllegalStateException"),
            ("kafka_dlt-exception-message", b"no"),
            ("retry_topic-attempts", struct.pack(">i", 4)),
        ],
        Trace(
            "Spring Kafka",
            "orders",
            {"partition": 3, "offset": 12_345, "group": "billing"},
            "java.lang.IllegalStateException",
            "no",
            attempts=4,
        ),
    ),
    (
        "Kafka Connect appends: the last counts",
        [
            ("__connect.errors.topic", b"old"),
            ("__connect.errors.topic", b"new"),
            ("__connect.errors.partition", b"7"),
            ("__connect.errors.exception.class.name", b"E"),
        ],
        Trace("Kafka Connect", "new", {"partition": 7}, "E"),
    ),
    (
        "MassTransit names an address",
        [
            ("MT-Fault-InputAddress", "rabbitmq://broker/vhost/orders%20in?durable=true"),
            ("MT-Fault-ExceptionType", "System.Exception"),
            ("MT-Fault-Timestamp", "2026-01-02T03:04:05Z"),
        ],
        Trace("MassTransit", "orders in", {}, "System.Exception", failed_at=1_767_323_045.0),
    ),
    (
        "NServiceBus names queue@machine and has a time format of its own",
        [
            ("NServiceBus.FailedQ", "billing@host"),
            ("NServiceBus.TimeOfFailure", "2026-01-02 03:04:05:000000 Z"),
        ],
        Trace("NServiceBus", "billing", failed_at=1_767_323_045.0),
    ),
    ("Rebus", [("rbs2-source-queue", "in"), ("rbs2-error-details", "boom")], Trace("Rebus", "in", message="boom")),
    (
        "Spring AMQP does not know the queue",
        [("x-original-exchange", "orders"), ("x-original-routingKey", "eu"), ("x-exception-message", "no")],
        Trace("Spring AMQP", "", {"exchange": "orders", "routing_key": "eu"}, message="no"),
    ),
    ("Watermill", [("topic_poisoned", b"t"), ("reason_poisoned", b"r")], Trace("Watermill", "t", message="r")),
    ("nobody's", [("attempts", 3), ("content-type", "json")], Trace()),
]


@pytest.mark.parametrize(("headers", "trace"), [it[1:] for it in READ], ids=[it[0] for it in READ])
def test_headers_tell_what_their_framework_means(headers: list[tuple[str, Value]], trace: Trace) -> None:
    assert read_trace(headers) == trace


def test_every_framework_is_told_by_each_of_its_marks() -> None:
    for convention in CONVENTIONS:
        for mark in convention.marks:
            assert read_trace([(mark, b"1")]).framework in {it.framework for it in CONVENTIONS}


def test_names_in_another_case_are_the_same() -> None:
    assert read_trace([("mt-fault-inputaddress", "queue:in")]).origin == "in"


def test_only_the_failure_headers_of_frameworks_that_left_their_mark_go() -> None:
    mine = ["attempts", "trace-id"]
    assert failure_headers(mine) == frozenset()
    assert failure_headers([*mine, "original-destination"]) == {"attempts", "original-destination"}


@pytest.mark.parametrize("hostile", [b"\xff\xfe", b"", None, True, b"9" * 40, "x" * 100_000])
def test_hostile_values_are_read_without_harm(hostile: Value) -> None:
    headers: list[tuple[str, Value]] = [("x-original-topic", hostile), ("x-original-partition", hostile)]
    assert len(read_trace([*headers, ("x-attempts", hostile)]).origin) <= 65_536
