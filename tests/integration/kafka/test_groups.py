"""What is told of groups and topics beside the lag: who idles, who left, who is ahead, what holds readers back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from monitor.clock import Clock
from tests.integration.kafka.playground import Playground, Watcher, wait_for
from tests.integration.kafka.wire import ShareMember

DAY = 86_400.0
MEMBERS, IDLE = "kafka_consumer_group_members", "kafka_consumer_group_idle_members"
CHANGES, REBALANCES = "kafka_consumer_group_state_changes_total", "kafka_consumer_group_rebalances_total"
ADVANCED = "kafka_consumer_group_last_advance_timestamp_seconds"


@contextmanager
def watching(playground: Playground, clock: Clock | None = None) -> Iterator[Watcher]:
    watcher = Watcher(playground.collector(clock))
    yield watcher
    watcher.collector.close()


def test_members_beyond_the_partitions_are_idle_and_coming_and_going_is_counted(
    kafka: Playground, watcher: Watcher
) -> None:
    topic, group = kafka.topic("orders"), kafka.name("billing")
    first = kafka.consumer(group, [topic], heartbeat_interval_ms=200)
    watcher.look()
    (row,) = watcher.rows("groups", group=group)
    assert (row[MEMBERS], row[IDLE], row[REBALANCES]) == (1, 0, 0)
    second = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group, "heartbeat.interval.ms": 200})
    second.subscribe([topic])

    def has_settled(members: int) -> bool:
        for consumer in (first, second)[:members]:
            consumer.poll(0)
        watcher.look()
        (row,) = watcher.rows("groups", group=group)
        return (row.get(MEMBERS), row.get(IDLE)) == (members, members - 1)

    wait_for(lambda: has_settled(2), "the second member")
    (row,) = watcher.rows("groups", group=group)
    assert row[REBALANCES] >= 1
    second.close()
    wait_for(lambda: has_settled(1), "its leave")
    (after,) = watcher.rows("groups", group=group)
    assert after[REBALANCES] > row[REBALANCES]
    first.close()
    wait_for(lambda: watcher.look() and watcher.rows("groups", group=group)[0][MEMBERS] == 0, "an empty group")
    assert watcher.rows("groups", group=group)[0][CHANGES] >= 1


def test_the_partition_that_holds_the_backlog_is_told_from_a_backlog_everywhere(
    kafka: Playground, watcher: Watcher
) -> None:
    topic, group = kafka.topic("orders", partitions=4), kafka.name("billing")
    for partition in range(4):
        kafka.produce(topic, 10, partition)
    kafka.commit_everywhere(group, topic, [5, 5, 5, 5])
    watcher.look()
    (row,) = watcher.rows("group_topics", group=group)
    assert row["kafka_consumer_group_hottest_partition_lag_ratio"] == 0.25
    kafka.commit_everywhere(group, topic, [10, 10, 1, 9])
    watcher.look()
    (row,) = watcher.rows("group_topics", group=group)
    assert row["kafka_consumer_group_hottest_partition_lag_ratio"] == 0.9
    kafka.commit_everywhere(group, topic, [10, 10, 10, 10])
    watcher.look()
    assert "kafka_consumer_group_hottest_partition_lag_ratio" not in watcher.rows("group_topics", group=group)[0]


def test_a_topic_that_nobody_consumes_is_told_by_the_number_of_its_groups(kafka: Playground, watcher: Watcher) -> None:
    read, unread = kafka.topic("read"), kafka.topic("unread")
    for group in ("billing", "mail"):
        kafka.commit(kafka.name(group), read, 0)
    watcher.look()
    counted = {name: watcher.rows("topics", topic=name)[0]["kafka_topic_consumer_groups"] for name in (read, unread)}
    assert counted == {read: 2, unread: 0}


def test_a_group_is_abandoned_when_nobody_came_for_days_and_no_longer_when_it_gets_on(kafka: Playground) -> None:
    topic, group = kafka.topic("orders"), kafka.name("billing")
    kafka.produce(topic, 10)
    kafka.commit(group, topic, 4)
    offset = 0.0
    clock = Clock(now=lambda: time.time() + offset)
    with watching(kafka, clock) as watcher:
        watcher.look()
        assert not watcher.subscription(group, topic).abandoned  # old records are no proof: it may have come just now
        kafka.commit(group, topic, 5)
        watcher.look()
        advanced = watcher.rows("group_topics", group=group)[0][ADVANCED]
        assert advanced == pytest.approx(time.time(), abs=30)
        offset = 2 * DAY
        watcher.look()
        assert not watcher.subscription(group, topic).abandoned
        offset = 4 * DAY
        watcher.look()
        assert watcher.subscription(group, topic).abandoned
        assert watcher.rows("group_topics", group=group)[0][ADVANCED] == advanced
        kafka.commit(group, topic, 6)
        watcher.look()
        assert not watcher.subscription(group, topic).abandoned


def test_an_open_transaction_tells_its_age_and_what_readers_of_committed_data_can_have(
    kafka: Playground, watcher: Watcher
) -> None:
    topic, group = kafka.topic("orders"), kafka.name("billing")
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": kafka.name("tx")})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, b"x")
    producer.commit_transaction(20)
    asked_at = time.time()
    producer.begin_transaction()
    producer.produce(topic, b"x")
    producer.flush(20)
    begun_at = time.time()
    kafka.produce(topic, 7)  # not in the transaction, and held back by it all the same
    kafka.commit(group, topic, 0)

    def open_for() -> float:
        watcher.look()
        (row,) = watcher.rows("partitions", topic=topic)
        return row["kafka_partition_open_transaction_seconds"]

    wait_for(lambda: open_for() > 1.0, "a second of the transaction")
    looked_at, seconds = time.time(), open_for()
    assert looked_at - begun_at - 0.1 <= seconds <= time.time() - asked_at + 0.1
    (row,) = watcher.rows("group_partitions", group=group)
    # Two records, a marker, and seven that others wrote: of these only the first record and the marker can be had.
    assert (row["kafka_consumer_group_lag_messages"], row["kafka_consumer_group_stable_lag_messages"]) == (10, 2)
    assert any("open transaction" in note and "1 s" in note for note in watcher.snapshot.notes)

    producer.abort_transaction(20)

    def is_free() -> bool:
        watcher.look()
        return "kafka_partition_open_transaction_seconds" not in watcher.rows("partitions", topic=topic)[0]

    wait_for(is_free, "the end of the transaction")
    (row,) = watcher.rows("group_partitions", group=group)
    assert row["kafka_consumer_group_stable_lag_messages"] == row["kafka_consumer_group_lag_messages"] == 11


def test_topics_without_transactions_have_no_second_lag(kafka: Playground, watcher: Watcher) -> None:
    topic, group = kafka.topic("orders"), kafka.name("billing")
    kafka.commit(group, topic, 0)
    watcher.look()
    assert "kafka_consumer_group_stable_lag_messages" not in watcher.rows("group_partitions", group=group)[0]


def test_a_share_group_is_named_as_such_and_has_no_lag(kafka: Playground) -> None:
    topic, group, shared = kafka.topic("orders"), kafka.name("billing"), kafka.name("shared")
    kafka.produce(topic, 10)
    kafka.commit(group, topic, 4)  # also makes the cluster have coordinators, which a first member needs
    member = ShareMember(kafka.bootstrap, shared, topic)
    member.turn_on()
    wait_for(member.join, "membership of a share group")

    def has_state() -> bool:
        return "__share_group_state" in kafka.admin.list_topics(timeout=30).topics

    wait_for(lambda: member.join() or has_state(), "a first assignment")
    wait_for(has_state, "the topic of share groups' state")

    with watching(kafka) as watcher:
        watcher.look()
        assert watcher.rows("group_info", group=shared, type="share") == [{"kafka_consumer_group_info": 1}]
        assert watcher.rows("group_info", group=group, type="classic") == [{"kafka_consumer_group_info": 1}]
        assert not any(watcher.rows(name, group=shared) for name in ("groups", "group_topics", "group_partitions"))
        assert [seen.subscriber for seen in watcher.snapshot.subscriptions] == [group]
        assert any(shared in note and "cannot be measured" in note for note in watcher.snapshot.notes)
        assert watcher.snapshot.errors == ()
    member.leave()
    kafka.delete_group(shared)


def test_a_busy_consumer_is_never_seen_ahead_of_its_log(kafka: Playground, watcher: Watcher) -> None:
    topic, group = kafka.topic("orders"), kafka.name("billing")
    kafka.produce(topic, 1)
    kafka.commit(group, topic, 1)
    end = 1
    original: Any = watcher.collector._client.run  # between the reading of commits and of ends, the group gets on
    asked: list[str] = []

    def run(calls: Any, seconds: float) -> Iterator[Any]:
        nonlocal end
        yield from original(calls, seconds)
        asked.append("run")
        kafka.produce(topic, 5)
        end += 5
        kafka.commit(group, topic, end)

    watcher.collector._client.run = run  # type: ignore[method-assign]
    for _ in range(3):
        snapshot = watcher.look()
        (row,) = watcher.rows("group_partitions", group=group)
        assert row["kafka_consumer_group_lag_messages"] >= 0
        assert not [error for error in snapshot.errors if error.reason == "bad_answer"]
    assert len(asked) >= 6


def test_nobody_elses_offset_is_needed_to_see_a_partition_consumed(kafka: Playground, watcher: Watcher) -> None:
    topic, group = kafka.topic("orders", partitions=2), kafka.name("billing")
    kafka.produce(topic, 3)
    reader = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group, "enable.auto.commit": False})
    reader.assign([TopicPartition(topic, 0, 0)])  # without subscribing: no member, just commits
    reader.commit(offsets=[TopicPartition(topic, 0, 2)], asynchronous=False)
    watcher.look()
    (row,) = watcher.rows("group_topics", group=group)
    assert "kafka_consumer_group_unowned_lagging_partitions" not in row
    assert watcher.subscription(group, topic).backlog_messages == 1
    reader.close()
    kafka._groups.add(group)
