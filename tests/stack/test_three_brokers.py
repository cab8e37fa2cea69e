"""A whole stack with three Kafka brokers: what is frozen or killed is missed by nobody but its own clients."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from stack import Options, Stack, StackError
from stack.kafka.wire import describe_cluster
from stack.processes import find_marked, mark_of
from stack.web import get
from tests.stack.conftest import Until

LISTENING = "0A"
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of the module's own, to break."""
    stack = Stack(tmp_path_factory.mktemp("three"), Options(kafka_brokers=3))
    stack.start()
    yield stack
    stack.stop()


@pytest.fixture(scope="module")
def admin(stack: Stack) -> AdminClient:
    return AdminClient({"bootstrap.servers": stack.endpoints.kafka})


def states(stack: Stack) -> dict[str, str]:
    return {server.name: server.state for server in stack.status()}


def produce(bootstrap: str, topic: str, partitions: int) -> list[KafkaError | None]:
    """Send one record to each partition, acknowledged by all replicas in sync; give how that went."""
    outcomes: list[KafkaError | None] = []

    def note(error: KafkaError | None, _message: Message) -> None:
        outcomes.append(error)

    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0})
    for partition in range(partitions):
        producer.produce(topic, b"value", partition=partition, on_delivery=note)
    producer.flush(30)
    return outcomes


def listening_addresses(pids: list[int]) -> set[str]:
    """The local addresses, as /proc writes them, on which these processes listen."""
    sockets = {str(fd.readlink()) for pid in pids for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    inodes = {match[1] for name in sockets if (match := re.fullmatch(r"socket:\[(\d+)\]", name))}
    rows = [
        line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return {row[1].partition(":")[0] for row in rows if row[3] == LISTENING and row[9] in inodes}


def test_everything_runs_and_nothing_listens_beyond_loopback(stack: Stack) -> None:
    assert states(stack) == dict.fromkeys(("kafka-1", "kafka-2", "kafka-3", "rabbitmq", "aws"), "running")
    addresses = listening_addresses(find_marked([mark_of(stack.directory)]))
    assert addresses
    assert addresses <= LOOPBACK


def test_the_endpoints_have_the_shape_that_others_rely_on(stack: Stack) -> None:
    values = stack.endpoints.values
    assert set(values) == {"kafka", "rabbitmq", "aws"}
    assert re.fullmatch(r"127\.0\.0\.1:\d+(,127\.0\.0\.1:\d+){2}", values["kafka"])
    assert re.fullmatch(r"amqp://\w+:\w+@127\.0\.0\.1:\d+/%2F", values["rabbitmq"]["amqp"])
    assert re.fullmatch(r"http://\w+:\w+@127\.0\.0\.1:\d+", values["rabbitmq"]["management"])
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", values["rabbitmq"]["prometheus"])
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", values["aws"])
    assert (stack.directory / "endpoints.json").stat().st_mode & 0o777 == 0o600


def test_internal_topics_have_three_replicas_two_in_sync(stack: Stack, admin: AdminClient, until: Until) -> None:
    consumer = Consumer({"bootstrap.servers": stack.endpoints.kafka, "group.id": "first"})

    def has_coordinator() -> bool:
        try:
            consumer.committed([TopicPartition("any", 0)], timeout=30)
        except KafkaException:  # not yet, or on its way to another broker
            return False
        return True

    until(has_coordinator, "a coordinator: the first group brings the topic into being")
    consumer.close()
    replicas = [len(p.replicas) for p in admin.list_topics(timeout=30).topics["__consumer_offsets"].partitions.values()]
    assert replicas == [3] * 10
    broker, topic = ConfigResource(ResourceType.BROKER, "1"), ConfigResource(ResourceType.TOPIC, "__consumer_offsets")
    settings = admin.describe_configs([broker])[broker].result()
    assert settings["transaction.state.log.min.isr"].value == "2"
    assert settings["share.coordinator.state.topic.min.isr"].value == "2"
    assert admin.describe_configs([topic])[topic].result()["min.insync.replicas"].value == "2"


def test_a_topic_with_one_replica_is_written_to_all_the_same(stack: Stack, admin: AdminClient) -> None:
    admin.create_topics([NewTopic("alone", num_partitions=3, replication_factor=1)])["alone"].result(30)
    assert produce(stack.endpoints.kafka, "alone", 3) == [None] * 3


def test_with_one_broker_frozen_the_other_two_serve(stack: Stack, admin: AdminClient, until: Until) -> None:
    admin.create_topics([NewTopic("frozen", num_partitions=3, replication_factor=3)])["frozen"].result(30)
    stack.freeze("kafka-2")
    began = time.monotonic()
    assert states(stack)["kafka-2"] == "frozen"
    assert produce(stack.endpoints.kafka, "frozen", 3) == [None] * 3
    assert time.monotonic() - began < 25
    until(lambda: 2 not in describe_cluster(port_of(stack, "kafka-1")).brokers, "the frozen broker's fencing")
    stack.thaw("kafka-2")
    until(lambda: 2 in describe_cluster(port_of(stack, "kafka-1")).brokers, "its return")
    assert states(stack)["kafka-2"] == "running"


def test_a_killed_broker_comes_back_on_its_port_with_its_data(stack: Stack, admin: AdminClient) -> None:
    port = port_of(stack, "kafka-3")
    stack.kill("kafka-3")
    assert states(stack)["kafka-3"] == "stopped"
    with pytest.raises(StackError, match="kafka-3 does not run"):
        stack.kill("kafka-3")
    stack.restart("kafka-3")
    assert port_of(stack, "kafka-3") == port
    assert 3 in describe_cluster(port).brokers
    assert "frozen" in admin.list_topics(timeout=30).topics


def test_a_frozen_rabbitmq_answers_nothing_until_it_is_thawed(stack: Stack) -> None:
    port = int(stack.endpoints.rabbitmq.prometheus.rpartition(":")[2])
    stack.freeze("rabbitmq")
    with pytest.raises(TimeoutError):
        get(port, "/metrics", timeout_seconds=0.5)
    stack.thaw("rabbitmq")
    assert get(port, "/metrics", timeout_seconds=30)[0] == 200


def test_a_start_of_another_make_is_refused_while_this_one_is_up(stack: Stack) -> None:
    with pytest.raises(StackError, match=r"\(3 Kafka brokers, RabbitMQ as installed, the AWS stand-in\): take it down"):
        Stack(stack.directory, Options(kafka_brokers=1)).start()


def test_a_start_that_chooses_nothing_takes_what_is_up(stack: Stack) -> None:
    assert Stack(stack.directory).start() == stack.endpoints


def test_a_name_that_the_stack_does_not_have_is_answered_with_those_that_it_has(stack: Stack) -> None:
    with pytest.raises(StackError, match="has no pulsar; it has kafka, kafka-1, kafka-2, kafka-3, rabbitmq, aws"):
        stack.freeze("pulsar")


def port_of(stack: Stack, name: str) -> int:
    addresses = {server.name: server.address for server in stack.status()}
    return int(addresses[name].rpartition(":")[2])
