"""What the whole collector makes of sources that disagree, with a mock broker."""

import json
import math
import time
from typing import Any
from unittest.mock import ANY

import pytest

from monitor.brokers.rabbitmq.collector import RabbitCollector
from monitor.clock import Clock
from monitor.config import RabbitCluster
from monitor.errors import BadAnswer
from monitor.model import Snapshot
from tests.unit.rabbitmq.conftest import Answer, MockBroker
from tests.waiting import wait_for

PLUGIN = b"""# TYPE rabbitmq_detailed_queue_messages_ready gauge
# HELP rabbitmq_detailed_queue_messages_ready Messages ready to be delivered to consumers
rabbitmq_detailed_queue_messages_ready{vhost="/",queue="near"} 4
# TYPE rabbitmq_identity_info untyped
# HELP rabbitmq_identity_info RabbitMQ node & cluster identity info
rabbitmq_identity_info{rabbitmq_node="rabbit@one",rabbitmq_cluster="c"} 1
"""


def ok(body: object) -> Answer:
    return 200, json.dumps(body).encode()


def row(name: str, node: str) -> dict[str, Any]:
    return {"vhost": "/", "name": name, "node": node, "messages_ready": 7, "effective_policy_definition": {}}


def management(broker: MockBroker) -> None:
    """Let it tell of two nodes, with a queue on each."""
    broker.answers |= {
        "/api/overview": ok({"rabbitmq_version": "3.10.8", "node": "rabbit@one", "rates_mode": "basic"}),
        "/api/queues": ok({"items": [row("near", "rabbit@one"), row("far", "rabbit@two")], "page_count": 1}),
        "/api/nodes": ok([{"name": name, "running": True} for name in ("rabbit@one", "rabbit@two")]),
        **{f"/api/{path}": ok([]) for path in ("exchanges", "bindings", "policies", "operator-policies")},
    }


def ready(snapshot: Snapshot) -> dict[str, float]:
    table = snapshot.tables["queues"]
    names = next(label for label in table.labels if label.name == "queue").decode()
    return dict(zip(names, table.columns["rabbitmq_queue_messages_ready"].tolist(), strict=True))


def test_queues_of_other_nodes_are_unknown_once_the_api_has_failed_for_three_cycles(mock_broker: MockBroker) -> None:
    management(mock_broker)
    mock_broker.answers |= {"/metrics/detailed": (200, PLUGIN), "/metrics": (200, PLUGIN)}
    ahead = 0.0
    url = f"http://127.0.0.1:{mock_broker.port}"
    config = RabbitCluster.model_validate(
        {"name": "mail", "kind": "rabbitmq", "interval": "10s", "prometheus_url": url, "management_url": url}
    )
    collector = RabbitCollector(config, [], Clock(monotonic=lambda: time.monotonic() + ahead))

    def look() -> Snapshot:
        return collector.collect(time.monotonic() + ahead + 10)

    assert ready(look()) == {"near": 4.0, "far": 7.0}
    mock_broker.answers["/api/overview"] = (500, b"{}")
    ahead += 20
    snapshot = wait_for(lambda: s if (s := look()).errors else None, "the failure of the API")
    assert [error.reason for error in snapshot.errors] == ["bad_answer"]
    assert (ready(snapshot), snapshot.measured) == ({"near": 4.0, "far": 7.0}, 2)
    ahead += 20
    snapshot = look()
    assert ready(snapshot)["near"] == 4.0
    assert math.isnan(ready(snapshot)["far"])
    assert (snapshot.measured, snapshot.expected) == (1, 2)
    collector.close()


def test_labels_that_queues_of_two_virtual_hosts_have_are_told(mock_broker: MockBroker) -> None:
    management(mock_broker)
    rows = [row("a/b", "rabbit@one"), {**row("b", "rabbit@one"), "vhost": "a"}]
    mock_broker.answers["/api/queues"] = ok({"items": rows, "page_count": 1})
    url = f"http://127.0.0.1:{mock_broker.port}"
    config = RabbitCluster.model_validate({"name": "mail", "kind": "rabbitmq", "management_url": url})
    collector = RabbitCollector(config, [], Clock())
    snapshot = collector.collect(time.monotonic() + 10)
    assert {it.id for it in snapshot.subscriptions} == {"mail/a%2Fb", "mail/a/b"}
    assert [note for note in snapshot.notes if "have the same label (a/b)" in note]
    collector.close()


def test_where_no_list_is_told_the_queues_of_the_node_that_answers_are_asked_for_alone(mock_broker: MockBroker) -> None:
    management(mock_broker)
    url = f"http://127.0.0.1:{mock_broker.port}"
    config = RabbitCluster.model_validate({"name": "mail", "kind": "rabbitmq", "management_url": url})
    ahead = 0.0
    collector = RabbitCollector(config, [], Clock(monotonic=lambda: time.monotonic() + ahead))

    def look() -> Snapshot:
        return collector.collect(time.monotonic() + ahead + 10)

    assert ready(look()) == {"near": 7.0, "far": 7.0}
    mock_broker.answers["/api/overview"] = (500, b"{}")
    mock_broker.answers["/api/queues/%2F/near"] = ok({"messages_ready": 9})
    ahead += 100
    snapshot = look()
    assert ready(snapshot)["near"] == 9.0
    assert math.isnan(ready(snapshot)["far"])
    assert (snapshot.measured, snapshot.expected) == (1, 2)
    assert [error.reason for error in snapshot.errors] == ["bad_answer"]
    assert ("/api/queues/%2F/far", ANY) not in mock_broker.asked  # its node would keep the answer back
    assert "queue by queue" in snapshot.notes[0]

    mock_broker.answers["/api/queues/%2F/near"] = ok({"name": "near"})  # as before RabbitMQ 4: no numbers
    with pytest.raises(BadAnswer):
        look()

    del mock_broker.answers["/api/queues/%2F/near"]
    assert set(ready(look())) == {"far"}  # deleted meanwhile
    management(mock_broker)
    ahead += 100
    wait_for(lambda: ready(look()) == {"near": 7.0, "far": 7.0}, "the list")
    collector.close()
