"""Brokers that hang: a cluster of three is frozen, one at first, then all."""

import threading
import time
from collections.abc import Iterator

import pytest

from monitor.errors import BrokerError, TimedOut, Unreachable
from stack.control import Stack
from stack.state import Options
from tests.integration.kafka.playground import Playground, Watcher, wait_for

LAG = "kafka_consumer_group_lag_messages"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("three"), Options(kafka_brokers=3, parts=("kafka",)))
    stack.start()
    yield stack
    stack.stop()


@pytest.fixture(scope="module")
def kafka(stack: Stack) -> Playground:
    return Playground(stack.endpoints.kafka)


@pytest.fixture(scope="module")
def frozen_group(kafka: Playground) -> tuple[str, str]:
    """A topic whose six partitions the three brokers lead, one replica each, and a group that is behind on all."""
    topic, group = kafka.topic("orders", partitions=6, replicas=1), kafka.name("billing")
    for partition in range(6):
        kafka.produce(topic, 10, partition)
        kafka.commit(group, topic, 4, partition)
    return topic, group


def test_one_frozen_broker_costs_only_what_it_leads(
    stack: Stack, kafka: Playground, frozen_group: tuple[str, str]
) -> None:
    topic, group = frozen_group
    watcher = Watcher(kafka.collector())
    watcher.look()
    assert watcher.subscription(group, topic).backlog_messages == 36
    victim = next(broker for broker in (1, 2, 3) if broker != kafka.coordinator(group))
    lost = kafka.partitions_led_by(topic, lambda broker: broker == victim)
    stack.freeze(f"kafka-{victim}")
    try:
        for _ in range(3):
            began = time.monotonic()
            snapshot = watcher.look(seconds=5)
            assert time.monotonic() - began < 5
            rows = watcher.rows("group_partitions", group=group)
            assert [LAG in row for row in rows] == [number not in lost for number in range(6)]
            assert all(row[LAG] == 6 for row in rows if LAG in row)
            seen = watcher.subscription(group, topic)
            assert (seen.backlog_messages, seen.expected, seen.measured) == (None, 6, 6 - len(lost))
            assert snapshot.measured == snapshot.expected - len(lost)
            assert {error.reason for error in snapshot.errors} <= {"timeout", "unreachable"}
            assert snapshot.errors
    finally:
        stack.thaw(f"kafka-{victim}")
    wait_for(lambda: watcher.look() and watcher.subscription(group, topic).backlog_messages == 36, "recovery")
    watcher.collector.close()


def test_a_cluster_that_hangs_fails_the_cycle_before_its_deadline_and_recovers(
    stack: Stack, kafka: Playground, frozen_group: tuple[str, str]
) -> None:
    topic, group = frozen_group
    watcher = Watcher(kafka.collector())
    watcher.look()
    for broker in (1, 2, 3):
        stack.freeze(f"kafka-{broker}")
    try:
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises((TimedOut, Unreachable)):
                watcher.look(seconds=4)
            assert time.monotonic() - began < 4
        _close_while_hanging(watcher)
        fresh = Watcher(kafka.collector())
        with pytest.raises((TimedOut, Unreachable)):
            fresh.look(seconds=2)
    finally:
        for broker in (1, 2, 3):
            stack.thaw(f"kafka-{broker}")
    wait_for(lambda: _succeeds(fresh) and fresh.subscription(group, topic).backlog_messages == 36, "recovery")
    fresh.collector.close()


def _close_while_hanging(watcher: Watcher) -> None:
    errors: list[BrokerError] = []

    def run() -> None:
        try:
            watcher.look(seconds=60)
        except BrokerError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.3)  # it must be under way; nothing tells from outside that it is
    began = time.monotonic()
    watcher.collector.close()
    watcher.collector.close()
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - began < 2
    assert [type(error) for error in errors] == [Unreachable]


def _succeeds(watcher: Watcher) -> bool:
    try:
        watcher.look(seconds=5)
    except BrokerError:
        return False
    return True
