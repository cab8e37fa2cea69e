"""A broker behind a link that breaks or is slow, and one that dies: what is known is told, and soon true again."""

import threading
import time
from collections.abc import Iterator

import pytest

from monitor.config import KafkaProbe
from monitor.errors import BrokerError
from monitor.model import Subscription
from stack.control import Stack
from tests.integration.kafka.link import Link, linked_broker
from tests.integration.kafka.playground import Playground, Watcher, wait_for

INTERVAL_SECONDS = 5.0
"""The shortest deadline that a cycle has by default; what is over must be forgotten after two."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Link]]:
    with linked_broker(tmp_path_factory.mktemp("linked")) as linked:
        yield linked


@pytest.fixture(scope="module")
def kafka(broker: tuple[Stack, Link]) -> Playground:
    return Playground(broker[0].endpoints.kafka)


@pytest.fixture(scope="module")
def pair(kafka: Playground) -> tuple[str, str]:
    """A group that is six behind on each of three partitions."""
    topic, group = kafka.topic("orders", partitions=3), kafka.name("billing")
    for partition in range(3):
        kafka.produce(topic, 10, partition)
    kafka.commit_everywhere(group, topic, [4, 4, 4])
    return group, topic


@pytest.fixture
def watcher(broker: tuple[Stack, Link], kafka: Playground, pair: tuple[str, str]) -> Iterator[Watcher]:
    """A collector that reaches the broker over the link."""
    behind = Playground(broker[1].address)
    behind.prefix = kafka.prefix
    watcher = Watcher(behind.collector(probe=KafkaProbe(topic=f"eventflow.probe.{kafka.prefix}", interval=0.2)))
    wait_for(lambda: sees(watcher, pair) == 18, "the truth before")
    yield watcher
    watcher.collector.close()


def sees(watcher: Watcher, pair: tuple[str, str], seconds: float = INTERVAL_SECONDS) -> float | None:
    """Look once; return the backlog, None where it is not known. What is known is never wrong."""
    try:
        watcher.look(seconds)
    except BrokerError:
        return None
    seen: Subscription = watcher.subscription(*pair)
    assert seen.backlog_messages in (18, None)
    assert seen.complete or watcher.snapshot.errors
    return seen.backlog_messages


def is_true_again(watcher: Watcher, pair: tuple[str, str]) -> None:
    wait_for(lambda: sees(watcher, pair) == 18, "the truth within two intervals", seconds=2 * INTERVAL_SECONDS)
    seen = watcher.subscription(*pair)
    assert (seen.lost_messages_total, seen.rewinds_total, seen.consumed_messages_total) == (0, 0, 0)


def test_connections_that_are_reset_over_and_over_cost_looks_and_no_truth(
    broker: tuple[Stack, Link], watcher: Watcher, pair: tuple[str, str]
) -> None:
    _, link = broker
    over = threading.Event()
    broken: list[int] = []

    def reset() -> None:
        while not over.wait(0.02):
            broken.append(link.reset())

    thread = threading.Thread(target=reset)
    thread.start()
    try:
        deadline = time.monotonic() + 1.0
        told = 0
        while time.monotonic() < deadline:
            began = time.monotonic()
            told += sees(watcher, pair, seconds=1.0) is None or bool(watcher.snapshot.errors)
            assert time.monotonic() - began < 4
    finally:
        over.set()
        thread.join()
    assert sum(broken) > 0
    assert told > 0  # the gap is told, by a failed cycle or by its errors
    is_true_again(watcher, pair)


def test_a_slow_link_is_waited_for_and_one_that_is_too_slow_fails_in_time(
    broker: tuple[Stack, Link], watcher: Watcher, pair: tuple[str, str]
) -> None:
    _, link = broker
    link.delay_seconds = 0.1
    try:
        assert sees(watcher, pair) == 18
        assert watcher.snapshot.errors == ()
        link.delay_seconds = 1.0
        began = time.monotonic()
        assert sees(watcher, pair, seconds=1.0) is None
        assert time.monotonic() - began < 4
    finally:
        link.delay_seconds = 0.0
    is_true_again(watcher, pair)


def test_a_broker_that_is_killed_fails_the_cycles_and_is_found_again_after_its_restart(
    broker: tuple[Stack, Link], watcher: Watcher, pair: tuple[str, str]
) -> None:
    stack, _ = broker
    stack.kill("kafka")
    began = time.monotonic()
    assert sees(watcher, pair, seconds=1.0) is None
    assert time.monotonic() - began < 4
    stack.restart("kafka")
    is_true_again(watcher, pair)
