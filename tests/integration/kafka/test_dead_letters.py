"""Dead-letter topics on a real broker: depth, age, expiry, arrivals, origins."""

import time

import pytest
from confluent_kafka import Producer, TopicPartition

from monitor.config import DeadLetterMapping
from monitor.model import AgeMethod, DeadLetterQueue, FoundBy, Origin, Problem
from tests.integration.kafka.playground import Playground, Watcher, wait_for


def only(watcher: Watcher) -> DeadLetterQueue:
    watcher.look()
    (found,) = watcher.snapshot.dead_letters
    return found


def test_depth_age_and_expiry_come_from_the_records_that_are_there(kafka: Playground, watcher: Watcher) -> None:
    origin = kafka.topic("orders")
    topic = kafka.topic("orders.dlq", partitions=2, config={"retention.ms": str(86_400_000)})
    stamp = time.time() - 3600
    kafka.produce(topic, 10, partition=0, timestamp=lambda number: stamp + number)
    kafka.produce(topic, 5, partition=1)

    found = only(watcher)
    assert (found.queue, found.messages, found.found_by) == (topic, 15, FoundBy.NAME)
    assert found.origins == (Origin(origin, FoundBy.NAME),)
    assert found.retention_seconds == 86_400
    assert found.problems == (Problem.RETENTION_TOO_SHORT,)  # its origin keeps records for a week
    assert found.expires_at == pytest.approx(stamp + 86_400, abs=1)
    assert found.oldest_age.seconds == pytest.approx(time.time() - stamp, abs=5)
    assert found.oldest_age.method is AgeMethod.EXACT

    first = TopicPartition(topic, 0, 10)
    kafka.admin.delete_records([first])[first].result(20)
    found = only(watcher)
    assert found.messages == 5
    assert found.oldest_age.seconds is not None
    assert found.oldest_age.seconds < 60

    second = TopicPartition(topic, 1, 5)
    kafka.admin.delete_records([second])[second].result(20)
    found = only(watcher)
    assert (found.messages, found.oldest_age.seconds, found.expires_at) == (0, 0, None)


def test_arrivals_are_counted_from_the_first_look_on_and_never_fall(kafka: Playground, watcher: Watcher) -> None:
    topic = kafka.topic("orders-dlt")
    kafka.produce(topic, 10)
    assert only(watcher).arrivals_total == 0
    kafka.produce(topic, 3)
    assert only(watcher).arrivals_total == 3
    everything = TopicPartition(topic, 0, 13)
    kafka.admin.delete_records([everything])[everything].result(20)
    kafka.produce(topic, 1)
    found = only(watcher)
    assert (found.messages, found.arrivals_total) == (1, 4)


def test_an_origin_that_does_not_exist_is_not_named(kafka: Playground, watcher: Watcher) -> None:
    kafka.topic("ghosts_error")
    assert only(watcher).origins == ()


def test_a_dead_letter_topic_that_keeps_records_as_long_as_its_origin_is_in_order(
    kafka: Playground, watcher: Watcher
) -> None:
    kept = {"retention.ms": str(86_400_000)}
    kafka.topic("parcels", config=kept)
    kafka.topic("parcels.dlq", config=kept)
    assert only(watcher).problems == ()


def test_a_mapping_names_a_topic_and_its_origins_that_discovery_cannot_know(kafka: Playground) -> None:
    topic = kafka.topic("graveyard")
    mapping = DeadLetterMapping(queue=f"test/{topic}", origins=["orders", "payments"])
    watcher = Watcher(kafka.collector(dead_letters=[mapping]))
    found = only(watcher)
    assert found.found_by is FoundBy.CONFIGURATION
    assert [origin.name for origin in found.origins] == ["orders", "payments"]
    watcher.collector.close()


def test_records_of_an_open_transaction_are_not_dead_letters_yet(kafka: Playground, watcher: Watcher) -> None:
    topic = kafka.topic("orders.dlt")
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": kafka.name("tx"), "log_level": 0})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, b"x")
    producer.flush(20)
    assert only(watcher).messages == 0
    producer.commit_transaction(20)
    wait_for(lambda: only(watcher).messages == 2, "the record, and the marker that cannot be told from one")


def test_a_group_that_reads_dead_letters_stays_a_subscription(kafka: Playground, watcher: Watcher) -> None:
    topic, group = kafka.topic("orders.dlq"), kafka.name("undertaker")
    kafka.produce(topic, 4)
    kafka.commit(group, topic, 1)
    watcher.look()
    assert watcher.subscription(group, topic).backlog_messages == 3


def test_groups_and_topics_of_the_product_itself_are_left_out(kafka: Playground) -> None:
    topic = kafka.topic("orders")
    own = f"eventflow.redrive.{kafka.prefix}"
    kafka.commit(own, topic, 0)
    watcher = Watcher(kafka.collector(groups={"include": [own]}))
    watcher.look()
    assert watcher.snapshot.subscriptions == ()
    assert len(watcher.snapshot.tables["groups"]) == 0
    watcher.collector.close()
