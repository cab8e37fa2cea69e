"""What is read from the management API, served by a mock one."""

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from monitor.brokers.rabbitmq.facts import QueueFacts
from monitor.brokers.rabbitmq.management_source import ManagementSource
from monitor.errors import BadAnswer
from tests.unit.rabbitmq.builders import nan_equal
from tests.unit.rabbitmq.conftest import Answer, MockBroker

OVERVIEW = {"rabbitmq_version": "3.10.8", "node": "rabbit@one", "rates_mode": "basic", "disable_stats": False}


def ok(body: object) -> Answer:
    return 200, json.dumps(body).encode()


def soon() -> float:
    return time.monotonic() + 5


def row(name: str, **more: Any) -> dict[str, Any]:
    return {"vhost": "/", "name": name, "arguments": {}, "effective_policy_definition": {}, **more}


def source_of(broker: MockBroker, *rows: dict[str, Any], **overview: Any) -> ManagementSource:
    broker.answers["/api/overview"] = ok(OVERVIEW | overview)
    broker.answers["/api/queues"] = ok({"items": rows, "page_count": 1})
    return ManagementSource(broker.client(), lambda key: key[1] != "unwanted")


def test_all_pages_are_read(mock_broker: MockBroker) -> None:
    def page(query: Mapping[str, list[str]]) -> Answer:
        number = int(query["page"][0])
        return ok({"items": [row(f"q{number}")], "page_count": 3})

    source = source_of(mock_broker)
    mock_broker.answers["/api/queues"] = page
    listing = source.read_queues(soon(), source.read_overview(soon()))
    assert [name for _, name in listing.readings.keys] == ["q1", "q2", "q3"]


def test_a_last_page_that_vanished_meanwhile_ends_the_list(mock_broker: MockBroker) -> None:
    def page(query: Mapping[str, list[str]]) -> Answer:
        if query["page"] == ["1"]:
            return ok({"items": [row("q1")], "page_count": 2})
        return 400, b'{"error":"page_out_of_range","reason":"x"}'

    source = source_of(mock_broker)
    mock_broker.answers["/api/queues"] = page
    assert len(source.read_queues(soon(), source.read_overview(soon())).queues) == 1


def test_a_page_that_fails_fails_the_list(mock_broker: MockBroker) -> None:
    def page(query: Mapping[str, list[str]]) -> Answer:
        return ok({"items": [row("q1")], "page_count": 2}) if query["page"] == ["1"] else (502, b"")

    source = source_of(mock_broker)
    mock_broker.answers["/api/queues"] = page
    with pytest.raises(BadAnswer, match="502"):
        source.read_queues(soon(), source.read_overview(soon()))


def test_numbers_and_facts_are_read(mock_broker: MockBroker) -> None:
    source = source_of(
        mock_broker,
        row(
            "work",
            type="quorum",
            node="rabbit@one",
            durable=True,
            arguments={"x-dead-letter-exchange": "dlx"},
            policy="p",
            effective_policy_definition={"message-ttl": 5},
            messages_ready=3,
            messages_unacknowledged=1,
            consumers=2,
            message_bytes=99,
            head_message_timestamp=1_700_000_000,
            message_stats={
                "publish": 9,
                "deliver_get": 7,
                "ack": 4,
                "deliver_no_ack": 2,
                "get_no_ack": 1,
                "redeliver": 5,
            },
        ),
        row("idle", messages_ready=0, messages_unacknowledged=0, effective_policy_definition=[], arguments=[]),
        row("unwanted"),
    )
    listing = source.read_queues(soon(), source.read_overview(soon()))
    numbers = listing.readings
    assert numbers.keys == (("/", "idle"), ("/", "work"))
    assert nan_equal(numbers.column("ready"), [0, 3])
    assert nan_equal(numbers.column("consumers"), [None, 2])
    assert nan_equal(numbers.column("head"), [None, 1_700_000_000])
    assert nan_equal(numbers.column("published"), [0, 9])
    assert nan_equal(numbers.column("auto_acked"), [0, 3])
    assert listing.queues[1] == QueueFacts(
        ("/", "work"),
        "quorum",
        "rabbit@one",
        arguments={"x-dead-letter-exchange": "dlx"},
        policy="p",
        definition={"message-ttl": 5},
    )


def test_a_broker_without_statistics_is_asked_for_totals_and_known_for_it(mock_broker: MockBroker) -> None:
    source = source_of(mock_broker, disable_stats=True)
    mock_broker.answers["/api/queues"] = ok([row("work", messages_ready=3, messages_unacknowledged=1)])
    overview = source.read_overview(soon())
    numbers = source.read_queues(soon(), overview).readings
    assert mock_broker.asked[-1][1]["enable_queue_totals"] == ["true"]
    assert nan_equal(numbers.column("ready"), [3])
    assert nan_equal(numbers.column("consumers"), [None])
    assert nan_equal(numbers.column("published"), [None])
    assert (overview.stats, overview.counts, overview.unroutable) == (False, False, None)


def test_a_broker_that_keeps_no_rates_has_no_counters(mock_broker: MockBroker) -> None:
    source = source_of(mock_broker, row("work", messages_ready=3), rates_mode="none")
    numbers = source.read_queues(soon(), source.read_overview(soon())).readings
    assert nan_equal(numbers.column("ready"), [3])
    assert nan_equal(numbers.column("published"), [None])


def test_policies_that_the_list_does_not_tell_are_not_taken_for_none(mock_broker: MockBroker) -> None:
    bare = row("work")
    del bare["effective_policy_definition"]
    source = source_of(mock_broker, bare)
    [facts] = source.read_queues(soon(), source.read_overview(soon())).queues
    assert facts.definition is None


def test_the_rows_stay_while_the_queues_do(mock_broker: MockBroker) -> None:
    source = source_of(mock_broker, row("a"), row("b"))
    overview = source.read_overview(soon())
    first = source.read_queues(soon(), overview).readings
    assert source.read_queues(soon(), overview).readings.keys is first.keys


def test_exchanges_and_bindings_are_read_with_alternates_from_policies(mock_broker: MockBroker) -> None:
    mock_broker.answers["/api/policies"] = ok(
        [{"vhost": "/", "name": "spare", "definition": {"alternate-exchange": "lost"}}]
    )
    mock_broker.answers["/api/exchanges"] = ok(
        [
            {"vhost": "/", "name": "orders", "type": "topic", "arguments": {}, "policy": "spare"},
            {"vhost": "/", "name": "later", "type": "x-delayed-message", "arguments": {"x-delayed-type": "direct"}},
        ]
    )
    binding = {"vhost": "/", "source": "orders", "destination": "work", "destination_type": "queue", "routing_key": "#"}
    mock_broker.answers["/api/bindings"] = ok([binding, binding | {"source": "", "routing_key": "work"}])
    found = source_of(mock_broker).read_routes(soon())
    assert [(exchange.name, exchange.type, exchange.alternate) for exchange in found.exchanges] == [
        ("orders", "topic", "lost"),
        ("later", "direct", None),
    ]
    assert [(binding.source, binding.routing_key) for binding in found.bindings] == [("orders", "#")]


def test_nodes_are_read_with_their_alarms(mock_broker: MockBroker) -> None:
    mock_broker.answers["/api/nodes"] = ok(
        [
            {"name": "rabbit@one", "running": True, "mem_alarm": True, "disk_free_alarm": False},
            {"name": "rabbit@two", "running": False},
        ]
    )
    one, two = source_of(mock_broker).read_nodes(soon())
    assert (one.running, one.alarms) == (True, {"memory": 1.0, "disk": 0.0})
    assert (two.running, two.alarms) == (False, {})


@pytest.mark.parametrize("tags", [["monitoring", "policymaker"], "monitoring,policymaker"])
def test_the_user_is_read_from_any_version(mock_broker: MockBroker, tags: object) -> None:
    mock_broker.answers["/api/whoami"] = ok({"name": "me", "tags": tags})
    assert source_of(mock_broker).read_whoami(soon()) == ("me", ("monitoring", "policymaker"))


@pytest.mark.parametrize(
    ("states", "count"),
    [(["running", "blocked", "blocking", "blocked"], 2.0), (["blocked", None], None), ([], 0.0)],
)
def test_connections_that_are_blocked_are_counted_unless_one_does_not_say(
    mock_broker: MockBroker, states: list[str | None], count: float | None
) -> None:
    rows = [{"state": state} if state else {} for state in states]
    mock_broker.answers["/api/connections"] = ok({"items": rows, "page_count": 1})
    assert source_of(mock_broker).count_blocked(soon()) == count


def test_the_capacity_of_consumers_is_read_by_either_of_its_names(mock_broker: MockBroker) -> None:
    source = source_of(mock_broker, row("a", consumer_utilisation=0.5), row("b", consumer_capacity=0.25), row("c"))
    listing = source.read_queues(soon(), source.read_overview(soon()))
    assert nan_equal(listing.readings.column("capacity"), [0.5, 0.25, None])
