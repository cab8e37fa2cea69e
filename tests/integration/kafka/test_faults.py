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
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.metadata import coordinator_of, keeper_of, read_listing
from monitor.brokers.kafka.rights import TopicsToRedrive, check_rights
from monitor.brokers.kafka.topics import Topics
from monitor.clock import Clock
from monitor.config import KafkaCluster, KafkaProbe
from monitor.errors import BrokerError, TimedOut, Unreachable
from monitor.letters import LEDGER_TOPIC
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


def test_the_ledger_is_made_with_two_replicas_in_sync_and_a_lesser_one_is_told(kafka: Playground) -> None:
    cluster = KafkaCluster(name="k", kind="kafka", bootstrap_servers=kafka.bootstrap)
    client, settings = KafkaClient(cluster, time.monotonic), {"bootstrap.servers": kafka.bootstrap}

    def told() -> list[str]:
        found = check_rights(client, settings, TopicsToRedrive(), time.monotonic() + 60)
        return [it.message for it in found if it.target == "redrive: how safe the ledger is"]

    topics = Topics(client, settings, Clock())
    topics.make_ledger()
    listed = kafka.admin.list_topics(timeout=30).topics[LEDGER_TOPIC]
    assert [len(it.replicas) for it in listed.partitions.values()] == [3]
    resource = ConfigResource(ResourceType.TOPIC, LEDGER_TOPIC)
    assert kafka.admin.describe_configs([resource])[resource].result(30)["min.insync.replicas"].value == "2"
    assert told() == []
    lesser = ConfigEntry("min.insync.replicas", "1", incremental_operation=AlterConfigOpType.SET)
    change = ConfigResource(ResourceType.TOPIC, LEDGER_TOPIC, incremental_configs=[lesser])
    kafka.admin.incremental_alter_configs([change])[change].result(30)
    wait_for(lambda: told() == ["it has 3 replicas, of which 1 must be in sync"], "the lesser ledger")
    topics.close()
    client.close()


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
        wait_for(lambda: _leaderless(watcher, topic) == lost, "partitions that nobody leads")
        assert (watcher.subscription(group, topic).backlog_messages, watcher.snapshot.errors == ()) == (None, False)
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


def _leaderless(watcher: Watcher, topic: str) -> list[int]:
    watcher.look(seconds=5)
    rows = watcher.rows("partitions", topic=topic)
    return [number for number, row in enumerate(rows) if not row["kafka_partition_leader_available"]]


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


def test_a_frozen_coordinator_costs_its_groups_and_one_that_hands_them_back_costs_no_process(
    stack: Stack, kafka: Playground, tmp_path: Path
) -> None:
    topic, groups = kafka.topic("kept", replicas=1), [kafka.name(f"kept-{number}") for number in range(8)]
    kafka.produce(topic, 10)
    for group in groups:
        kafka.commit(group, topic, 4)
    keepers = {group: _coordinator(kafka, group) for group in groups}
    victim = next(broker for broker in keepers.values() if not kafka.partitions_led_by(topic, broker.__eq__))
    on_victim = {group for group, keeper in keepers.items() if keeper == victim}
    assert 0 < len(on_victim) < len(groups)
    reading = Watcher(kafka.collector(commits="offsets_topic", topics={"include": [topic]}))
    everything = dict.fromkeys(groups, 6.0)

    def backlogs() -> dict[str, float | None]:
        reading.look(seconds=5)
        return {seen.subscriber: seen.backlog_messages for seen in reading.snapshot.subscriptions}

    with _polling(kafka.bootstrap, kafka.name("kept"), tmp_path / "looks") as looks:
        wait_for(lambda: looks() and looks()[-1]["backlogs"] == [6] * 8, "a first look")
        assert backlogs() == everything
        stack.freeze(f"kafka-{victim}")
        try:
            assert backlogs() == {group: None if group in on_victim else 6 for group in groups}
            assert {error.reason for error in reading.snapshot.errors} <= {"timeout", "unreachable"}
            # The others take over before long, and the topic is read on from where the frozen one left it.
            wait_for(lambda: backlogs() == everything, "the new leaders")
        finally:
            stack.thaw(f"kafka-{victim}")
        wait_for(lambda: looks()[-1]["backlogs"] == [6] * 8, "the truth of the new coordinators")
        # Connections stay as they are: nothing tells the library that the coordinators change once more.
        wait_for(lambda: _hand_back(kafka) and any("Not coordinator" in look["said"] for look in looks()), "a denial")
        wait_for(lambda: looks()[-1]["backlogs"] == [6] * 8, "the truth after the way back")
        wait_for(lambda: backlogs() == everything and reading.snapshot.errors == (), "no errors")
    reading.collector.close()


def test_after_compaction_of_the_offsets_topic_a_new_monitor_reads_the_same(kafka: Playground) -> None:
    topic, group = kafka.topic("compacted"), kafka.name("compacted")
    others = (kafka.name(f"compacted-{number}") for number in range(1000))
    deleted = next(name for name in others if _keeper(kafka, name) == _keeper(kafka, group))
    quick = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0"}
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in quick.items()]
    resource = ConfigResource(ResourceType.TOPIC, "__consumer_offsets", incremental_configs=entries)
    kafka.admin.incremental_alter_configs([resource])[resource].result(20)
    kafka.commit(deleted, topic, 1)
    for offset in range(20):
        kafka.commit(group, topic, offset)
    kafka.delete_group(deleted)

    def is_compacted() -> bool:
        kafka.commit(group, topic, 20)  # the segment that is written to is never compacted
        return len(_commits_in(kafka, _keeper(kafka, group))) < 10

    wait_for(is_compacted, "compaction")
    for mode in ("admin", "offsets_topic"):
        watcher = Watcher(kafka.collector(commits=mode))
        watcher.look()
        (row,) = watcher.rows("group_partitions", topic=topic)
        assert row["kafka_consumer_group_committed_offset"] == 20
        watcher.collector.close()


def _keeper(kafka: Playground, group: str) -> int:
    return keeper_of(group, len(kafka.admin.list_topics("__consumer_offsets").topics["__consumer_offsets"].partitions))


def _commits_in(kafka: Playground, partition: int) -> list[bytes]:
    """The keys of what the offsets topic still holds of this test."""
    records = kafka.read("__consumer_offsets", partition=partition)
    return [key for record in records if (key := record.key() or b"") and kafka.name("compacted").encode() in key]


@contextmanager
def _polling(bootstrap: str, prefix: str, output: Path) -> Iterator[Any]:
    """Look again and again in another process, since the danger is that it dies; yields what was seen so far."""
    command = [sys.executable, "-m", "tests.integration.kafka.polling", bootstrap, prefix]
    with output.open("w") as file, subprocess.Popen(command, stdout=file) as process:

        def looks() -> list[dict[str, Any]]:
            assert process.poll() is None, f"the process that looks has died: {process.returncode}"
            return [json.loads(line) for line in output.read_text().splitlines()[:-1]]

        try:
            yield looks
            looks()
        finally:
            process.kill()


def _coordinator(kafka: Playground, group: str) -> int:
    return coordinator_of(group, read_listing(kafka.admin.list_topics(timeout=20)).coordinators)


def _hand_back(kafka: Playground) -> bool:
    """Let the first replicas lead again, as far as they have caught up."""
    return kafka.admin.elect_leaders(ElectionType.PREFERRED).result(20) is not None


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
    watcher.collector.close()
    watcher.collector.close()
    thread.join(5)
    assert not thread.is_alive()
    assert [type(error) for error in errors] == [Unreachable]


def _succeeds(watcher: Watcher) -> bool:
    try:
        watcher.look(seconds=5)
    except BrokerError:
        return False
    return True
