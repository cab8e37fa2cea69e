"""The end-to-end probe on a real broker: it measures, survives the loss of its topic, and cleans up after itself."""

from collections.abc import Iterator

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions

from monitor.config import KafkaProbe
from tests.integration.kafka.playground import Playground, Watcher, wait_for

TRIP, TOTAL = "kafka_probe_round_trip_seconds", "kafka_probe_messages_total"


@pytest.fixture
def topic(kafka: Playground) -> str:
    return f"eventflow.probe.{kafka.prefix}"


@pytest.fixture
def watcher(kafka: Playground, topic: str) -> Iterator[Watcher]:
    watcher = Watcher(kafka.collector(probe=KafkaProbe(topic=topic, interval=0.1, timeout=2.0)))
    yield watcher
    watcher.collector.close()


def topics(kafka: Playground) -> set[str]:
    return set(kafka.admin.list_topics(timeout=30).topics)


def counted(watcher: Watcher, outcome: str) -> float:
    if "probe_messages" not in watcher.look().tables:
        return 0.0
    return sum(row[TOTAL] for row in watcher.rows("probe_messages", outcome=outcome))


def test_records_go_round_on_a_topic_of_their_own_which_is_removed_at_the_end(
    kafka: Playground, watcher: Watcher, topic: str
) -> None:
    others = topics(kafka)
    assert "probe" not in watcher.look().tables
    wait_for(lambda: counted(watcher, "returned") >= 3, "three rounds")
    (row,) = watcher.rows("probe_brokers", broker="1")
    assert 0 < row[TRIP] < 1
    assert watcher.snapshot.errors == ()
    assert (counted(watcher, "lost"), counted(watcher, "refused")) == (0, 0)
    (whole,) = watcher.snapshot.tables["probe"].columns["kafka_probe_commit_seconds"].tolist()
    assert 0 < whole < 1
    committed = kafka.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(topic)])[topic].result(30)
    assert committed.topic_partitions[0].offset >= 3
    # It is no subscription of anybody, and nothing else was made.
    assert watcher.snapshot.subscriptions == ()
    assert {name for name in topics(kafka) - others if kafka.prefix in name or "probe" in name} == {topic}

    watcher.collector.close()
    wait_for(lambda: topic not in topics(kafka), "the removal of the topic")
    groups = kafka.admin.list_consumer_groups().result(30)
    assert topic not in {group.group_id for group in groups.valid}


def test_a_topic_that_somebody_deletes_is_told_and_made_again(kafka: Playground, watcher: Watcher, topic: str) -> None:
    wait_for(lambda: counted(watcher, "returned") >= 3, "three rounds")
    kafka.delete_topic(topic)
    wait_for(lambda: watcher.look() and topic in topics(kafka), "a new topic")
    before = counted(watcher, "returned")
    wait_for(lambda: counted(watcher, "returned") > before + 2, "rounds on the new topic")
    wait_for(lambda: watcher.look().errors == (), "a cycle without problems")
