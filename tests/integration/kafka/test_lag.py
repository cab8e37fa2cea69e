"""The collector against a real broker: each kind of group and topic tells the truth."""

import time

import numpy as np
import pytest
from confluent_kafka import IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from monitor.model import AgeMethod
from tests.integration.kafka.playground import Playground, Watcher, wait_for

LAG = "kafka_consumer_group_lag_messages"
SECONDS = "kafka_consumer_group_lag_seconds"
COMMITTED = "kafka_consumer_group_committed_offset"


def test_lag_follows_commits_and_a_deleted_group_leaves_no_rows(kafka: Playground, watcher: Watcher) -> None:
    topic, group = kafka.topic("orders"), kafka.name("billing")
    kafka.produce(topic, 1000)
    kafka.commit(group, topic, 400)

    watcher.look()
    (row,) = watcher.rows("group_partitions", group=group, topic=topic)
    assert (row[LAG], row[COMMITTED]) == (600, 400)
    seen = watcher.subscription(group, topic)
    assert (seen.backlog_messages, seen.expected, seen.measured) == (600, 1, 1)
    assert seen.id == f"test/{group}/{topic}"
    assert seen.oldest_age.seconds is not None
    assert 0 < seen.oldest_age.seconds < 60

    kafka.commit(group, topic, 1000)
    watcher.look()
    (row,) = watcher.rows("group_partitions", group=group, topic=topic)
    assert (row[LAG], row[SECONDS]) == (0, 0)
    seen = watcher.subscription(group, topic)
    assert (seen.backlog_messages, seen.oldest_age.seconds) == (0, 0)
    assert (seen.consumed_messages_total, seen.published_messages_total) == (600, 0)

    kafka.produce(topic, 5)  # an end that was kept from the look before would still tell 0
    watcher.look()
    assert watcher.subscription(group, topic).backlog_messages == 5

    kafka.delete_group(group)
    watcher.look()
    assert watcher.snapshot.subscriptions == ()
    assert all(not watcher.rows(table, group=group) for table in ("group_partitions", "group_topics", "groups"))


@pytest.mark.parametrize(("protocol", "kind"), [("classic", "classic"), ("consumer", "consumer")])
def test_members_and_their_partitions_are_told_for_both_group_protocols(
    kafka: Playground, watcher: Watcher, protocol: str, kind: str
) -> None:
    topic, group = kafka.topic("orders", partitions=3), kafka.name("billing")
    for partition in range(3):
        kafka.produce(topic, 10, partition)
    consumer = kafka.consumer(group, [topic], group_protocol=protocol)
    consumer.commit(offsets=[TopicPartition(topic, partition, 4) for partition in range(3)], asynchronous=False)

    watcher.look()
    (row,) = watcher.rows("groups", group=group)
    assert (row["kafka_consumer_group_members"], row["kafka_consumer_group_idle_members"]) == (1, 0)
    assert watcher.rows("group_info", group=group, type=kind) == [{"kafka_consumer_group_info": 1}]
    assert watcher.rows("group_states", group=group, state="stable") == [{"kafka_consumer_group_state": 1}]
    assert sum(row["kafka_consumer_group_state"] for row in watcher.rows("group_states", group=group)) == 1
    seen = watcher.subscription(group, topic)
    assert (seen.backlog_messages, seen.consumers, seen.measured) == (18, 1, 3)
    (pair,) = watcher.rows("group_topics", group=group)
    assert pair["kafka_consumer_group_unowned_lagging_partitions"] == 0

    consumer.close()
    wait_for(lambda: watcher.look() and watcher.subscription(group, topic).consumers == 0, "the member's leave")
    assert watcher.subscription(group, topic).backlog_messages == 18
    (pair,) = watcher.rows("group_topics", group=group)
    # Offsets were committed by members, so nobody else is thought to read these partitions.
    assert pair["kafka_consumer_group_unowned_lagging_partitions"] == 3


def test_a_member_that_never_committed_is_neither_at_zero_nor_behind(kafka: Playground, watcher: Watcher) -> None:
    topic, empty, group = kafka.topic("orders", partitions=2), kafka.topic("empty"), kafka.name("billing")
    kafka.produce(topic, 10)
    consumer = kafka.consumer(group, [topic, empty])
    wait_for(lambda: len(consumer.assignment()) == 3, "the whole assignment")

    watcher.look()
    assert all(LAG not in row for row in watcher.rows("group_partitions", group=group))
    seen = watcher.subscription(group, topic)
    # The partition with records could be unread or skipped; of the one without any, nothing can wait.
    assert (seen.backlog_messages, seen.oldest_age.seconds, seen.expected, seen.measured) == (None, None, 2, 1)
    assert seen.consumers == 1
    nothing = watcher.subscription(group, empty)
    assert (nothing.backlog_messages, nothing.measured) == (0, 1)
    consumer.close()


def test_messages_that_retention_took_unread_are_lost_and_not_lag(kafka: Playground, watcher: Watcher) -> None:
    topic, group = kafka.topic("orders"), kafka.name("billing")
    kafka.produce(topic, 100)
    kafka.commit(group, topic, 10)
    watcher.look()
    assert watcher.subscription(group, topic).lost_messages_total == 0

    kafka.admin.delete_records([TopicPartition(topic, 0, 30)])[TopicPartition(topic, 0)].result(20)
    watcher.look()
    (row,) = watcher.rows("group_partitions", group=group)
    assert (row[LAG], row[COMMITTED]) == (70, 10)
    seen = watcher.subscription(group, topic)
    assert (seen.backlog_messages, seen.lost_messages_total) == (70, 20)

    kafka.commit(group, topic, 50)
    watcher.look()
    seen = watcher.subscription(group, topic)
    assert (seen.lost_messages_total, seen.consumed_messages_total) == (20, 20)


def test_going_back_is_counted_and_takes_nothing_from_what_was_consumed(kafka: Playground, watcher: Watcher) -> None:
    topic, group = kafka.topic("orders"), kafka.name("billing")
    kafka.produce(topic, 100)
    for offset in (20, 80, 10):
        kafka.commit(group, topic, offset)
        watcher.look()
    seen = watcher.subscription(group, topic)
    assert (seen.backlog_messages, seen.rewinds_total, seen.consumed_messages_total) == (90, 1, 60)


def test_a_compacted_topic_counts_offsets_and_ends_at_zero(kafka: Playground, watcher: Watcher) -> None:
    quick = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "max.compaction.lag.ms": "100"}
    topic, group = kafka.topic("state", config={"cleanup.policy": "compact"} | quick), kafka.name("billing")
    past = time.time() - 1000
    kafka.produce(topic, 100, key=lambda number: str(number % 2), timestamp=lambda number: past + number)

    def is_compacted() -> bool:
        kafka.produce(topic, 1, key=lambda _: "last")  # the segment that is written to is never compacted
        return len(kafka.read(topic)) < 50

    wait_for(is_compacted, "compaction")
    kafka.commit(group, topic, 20)
    next_record = next(message for message in kafka.read(topic) if (message.offset() or 0) >= 20)

    watcher.look()
    (row,) = watcher.rows("partitions", topic=topic)
    end = row["kafka_partition_end_offset"]
    seen = watcher.subscription(group, topic)
    assert seen.backlog_messages == end - 20  # an upper bound: compaction left gaps
    assert seen.retention_seconds is None
    assert "kafka_consumer_group_retention_margin_ratio" not in watcher.rows("group_topics", group=group)[0]

    def error() -> float:
        now = watcher.look().taken_at
        seconds = watcher.subscription(group, topic).oldest_age.seconds
        assert seconds is not None
        return abs(seconds - (now - next_record.timestamp()[1] / 1000))

    wait_for(lambda: error() < 1.0, "the age of the record after the gap")

    kafka.commit(group, topic, int(end))
    watcher.look()
    assert watcher.subscription(group, topic).backlog_messages == 0


def test_an_open_transaction_shows_between_the_stable_offset_and_the_end(kafka: Playground, watcher: Watcher) -> None:
    topic, group = kafka.topic("orders"), kafka.name("billing")
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": kafka.name("tx")})
    producer.init_transactions(20)
    producer.begin_transaction()
    for _ in range(10):
        producer.produce(topic, b"x")
    producer.flush(20)
    kafka.commit(group, topic, 0)

    watcher.look()
    (row,) = watcher.rows("partitions", topic=topic)
    assert (row["kafka_partition_last_stable_offset"], row["kafka_partition_end_offset"]) == (0, 10)
    assert watcher.subscription(group, topic).backlog_messages == 10

    assert any("open transaction" in note for note in watcher.snapshot.notes)

    producer.commit_transaction(20)
    kafka.commit(group, topic, 10)  # what a reader commits: it has had the last record, and the marker is none

    def is_stable() -> bool:  # the marker is written a moment after the commit
        watcher.look()
        (row,) = watcher.rows("partitions", topic=topic)
        return row["kafka_partition_last_stable_offset"] == row["kafka_partition_end_offset"] == 11

    wait_for(is_stable, "the transaction's marker")
    (row,) = watcher.rows("group_partitions", group=group)
    assert (row[LAG], row[SECONDS]) == (1, 0)  # the standard number, and what is true
    seen = watcher.subscription(group, topic)
    assert (seen.backlog_messages, seen.oldest_age.seconds) == (0, 0)


@pytest.mark.parametrize("commits", ["admin", "offsets_topic"])
def test_offsets_without_a_record_at_the_end_of_a_log_are_lag_and_no_backlog(kafka: Playground, commits: str) -> None:
    topic, group = kafka.topic("orders", partitions=3), kafka.name("billing")
    committed, half_read, aborted = range(3)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": kafka.name("tx")})
    producer.init_transactions(60)
    for partition, count, end in (
        (committed, 5, producer.commit_transaction),
        (half_read, 2, producer.commit_transaction),
        (aborted, 4, producer.abort_transaction),
    ):
        producer.begin_transaction()
        for _ in range(count):
            producer.produce(topic, b"x", partition=partition)
        producer.flush(60)
        end(60)
    wait_for(lambda: stable_ends(kafka, topic, 3) == [6, 3, 5], "the transactions' markers")

    kafka.commit_everywhere(group, topic, [5, 1, 0])  # as consumers do that commit what follows their last record
    watcher = Watcher(kafka.collector(commits=commits))  # it has never seen an open transaction

    def backlog() -> list[float]:
        parts = watcher.look().parts
        assert parts is not None
        return [*parts.backlog.tolist()]

    wait_for(lambda: backlog() == [0, 1, 0], "what the ends of the logs hold")
    rows = watcher.rows("group_partitions", group=group)
    assert [row[LAG] for row in rows] == [1, 2, 5]  # as everybody counts it
    assert rows[committed][SECONDS] == rows[aborted][SECONDS] == 0
    seen = watcher.subscription(group, topic)
    assert (seen.backlog_messages, seen.measured) == (1, 3)

    kafka.commit(group, topic, 2, partition=half_read)
    wait_for(lambda: backlog() == [0, 0, 0], "the commit behind the last record")
    assert watcher.subscription(group, topic).backlog_messages == 0
    kafka.produce(topic, 1, partition=aborted)
    wait_for(lambda: backlog() == [0, 0, 1], "the record behind the aborted transaction")
    watcher.collector.close()


def stable_ends(kafka: Playground, topic: str, partitions: int) -> list[int]:
    """Return up to where readers of committed data get."""
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    asked = {TopicPartition(topic, number): latest for number in range(partitions)}
    found = kafka.admin.list_offsets(asked, isolation_level=IsolationLevel.READ_COMMITTED)
    return [found[partition].result(60).offset for partition in asked]


def test_a_topic_that_was_made_again_starts_a_new_history(kafka: Playground, watcher: Watcher) -> None:
    topic, group = kafka.topic("orders"), kafka.name("billing")
    past = time.time() - 5000
    kafka.produce(topic, 100, timestamp=lambda _: past)
    kafka.commit(group, topic, 90)
    watcher.look()
    before = watcher.look().parts
    assert before is not None

    kafka.delete_topic(topic)
    kafka.topic("orders")
    kafka.produce(topic, 20)
    kafka.commit(group, topic, 5)
    watcher.look()
    watcher.look()
    seen = watcher.subscription(group, topic)
    assert (seen.backlog_messages, seen.rewinds_total, seen.lost_messages_total) == (15, 0, 0)
    assert seen.oldest_age.seconds is not None
    assert seen.oldest_age.seconds < 60  # nothing of the old log's times
    after = watcher.snapshot.parts
    assert after is not None
    assert not set(before.ids.tolist()) & set(after.ids.tolist())


def test_the_age_of_the_oldest_unread_record_is_found_without_reading_it(kafka: Playground, watcher: Watcher) -> None:
    topic, group = kafka.topic("orders", config={"retention.ms": str(7200 * 1000)}), kafka.name("billing")
    now = time.time()
    gaps = np.cumsum(np.random.default_rng(1).exponential(20.0, 200))  # bursts and pauses over more than an hour
    stamps = (now - gaps[::-1] - 60).tolist()
    kafka.produce(topic, 200, timestamp=lambda number: stamps[number])
    kafka.commit(group, topic, 120)

    def error() -> float:
        now = watcher.look().taken_at
        (row,) = watcher.rows("group_partitions", group=group)
        return float(abs(row[SECONDS] - (now - stamps[120])) / (now - stamps[120]))

    assert error() < 0.5  # already in the first cycle
    wait_for(lambda: error() < 0.02, "the record's age")
    assert watcher.subscription(group, topic).oldest_age.method in (AgeMethod.INTERPOLATED, AgeMethod.EXACT)
    (row,) = watcher.rows("group_partitions", group=group)
    (pair,) = watcher.rows("group_topics", group=group)
    left = 7200 - row[SECONDS]
    assert pair["kafka_consumer_group_time_to_loss_seconds"] == pytest.approx(left, abs=1.0)
    assert pair["kafka_consumer_group_retention_margin_ratio"] == pytest.approx(left / 7200, abs=0.01)


def test_times_that_producers_made_up_give_no_age_beyond_theirs(kafka: Playground, watcher: Watcher) -> None:
    began, group = time.time(), kafka.name("billing")
    ahead = kafka.topic("ahead", config={"message.timestamp.after.max.ms": str(2**63 - 1)})
    ancient = kafka.topic("ancient", config={"retention.ms": "-1"})
    kafka.produce(ahead, 10, timestamp=lambda number: began + 3 * 86400)
    kafka.produce(ancient, 10, timestamp=lambda number: 1000.0 + number)
    for topic in (ahead, ancient):
        kafka.commit(group, topic, 3)
    watcher.look()
    young, old = (watcher.subscription(group, topic).oldest_age for topic in (ahead, ancient))
    assert young.seconds is not None
    assert 0 <= young.seconds <= time.time() - began  # it came after that, whatever it says
    assert old.seconds == pytest.approx(time.time() - 1003, rel=0.02)


def test_rows_that_stay_the_same_keep_their_labels(kafka: Playground, watcher: Watcher) -> None:
    topic, group = kafka.topic("orders", partitions=3), kafka.name("billing")
    kafka.commit(group, topic, 0)
    first = watcher.look().tables
    second = watcher.look().tables
    assert all(first[name].labels is second[name].labels for name in first)

    kafka.commit(group, topic, 0, partition=2)
    third = watcher.look().tables
    assert third["group_partitions"].labels is not first["group_partitions"].labels
    assert third["partitions"].labels is first["partitions"].labels


def test_topics_that_are_left_out_are_not_asked_about(kafka: Playground) -> None:
    kept, other, group = kafka.topic("kept"), kafka.topic("other"), kafka.name("billing")
    kafka.commit(group, kept, 0)
    kafka.commit(group, other, 0)
    watcher = Watcher(kafka.collector(topics={"include": [kept]}))
    watcher.look()
    assert [seen.destination for seen in watcher.snapshot.subscriptions] == [kept]
    assert watcher.snapshot.expected == 1
    watcher.collector.close()


def test_granularity_topic_leaves_rows_by_partition_out(kafka: Playground) -> None:
    topic, group = kafka.topic("orders"), kafka.name("billing")
    kafka.commit(group, topic, 0)
    watcher = Watcher(kafka.collector(granularity="topic"))
    tables = watcher.look().tables
    assert {"group_partitions", "partitions"}.isdisjoint(tables)
    assert len(tables["group_topics"]) == 1
    watcher.collector.close()


def test_a_large_group_is_read_in_chunks_with_the_same_result(kafka: Playground, watcher: Watcher) -> None:
    topic, group = kafka.topic("orders", partitions=300), kafka.name("billing")
    kafka.commit_everywhere(group, topic, [0] * 300)
    wait_for(lambda: watcher.look().errors == (), "leaders that know that they lead")
    kafka.produce(topic, 3, partition=299)
    kafka.commit(group, topic, 2, partition=299)
    watcher.look()  # by named partitions, now that they are known
    rows = watcher.rows("group_partitions", group=group)
    assert len(rows) == 300
    assert [number for number, row in enumerate(rows) if row[LAG]] == [299]
    seen = watcher.subscription(group, topic)
    assert (seen.backlog_messages, seen.expected, seen.measured) == (1, 300, 300)


def test_an_offset_ahead_of_the_log_is_told_and_not_taken_for_zero_lag(kafka: Playground, watcher: Watcher) -> None:
    topic, group = kafka.topic("orders", partitions=2), kafka.name("billing")
    kafka.produce(topic, 10)
    kafka.commit_everywhere(group, topic, [50, 0])
    watcher.look()
    ahead, other = watcher.rows("group_partitions", group=group)
    assert LAG not in ahead
    assert other[LAG] == 0
    seen = watcher.subscription(group, topic)
    assert (seen.backlog_messages, seen.expected, seen.measured) == (None, 2, 1)
    (error,) = watcher.snapshot.errors
    assert (error.reason, error.target) == ("bad_answer", f"topic {topic}")
    assert watcher.rows("group_topics", group=group)[0]["kafka_consumer_group_partitions_ahead_of_log"] == 1
