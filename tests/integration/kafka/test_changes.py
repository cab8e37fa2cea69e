"""Topics, groups and clocks that change under the collector: the truth is there again in the second look after."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

from monitor.brokers.kafka.client import KafkaClient
from monitor.clock import Clock
from monitor.config import Filter
from tests.integration.kafka.playground import Playground, Watcher, wait_for

LAG, SECONDS = "kafka_consumer_group_lag_messages", "kafka_consumer_group_lag_seconds"
HOUR = 3600.0


@contextmanager
def under_load(kafka: Playground, topic: str, group: str) -> Iterator[Callable[[], int]]:
    """Produce to a topic and commit behind it, also while it is away; gives how many times that was refused."""
    over = threading.Event()
    refused = 0
    playground = Playground(kafka.bootstrap)

    def work() -> None:
        nonlocal refused
        while not over.is_set():
            try:
                playground.produce(topic, 5)
                playground.commit(group, topic, 5)
            except (AssertionError, KafkaException):
                refused += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield lambda: refused
    finally:
        over.set()
        thread.join()


def is_made_again(kafka: Playground, topic: str) -> bool:
    """Make the topic, unless the load has: the broker creates a topic that somebody asks for."""
    with suppress(KafkaException):
        kafka.admin.create_topics([NewTopic(topic, 1)])[topic].result(20)
    return bool(kafka.partitions_led_by(topic, lambda broker: broker >= 0))


def test_a_topic_deleted_and_made_again_under_load_is_told_truly_in_the_second_look(
    kafka: Playground, watcher: Watcher
) -> None:
    topic, group = kafka.topic("orders"), kafka.name("billing")
    kafka.produce(topic, 5000)
    kafka.commit(group, topic, 4990)
    watcher.look()
    with under_load(kafka, topic, group):
        for _ in range(3):
            watcher.look()
        kafka.admin.delete_topics([topic])[topic].result(20)
        wait_for(lambda: is_made_again(kafka, topic), "the new topic")
        for _ in range(5):
            snapshot = watcher.look()
            for seen in snapshot.subscriptions:
                # Offsets of the old log may still be there; they are told as such, never as lag or loss.
                assert (seen.backlog_messages or 0) >= 0
                assert seen.lost_messages_total == 0
    kafka.produce(topic, 5)
    kafka.commit(group, topic, 5)
    for _ in range(2):
        watcher.look()
    (row,) = watcher.rows("group_partitions", group=group)
    (partition,) = watcher.rows("partitions", topic=topic)
    end = partition["kafka_partition_end_offset"]
    assert end < 5000
    assert row[LAG] == end - 5
    assert row[SECONDS] < 30
    assert watcher.snapshot.errors == ()
    assert watcher.subscription(group, topic).lost_messages_total == 0


def test_a_topic_that_is_gone_leaves_no_rows_and_no_errors(kafka: Playground, watcher: Watcher) -> None:
    topic, group = kafka.topic("orders"), kafka.name("billing")
    kafka.produce(topic, 10)
    kafka.commit(group, topic, 4)
    watcher.look()
    kafka.delete_topic(topic)
    for _ in range(2):
        watcher.look()
    assert watcher.snapshot.subscriptions == ()
    tables = ("group_partitions", "group_topics", "partitions", "topics")
    assert not any(watcher.rows(name, topic=topic) for name in tables)
    assert watcher.snapshot.errors == ()


def test_a_group_deleted_and_made_again_begins_anew(kafka: Playground, watcher: Watcher) -> None:
    topic, group = kafka.topic("orders"), kafka.name("billing")
    kafka.produce(topic, 10)
    kafka.commit(group, topic, 9)
    watcher.look()
    kafka.delete_group(group)
    watcher.look()
    assert watcher.snapshot.subscriptions == ()
    kafka.commit(group, topic, 2)
    watcher.look()
    seen = watcher.subscription(group, topic)
    assert (seen.backlog_messages, seen.rewinds_total, seen.consumed_messages_total) == (8, 0, 0)


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_clock_that_jumps_and_comes_back_leaves_nothing_behind(kafka: Playground, jump: float) -> None:
    topic, group = kafka.topic("orders"), kafka.name("billing")
    offset = 0.0
    watcher = Watcher(kafka.collector(Clock(now=lambda: time.time() + offset)))
    written_at = time.time() - 600
    kafka.produce(topic, 10, timestamp=lambda number: written_at + number)
    committed = 4
    kafka.commit(group, topic, committed)

    def error() -> float:
        watcher.look()
        seconds = watcher.subscription(group, topic).oldest_age.seconds
        assert seconds is not None
        return abs(seconds - (time.time() - written_at - committed))

    wait_for(lambda: error() < 15, "the age")
    offset = jump
    for _ in range(2):
        watcher.look()
        seen = watcher.subscription(group, topic)
        assert (seen.backlog_messages, seen.lost_messages_total, seen.rewinds_total) == (6, 0, 0)
        assert (seen.oldest_age.seconds or 0.0) >= 0
    # When these came in, the wrong clock tells.
    kafka.produce(topic, 5, timestamp=lambda number: written_at + 200 + number)
    watcher.look()
    offset = 0.0
    watcher.look()
    assert error() < 15
    committed = 12
    kafka.commit(group, topic, committed)
    watcher.look()
    written_at += 190
    assert error() < 15
    seen = watcher.subscription(group, topic)
    assert (seen.consumed_messages_total, seen.published_messages_total) == (8, 5)
    watcher.collector.close()


def test_groups_that_live_for_moments_leave_nothing_behind(kafka: Playground, watcher: Watcher) -> None:
    topic = kafka.topic("orders")
    kafka.produce(topic, 3)
    for number in range(3):
        names = [kafka.name(f"job-{number}-{index}") for index in range(20)]
        for name in names:
            kafka.commit(name, topic, 1)
        watcher.look()
        assert {seen.subscriber for seen in watcher.snapshot.subscriptions} == set(names)
        assert all(seen.backlog_messages == 2 for seen in watcher.snapshot.subscriptions)
        for name in names:
            kafka.delete_group(name)
    watcher.look()
    assert watcher.snapshot.subscriptions == ()
    assert all(len(watcher.snapshot.tables[name]) == 0 for name in ("groups", "group_topics", "group_partitions"))


class Asked:
    """What a collector asked its client about, by the names in the requests."""

    def __init__(self, watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
        self.groups: list[str] = []
        self.topics: list[str] = []
        client: KafkaClient = watcher.collector._client
        described, committed = client.descriptions, client.committed
        offsets, configured, topics = client.offsets, client.describe_topic_configs, client.describe_topics

        def describe(key: Any, groups: Any) -> Any:
            self.groups += groups
            return described(key, groups)

        def commit(key: Any, group: str, *more: Any) -> Any:
            self.groups.append(group)
            return committed(key, group, *more)

        def offset(key: Any, asked: Any, **more: Any) -> Any:
            self.topics += [it.topic for it in asked if not it.topic.startswith("eventflow.")]
            return offsets(key, asked, **more)

        def of_topics(call: Any) -> Any:
            def ask(names: Any, *more: Any, **most: Any) -> Any:
                self.topics += names
                return call(names, *more, **most)

            return ask

        for name, double in {
            "descriptions": describe,
            "committed": commit,
            "offsets": offset,
            "describe_topic_configs": of_topics(configured),
            "describe_topics": of_topics(topics),
        }.items():
            monkeypatch.setattr(client, name, double)


def test_what_filters_leave_out_is_not_asked_for_at_all(kafka: Playground, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, other = kafka.topic("kept", partitions=2), kafka.topic("other", partitions=2)
    reads, also = kafka.name("reads"), kafka.name("also")
    for group in (reads, also):
        for topic in (kept, other):
            kafka.commit_everywhere(group, topic, [0, 0])
    member = kafka.consumer(also, [kept])

    def asked_with(**config: Any) -> Asked:
        watcher = Watcher(kafka.collector(**config))
        asked = Asked(watcher, monkeypatch)
        watcher.look()
        watcher.collector.close()
        return asked

    everything = asked_with()
    assert (set(everything.groups), set(everything.topics)) == ({reads, also}, {kept, other})
    chosen = asked_with(topics=Filter(include=[kept]), groups=Filter(include=[f"{kafka.prefix}*"], exclude=[also]))
    assert (set(chosen.groups), set(chosen.topics)) == ({reads}, {kept})
    assert len(chosen.topics) == len(everything.topics) / 2
    assert len(chosen.groups) < len(everything.groups)
    member.close()
