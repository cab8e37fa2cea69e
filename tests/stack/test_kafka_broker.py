"""What a broker is told, by the number of brokers."""

from pathlib import Path

import pytest

from stack.kafka.broker import KafkaBroker, broker_name, controller_port_name
from stack.kafka.wire import describe_cluster
from stack.ports import reserve_ports
from stack.state import Options, State


def broker(count: int, node: int = 1) -> KafkaBroker:
    names = [make(number) for number in range(1, count + 1) for make in (broker_name, controller_port_name)]
    ports = {name: 20_000 + offset for offset, name in enumerate(names)}
    return KafkaBroker(Path("/somewhere"), State(Options(kafka_brokers=count), ports, "abcd", ""), node)


def test_three_brokers_keep_three_replicas_of_internal_topics_two_in_sync() -> None:
    properties = broker(3).properties()
    assert properties["min.insync.replicas"] == "2"
    assert properties["offsets.topic.replication.factor"] == "3"
    assert properties["transaction.state.log.replication.factor"] == "3"
    assert properties["transaction.state.log.min.isr"] == "2"
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:20001,2@127.0.0.1:20003,3@127.0.0.1:20005"


def test_one_broker_needs_no_other() -> None:
    properties = broker(1).properties()
    assert properties["offsets.topic.replication.factor"] == "1"
    assert properties["transaction.state.log.min.isr"] == "1"
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:20001"


@pytest.mark.parametrize("node", [1, 2, 3])
def test_brokers_listen_on_loopback_alone(node: int) -> None:
    listeners = broker(3, node).properties()["listeners"].split(",")
    assert len(listeners) == 2
    assert all("://127.0.0.1:" in listener for listener in listeners)


def test_a_broker_that_is_not_there_is_missing_and_not_an_empty_cluster(own_cache: Path, tmp_path: Path) -> None:
    port = reserve_ports(["nobody"], tmp_path)["nobody"]
    with pytest.raises(ConnectionRefusedError):
        describe_cluster(port)
