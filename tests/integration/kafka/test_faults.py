"""Brokers that hang: a cluster of three is frozen, one at first, then all."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import ElectionType

from monitor.brokers.kafka.metadata import coordinator_of, read_listing
from monitor.config import KafkaProbe
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
    victim = next(broker for broker in (1, 2, 3) if broker != kafka.coordinator(group))
    names = (kafka.name(f"mail-{number}") for number in range(100))
    kept_by_victim = next(name for name in names if _coordinator(kafka, name) == victim)
    kafka.commit(kept_by_victim, topic, 4, 0)
    probe = KafkaProbe(topic=f"eventflow.probe.{kafka.prefix}", interval=0.3, timeout=1.0)
    watcher = Watcher(kafka.collector(probe=probe))
    wait_for(lambda: watcher.look() and _probed(watcher, "returned", "123") >= 6, "two rounds of the probe")
    assert watcher.subscription(group, topic).backlog_messages == 36
    assert watcher.subscription(kept_by_victim, topic).backlog_messages == 6
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
            # What its coordinator does not tell is not forgotten, and no lag of zero either.
            kept = watcher.subscription(kept_by_victim, topic)
            assert kept.backlog_messages in (None, 6)
            assert kept.complete == (kept.backlog_messages == 6)
        failed = wait_for(lambda: _probed(watcher, "lost", str(victim)) + _probed(watcher, "refused", str(victim)))
        assert failed >= 1
    finally:
        stack.thaw(f"kafka-{victim}")
    returned = _probed(watcher, "returned", "123")
    wait_for(lambda: watcher.look() and watcher.subscription(group, topic).backlog_messages == 36, "recovery")
    # Through the others, if they lead its partitions by now.
    wait_for(lambda: watcher.look() and _probed(watcher, "returned", "123") >= returned + 3, "recovery of the probe")
    wait_for(lambda: not watcher.look().errors, "a look without problems")
    watcher.collector.close()


def _probed(watcher: Watcher, outcome: str, brokers: str) -> float:
    """How many records of the probe fared so through any of these brokers."""
    if "probe_messages" not in watcher.snapshot.tables:
        return 0.0
    rows = [watcher.rows("probe_messages", outcome=outcome, broker=broker) for broker in brokers]
    return sum(row["kafka_probe_messages_total"] for found in rows for row in found)


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


def test_a_coordinator_that_gives_its_groups_away_costs_a_cycle_and_not_the_process(
    stack: Stack, kafka: Playground, tmp_path: Path
) -> None:
    topic, groups = kafka.topic("moved", replicas=3), [kafka.name(f"moved-{number}") for number in range(4)]
    for group in groups:
        kafka.commit(group, topic, 0)
    home = _coordinator(kafka, groups[0])
    with _polling(kafka.bootstrap, kafka.name("moved"), tmp_path / "looks") as looks:
        wait_for(lambda: looks() and looks()[-1]["backlogs"] == [0] * 4, "a first look")
        stack.restart(f"kafka-{home}")
        wait_for(lambda: _coordinator(kafka, groups[0]) != home, "the move")
        # The library has learned of the move, since the old connection ended; of the way back nothing tells it.
        wait_for(lambda: looks()[-1]["backlogs"] == [0] * 4, "the truth after the move")
        wait_for(lambda: _is_replicated(kafka), "replicas in sync")
        kafka.admin.elect_leaders(ElectionType.PREFERRED).result(20)
        wait_for(lambda: _coordinator(kafka, groups[0]) == home, "the way back")
        wait_for(lambda: any("Not coordinator" in error for look in looks() for error in look["errors"]), "the denial")
        wait_for(lambda: looks()[-1]["backlogs"] == [0] * 4, "the truth after the way back")


@contextmanager
def _polling(bootstrap: str, prefix: str, output: Path) -> Iterator[Any]:
    """Look again and again in another process, since the danger is that it dies; yields what was seen so far."""
    command = [sys.executable, "-m", "tests.integration.kafka.polling", bootstrap, prefix]
    with output.open("w") as file, subprocess.Popen(command, stdout=file) as process:

        def looks() -> list[dict[str, Any]]:
            assert process.poll() is None, f"the process that looks has died: {process.returncode}"
            return [json.loads(line) for line in output.read_text().splitlines()[:-1]]

        yield looks
        looks()
        process.kill()


def _coordinator(kafka: Playground, group: str) -> int:
    return coordinator_of(group, read_listing(kafka.admin.list_topics(timeout=20)).coordinators)


def _is_replicated(kafka: Playground) -> bool:
    partitions = kafka.admin.list_topics("__consumer_offsets", timeout=20).topics["__consumer_offsets"].partitions
    return all(len(partition.isrs) == 3 for partition in partitions.values())


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
