"""Both ways to read what groups have committed tell the same, through all that can happen to a commit."""

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from monitor.brokers.kafka.collector import KafkaCollector
from monitor.brokers.kafka.metadata import keeper_of, read_listing
from monitor.clock import Clock
from monitor.config import Filter, KafkaCluster
from monitor.model import Subscription, decode_id
from tests.integration.kafka.playground import Playground, Watcher, wait_for
from tests.integration.secured.brokers import SecuredBrokers

USER = "narrow"
TOPIC = "__consumer_offsets"
LAG = "kafka_consumer_group_lag_messages"
COMMITTED = "kafka_consumer_group_committed_offset"


class Both:
    """The same cluster watched in both ways. Each look asserts that they agree."""

    def __init__(self, kafka: Playground) -> None:
        self._kafka = kafka
        self.asking = Watcher(kafka.collector())
        self.reading = Watcher(kafka.collector(commits="offsets_topic"))

    def look(self) -> Watcher:
        """Let both look at a cluster in which nothing happens, and return what one saw, which the other saw too."""
        self.asking.look()
        self.reading.look()
        assert self.reading.snapshot.errors == self.asking.snapshot.errors
        # Some commits here are beyond the end of the log, which is told, and is all that may be told.
        assert {error.reason for error in self.reading.snapshot.errors} <= {"bad_answer"}
        assert _told(self.reading) == _told(self.asking)
        assert _rows(self.reading) == _rows(self.asking)
        return self.reading

    def offsets(self, group: str) -> list[float]:
        """What a group has committed now, by topic and partition."""
        return [row[COMMITTED] for row in self.look().rows("group_partitions", group=group)]

    def restart_reading(self) -> None:
        """Let a new collector begin from nothing."""
        self.reading.collector.close()
        self.reading = Watcher(self._kafka.collector(commits="offsets_topic"))

    def close(self) -> None:
        self.asking.collector.close()
        self.reading.collector.close()


def _rows(watcher: Watcher) -> dict[tuple[str, ...], tuple[float | None, ...]]:
    """Lag and committed offset of each group and partition; a number that is not known is None."""
    table = watcher.snapshot.tables["group_partitions"]
    labels = zip(*(label.decode() for label in table.labels), strict=True)
    columns = (table.columns[name].tolist() for name in (LAG, COMMITTED))
    values = [tuple(None if value != value else value for value in row) for row in zip(*columns, strict=True)]
    return dict(zip(labels, values, strict=True))


def _told(watcher: Watcher) -> list[tuple[object, ...]]:
    def facts(seen: Subscription) -> tuple[object, ...]:
        return seen.id, seen.backlog_messages, seen.expected, seen.measured, seen.consumers

    return sorted(map(facts, watcher.snapshot.subscriptions))


@pytest.fixture
def both(kafka: Playground) -> Iterator[Both]:
    both = Both(kafka)
    yield both
    both.close()


def test_commits_going_on_going_back_and_restarts_of_the_monitor(kafka: Playground, both: Both) -> None:
    topic, group = kafka.topic("orders", partitions=3), kafka.name("billing")
    kafka.produce(topic, 100)
    for offset in (20, 80, 10):
        kafka.commit(group, topic, offset)
        assert both.offsets(group) == [offset]
    kafka.commit(group, topic, 0, partition=2)
    assert both.offsets(group) == [10, 0]
    both.restart_reading()
    both.reading.look()
    assert both.reading.rows("group_partitions", group=group)[0][COMMITTED] == 10


def test_groups_are_told_by_whatever_name_they_have(kafka: Playground, both: Both) -> None:
    topic = kafka.topic("orders")
    kafka.produce(topic, 5)
    ends = ("ünï-漢字-😀", 'quo"te', "back\\slash", "line\nbreak", "50%/slash", " ", "x" * 238)
    names = {kafka.name(end) for end in ends}
    for name in names:
        kafka.commit(name, topic, 2)
    seen = both.look().snapshot.subscriptions
    assert {decode_id(it.id): it.backlog_messages for it in seen} == {("test", name, topic): 3.0 for name in names}


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_members_that_have_committed_on_some_of_their_partitions(kafka: Playground, both: Both, protocol: str) -> None:
    topic, group = kafka.topic("orders", partitions=3), kafka.name("billing")
    kafka.produce(topic, 10, partition=1)
    consumer = kafka.consumer(group, [topic], group_protocol=protocol)
    consumer.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=False)
    seen = both.look().subscription(group, topic)
    assert (seen.backlog_messages, seen.expected, seen.measured) == (None, 3, 2)
    consumer.close()


def test_deleted_groups_and_topics_take_their_commits_with_them(kafka: Playground, both: Both) -> None:
    kept, deleted = kafka.topic("kept"), kafka.topic("deleted")
    staying, leaving = kafka.name("staying"), kafka.name("leaving")
    kafka.produce(kept, 5)
    for group in (staying, leaving):
        kafka.commit(group, kept, 1)
        kafka.commit(group, deleted, 2)
    assert len(both.look().snapshot.subscriptions) == 4
    kafka.delete_group(leaving)
    kafka.delete_topic(deleted)
    wait_for(lambda: len(_settled(both).snapshot.subscriptions) == 1, "the deletions")
    kafka.topic("deleted")
    assert both.look().subscription(staying, kept).measured == 1
    kafka.commit(leaving, deleted, 5)
    assert both.offsets(leaving) == [5]
    both.restart_reading()
    assert both.offsets(leaving) == [5]


def _settled(both: Both) -> Watcher:
    """Look without comparing, while coordinators are still clearing away."""
    both.asking.look()
    both.reading.look()
    return both.asking if len(both.asking.snapshot.subscriptions) > 1 else both.reading


def test_offsets_of_a_transaction_count_when_it_has_ended_well_and_hold_nobody_else_up(
    kafka: Playground, both: Both
) -> None:
    topic, group = kafka.topic("orders"), kafka.name("billing")
    kafka.produce(topic, 100)
    kafka.commit(group, topic, 10)
    neighbour = _of_the_same_partition(kafka, group)
    kafka.commit(neighbour, topic, 1)
    assert both.offsets(group) == [10]

    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": kafka.name("tx")})
    producer.init_transactions(20)
    metadata = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group}).consumer_group_metadata()
    for offset, ended in ((30, producer.abort_transaction), (40, producer.commit_transaction)):
        producer.begin_transaction()
        producer.send_offsets_to_transaction([TopicPartition(topic, 0, offset)], metadata, 20)
        kafka.commit(neighbour, topic, offset + 1)
        assert both.offsets(group) == [10]
        assert both.offsets(neighbour) == [offset + 1]  # its coordinator has it, though it lies behind the open one
        ended(20)
    wait_for(lambda: both.offsets(group) == [40], "the transaction's marker")
    both.restart_reading()
    assert both.offsets(group) == [40]


def _of_the_same_partition(kafka: Playground, group: str) -> str:
    """The name of a group whose commits lie in the same partition of the offsets topic."""
    count = len(read_listing(kafka.admin.list_topics(timeout=20)).coordinators)
    names = (kafka.name(f"neighbour-{number}") for number in range(1000))
    return next(name for name in names if keeper_of(name, count) == keeper_of(group, count))


def test_many_commits_of_many_groups_are_read_in_batches(kafka: Playground, both: Both) -> None:
    topic, groups = kafka.topic("orders", partitions=100), [kafka.name(f"billing-{number}") for number in range(3)]
    wait_for(lambda: both.asking.look().errors == (), "leaders that know that they lead")
    for turn in range(3):
        for group in groups:
            kafka.commit_everywhere(group, topic, [turn] * 100)
    both.restart_reading()
    for group in groups:
        assert both.offsets(group) == [2] * 100


def test_a_missing_right_to_read_the_offsets_topic_is_told_and_makes_groups_unknown(
    secured_brokers: SecuredBrokers,
) -> None:
    secured, kafka = secured_brokers.kafka, Playground(secured_brokers.kafka.plain)
    topic, group = kafka.topic("orders"), kafka.name("billing")
    kafka.produce(topic, 10)
    kafka.commit(group, topic, 4)
    grants = [
        _grant(ResourceType.TOPIC, topic, AclOperation.DESCRIBE),
        _grant(ResourceType.TOPIC, topic, AclOperation.DESCRIBE_CONFIGS),
        _grant(ResourceType.GROUP, group, AclOperation.DESCRIBE),
    ]
    secured.grant(grants)
    cluster = KafkaCluster(
        name="test",
        kind="kafka",
        bootstrap_servers=secured.sasl,
        security=secured.credentials(USER),
        topics=Filter(include=[topic]),
        groups=Filter(include=[group]),
        commits="offsets_topic",
    )
    watcher = Watcher(KafkaCollector(cluster, (), Clock()))
    for operation, said in ((None, "cannot be seen"), (AclOperation.DESCRIBE, "not allowed"), (AclOperation.READ, "")):
        if operation is not None:
            grants.append(_grant(ResourceType.TOPIC, TOPIC, operation))
            secured.grant(grants[-1:])

        def told(said: str = said) -> bool:
            errors = watcher.look().errors
            mine = [error for error in errors if error.target == f"reading {TOPIC}"]
            assert {error.reason for error in errors} <= {"forbidden"}
            return [said in error.message for error in mine] == [True] if said else errors == ()

        wait_for(told, said or "no error")
        (finding,) = [it for it in watcher.collector.check(time.monotonic() + 15) if it.target == f"reading {TOPIC}"]
        assert finding.ok == (not said)
        assert ("grant Read" in finding.remedy) == bool(said)
        assert [seen.backlog_messages for seen in watcher.snapshot.subscriptions] == ([] if said else [6])
    # The group of the reader's own may not be described, which does not matter: it has no member and commits nothing.
    secured.revoke(grants)
    watcher.collector.close()
    kafka.clean()


def _grant(kind: ResourceType, name: str, operation: AclOperation) -> AclBinding:
    pattern, permission = ResourcePatternType.LITERAL, AclPermissionType.ALLOW
    return AclBinding(kind, name, pattern, f"User:{USER}", "*", operation, permission)
