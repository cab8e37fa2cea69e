"""What is read from the plugin's pages, recorded from brokers of several versions and served by a mock one."""

import time

import pytest

from monitor.brokers.rabbitmq.client import NotThere
from monitor.brokers.rabbitmq.prometheus_source import PrometheusSource, parse_totals
from monitor.errors import BadAnswer
from tests.unit.rabbitmq.builders import nan_equal
from tests.unit.rabbitmq.conftest import MockBroker

HOSTILE = r"q\"uo\\te/ü x"
# Recorded from 4.0.5, with the families that are not read left out.
V4 = rf"""# TYPE rabbitmq_detailed_queue_messages_ready gauge
# HELP rabbitmq_detailed_queue_messages_ready Messages ready to be delivered to consumers
rabbitmq_detailed_queue_messages_ready{{vhost="/",queue="{HOSTILE}"}} 4
rabbitmq_detailed_queue_messages_ready{{vhost="/",queue="stream"}} 5
rabbitmq_detailed_queue_messages_ready{{vhost="/",queue="dead"}} 1
# TYPE rabbitmq_detailed_queue_messages_unacked gauge
# HELP rabbitmq_detailed_queue_messages_unacked Messages delivered to consumers but not yet acknowledged
rabbitmq_detailed_queue_messages_unacked{{vhost="/",queue="{HOSTILE}"}} 2
rabbitmq_detailed_queue_messages_unacked{{vhost="/",queue="stream"}} 0
rabbitmq_detailed_queue_messages_unacked{{vhost="/",queue="dead"}} 0
# TYPE rabbitmq_detailed_queue_messages_bytes gauge
# HELP rabbitmq_detailed_queue_messages_bytes Size in bytes of ready and unacknowledged messages
rabbitmq_detailed_queue_messages_bytes{{vhost="/",queue="{HOSTILE}"}} 40
rabbitmq_detailed_queue_messages_bytes{{vhost="/",queue="dead"}} 1.2e1
# TYPE rabbitmq_detailed_queue_get_ack_total counter
# HELP rabbitmq_detailed_queue_get_ack_total Total number of messages fetched
rabbitmq_detailed_queue_get_ack_total{{vhost="/",queue="{HOSTILE}"}} 1
# TYPE rabbitmq_detailed_queue_get_total counter
# HELP rabbitmq_detailed_queue_get_total Total number of messages fetched in automatic acknowledgement mode
rabbitmq_detailed_queue_get_total{{vhost="/",queue="{HOSTILE}"}} 2
# TYPE rabbitmq_detailed_queue_messages_delivered_ack_total counter
# HELP rabbitmq_detailed_queue_messages_delivered_ack_total Total number of messages delivered
rabbitmq_detailed_queue_messages_delivered_ack_total{{vhost="/",queue="{HOSTILE}"}} 4
# TYPE rabbitmq_detailed_queue_messages_delivered_total counter
# HELP rabbitmq_detailed_queue_messages_delivered_total Total number of messages delivered
rabbitmq_detailed_queue_messages_delivered_total{{vhost="/",queue="{HOSTILE}"}} 8
# TYPE rabbitmq_detailed_queue_messages_acked_total counter
# HELP rabbitmq_detailed_queue_messages_acked_total Total number of messages acknowledged
rabbitmq_detailed_queue_messages_acked_total{{vhost="/",queue="{HOSTILE}"}} 3
# TYPE rabbitmq_detailed_queue_exchange_messages_published_total counter
# HELP rabbitmq_detailed_queue_exchange_messages_published_total Total number of messages published
rabbitmq_detailed_queue_exchange_messages_published_total{{vhost="/",exchange="",queue="{HOSTILE}"}} 5
rabbitmq_detailed_queue_exchange_messages_published_total{{vhost="/",exchange="orders",queue="{HOSTILE}"}} 6
# TYPE rabbitmq_detailed_queue_info gauge
# HELP rabbitmq_detailed_queue_info A metric with a constant '1' value
rabbitmq_detailed_queue_info{{vhost="/",queue="stream",queue_type="rabbit_stream_queue",membership="leader"}} 1
# TYPE rabbitmq_build_info untyped
# HELP rabbitmq_build_info RabbitMQ & Erlang/OTP version info
rabbitmq_build_info{{rabbitmq_version="4.0.5",prometheus_plugin_version="4.0.5",erlang_version="27"}} 1
# TYPE rabbitmq_identity_info untyped
# HELP rabbitmq_identity_info RabbitMQ node & cluster identity info
rabbitmq_identity_info{{rabbitmq_node="rabbit@one",rabbitmq_cluster="c"}} 1
""".encode()
# Recorded from 3.10.8: no escapes, no counters of queues.
V3 = b"""# TYPE rabbitmq_detailed_queue_messages_ready gauge
# HELP rabbitmq_detailed_queue_messages_ready Messages ready to be delivered to consumers
rabbitmq_detailed_queue_messages_ready{vhost="/",queue="q"uo\\te"} 4
# TYPE rabbitmq_detailed_queue_head_message_timestamp gauge
# HELP rabbitmq_detailed_queue_head_message_timestamp Timestamp of the first message in the queue, if any
# TYPE rabbitmq_build_info untyped
# HELP rabbitmq_build_info RabbitMQ & Erlang/OTP version info
rabbitmq_build_info{rabbitmq_version="3.10.8",prometheus_plugin_version="3.10.8",erlang_version="25.2.3"} 1
"""


def source_of(broker: MockBroker, vhosts: tuple[str, ...] = (), skip: str = "") -> PrometheusSource:
    return PrometheusSource(broker.client(), lambda key: key[1] != skip, vhosts)


def soon() -> float:
    return time.monotonic() + 5


def test_version_4_tells_everything_in_one_page(mock_broker: MockBroker) -> None:
    mock_broker.answers["/metrics/detailed"] = (200, V4)
    source = source_of(mock_broker)
    found = source.read(soon())
    assert found.keys == (("/", "dead"), ("/", 'q"uo\\te/ü x'), ("/", "stream"))
    assert nan_equal(found.column("ready"), [1, 4, 5])
    assert nan_equal(found.column("unacked"), [0, 2, 0])
    assert nan_equal(found.column("bytes"), [12, 40, None])
    assert nan_equal(found.column("published"), [0, 11, 0])
    assert nan_equal(found.column("delivered"), [0, 15, 0])
    assert nan_equal(found.column("acked"), [0, 3, 0])
    assert nan_equal(found.column("auto_acked"), [0, 10, 0])
    assert (source.node, source.version, source.counts) == ("rabbit@one", "4.0.5", True)
    assert source.types == {("/", "stream"): "stream"}


def test_version_3_tells_names_as_they_are_and_no_counters(mock_broker: MockBroker) -> None:
    mock_broker.answers["/metrics/detailed"] = (200, V3)
    source = source_of(mock_broker)
    found = source.read(soon())
    assert found.keys == (("/", 'q"uo\\te'),)
    assert nan_equal(found.column("head"), [None])
    assert nan_equal(found.column("acked"), [None])
    assert not source.counts


def test_the_rows_stay_while_the_queues_do(mock_broker: MockBroker) -> None:
    mock_broker.answers["/metrics/detailed"] = (200, V4)
    source = source_of(mock_broker)
    first = source.read(soon())
    assert source.read(soon()).keys is first.keys
    mock_broker.answers["/metrics/detailed"] = (200, V4.replace(b'queue="dead"', b'queue="new"'))
    assert [name for _, name in source.read(soon()).keys] == ["new", 'q"uo\\te/ü x', "stream"]


def test_the_same_page_from_an_upgraded_broker_is_read_by_its_new_rules(mock_broker: MockBroker) -> None:
    old = V4.replace(b"4.0.5", b"3.12.0")
    source = source_of(mock_broker)
    mock_broker.answers["/metrics/detailed"] = (200, old)
    assert ("/", HOSTILE) in source.read(soon()).keys
    mock_broker.answers["/metrics/detailed"] = (200, V4)
    assert ("/", 'q"uo\\te/ü x') in source.read(soon()).keys


def test_unwanted_queues_are_left_out(mock_broker: MockBroker) -> None:
    mock_broker.answers["/metrics/detailed"] = (200, V4)
    found = source_of(mock_broker, skip="stream").read(soon())
    assert ("/", "stream") not in found.keys
    assert nan_equal(found.column("ready"), [1, 4])


def test_only_the_virtual_hosts_that_are_wanted_are_asked_for(mock_broker: MockBroker) -> None:
    mock_broker.answers["/metrics/detailed"] = (200, V4)
    source_of(mock_broker, ("sales", "stock/eu")).read(soon())
    assert mock_broker.asked[0][1]["vhost"] == ["sales", "stock/eu"]


def test_of_many_queues_sizes_are_left_to_others_where_these_have_them(mock_broker: MockBroker) -> None:
    many = "".join(f'rabbitmq_detailed_queue_messages_ready{{vhost="/",queue="q{n}"}} 1\n' for n in range(1_001))
    page = f"# TYPE rabbitmq_detailed_queue_messages_ready gauge\n{many}"
    mock_broker.answers["/metrics/detailed"] = (200, page.encode())
    source = source_of(mock_broker)
    for frugal in (True, True, False):  # how many there are is known after the first time
        source.read(soon(), frugal=frugal)
    families = [query["family"][-1] for _, query in mock_broker.asked]
    assert families == ["queue_metrics", "queue_consumer_count", "queue_metrics"]


def test_a_plugin_without_the_page_is_told(mock_broker: MockBroker) -> None:
    with pytest.raises(NotThere):
        source_of(mock_broker).read(soon())


def test_a_page_that_is_something_else_is_told(mock_broker: MockBroker) -> None:
    mock_broker.answers["/metrics/detailed"] = (200, b"<html>hello</html>")
    with pytest.raises(BadAnswer, match="does not tell details of queues"):
        source_of(mock_broker).read(soon())


CLASSIC = 'queue_type="rabbit_classic_queue",dead_letter_strategy="disabled"'
QUORUM = 'queue_type="rabbit_quorum_queue",dead_letter_strategy="at_least_once"'
TOTALS = f"""# TYPE rabbitmq_alarms_memory_used_watermark untyped
rabbitmq_alarms_memory_used_watermark 1
# TYPE rabbitmq_alarms_free_disk_space_watermark untyped
rabbitmq_alarms_free_disk_space_watermark 0
# TYPE erlang_vm_dist_node_state gauge
erlang_vm_dist_node_state{{peer="rabbit@two"}} 3
erlang_vm_dist_node_state{{peer="rabbitmqcli-77-rabbit@one"}} 3
# TYPE rabbitmq_global_messages_dead_lettered_rejected_total counter
rabbitmq_global_messages_dead_lettered_rejected_total{{{CLASSIC}}} 3
# TYPE rabbitmq_global_messages_dead_lettered_confirmed_total counter
rabbitmq_global_messages_dead_lettered_confirmed_total{{{QUORUM}}} 9
# TYPE rabbitmq_global_messages_unroutable_dropped_total counter
rabbitmq_global_messages_unroutable_dropped_total{{protocol="amqp091"}} 2
rabbitmq_global_messages_unroutable_dropped_total{{protocol="amqp10"}} 5
# TYPE rabbitmq_global_messages_unroutable_returned_total counter
rabbitmq_global_messages_unroutable_returned_total{{protocol="amqp091"}} 0
""".encode()


def test_the_node_tells_its_counters_and_alarms() -> None:
    found = parse_totals(TOTALS, "rabbit@one")
    assert found.dead_lettered == {("rejected", "disabled", "classic"): 3.0}
    assert found.unroutable == {("dropped",): 7.0, ("returned",): 0.0}
    assert found.alarms == {"memory": 1.0, "disk": 0.0}
    assert found.peers == {"rabbit@two"}


def test_what_a_version_does_not_count_is_not_zero() -> None:
    found = parse_totals(b"# TYPE rabbitmq_queues gauge\nrabbitmq_queues 4\n", "rabbit@one")
    assert (found.dead_lettered, found.unroutable, found.alarms) == ({}, {}, {})
