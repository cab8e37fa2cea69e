"""Each source alone tells the same depths and consumers, for names of every kind and queues of every type."""

import math
import time
from collections.abc import Iterator
from glob import escape

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from monitor.config import Filter
from monitor.model import AgeMethod, Role
from tests.integration.rabbitmq.conftest import (
    CLUSTER,
    Admin,
    OpenCollector,
    collect,
    column,
    quoted,
    until,
    wait_for_depths,
)

NAMES = [
    "orders/eu.de",
    "a b. c ",
    'quo"te',
    "back\\slash\\",
    'end\\"',
    "grüße-☃",
    "line\\nfeed",
    '",queue="x',
    "{brace} 7",
    "100%",
    "star*",
    "q[1]?",
    "\U0001f680\ttab",
]
QUORUM = "quorum/queue"
READY = {name: float(place) for place, name in enumerate([*NAMES, QUORUM])}
CONSUMED = {QUORUM: 2.0, "orders/eu.de": 1.0}


@pytest.fixture(scope="module")
def filled(admin: Admin, vhost: str, channel: BlockingChannel) -> Iterator[str]:
    """A virtual host with queues that hold as many messages as READY says, some of them with consumers."""
    for name in NAMES:
        channel.queue_declare(name, durable=True)
    channel.queue_declare(QUORUM, durable=True, arguments={"x-queue-type": "quorum"})
    with admin.connect(vhost) as connection:
        consuming = connection.channel()
        consuming.basic_qos(prefetch_count=1)
        for name, count in CONSUMED.items():
            for _ in range(int(count)):
                consuming.basic_consume(name, lambda *_: None)
        consuming.confirm_delivery()
        for name, count in READY.items():
            # what a consumer holds is not ready: it gets its message on top
            for _ in range(int(count + CONSUMED.get(name, 0.0))):
                consuming.basic_publish("", name, b"12345")
        yield vhost


@pytest.mark.parametrize("source", ["prometheus", "management"])
def test_the_capacity_of_consumers_is_told_where_there_are_some(
    filled: str, open_collector: OpenCollector, source: str
) -> None:
    collector = open_collector([filled], [source])

    def told() -> dict[str, float]:
        capacity = column(collect(collector), "consumer_capacity_ratio")
        return {name: share for name, share in capacity.items() if not math.isnan(share)}

    # a quorum queue tells its own every five seconds
    assert until(lambda: {"orders/eu.de"} <= told().keys() <= CONSUMED.keys())
    assert all(0.0 <= share <= 1.0 for share in told().values())


@pytest.mark.parametrize("source", ["prometheus", "management", "amqp"])
def test_a_source_alone_tells_ready_and_consumers(filled: str, open_collector: OpenCollector, source: str) -> None:
    named = Filter(include=[escape(name) for name in READY]) if source == "amqp" else Filter()
    collector = open_collector([filled], [source], queues=named)

    def agrees() -> bool:
        snapshot = collect(collector)
        consumers = {name: CONSUMED.get(name, 0.0) for name in READY}
        return (column(snapshot, "messages_ready"), column(snapshot, "consumers")) == (READY, consumers)

    assert until(agrees)
    snapshot = collect(collector)
    assert (snapshot.expected, snapshot.measured, snapshot.errors) == (len(READY), len(READY), ())
    assert source in snapshot.notes[0].lower()


def test_all_sources_together_tell_everything(filled: str, open_collector: OpenCollector) -> None:
    collector = open_collector([filled])
    snapshot = wait_for_depths(collector, **READY)
    assert column(snapshot, "messages_unacked") == {name: CONSUMED.get(name, 0.0) for name in READY}
    assert column(snapshot, "messages_bytes") == {
        name: 5 * (count + CONSUMED.get(name, 0.0)) for name, count in READY.items()
    }
    info = {label.name: label.decode() for label in snapshot.tables["queue_info"].labels}
    types = dict(zip(info["queue"], info["type"], strict=True))
    assert types == {**dict.fromkeys(NAMES, "classic"), QUORUM: "quorum"}


def test_ids_are_encoded_and_labels_raw(filled: str, open_collector: OpenCollector) -> None:
    snapshot = collect(open_collector([filled]))
    found = {subscription.destination: subscription for subscription in snapshot.subscriptions}
    subscription = found[f"{filled}/orders/eu.de"]
    assert subscription.id == f"{CLUSTER}/{quoted(filled)}/orders%2Feu.de"
    assert subscription.subscriber == subscription.destination
    assert subscription.scope == {"vhost": filled, "queue": "orders/eu.de"}
    [row] = snapshot.tables["queues"].rows_where(subscription.scope).tolist()
    assert [label.values[label.codes[row]] for label in snapshot.tables["queues"].labels] == [filled, "orders/eu.de"]


def test_labels_and_parts_stay_while_the_queues_do(filled: str, open_collector: OpenCollector) -> None:
    collector = open_collector([filled])
    first, second = collect(collector), collect(collector)
    for name in ("queues", "queue_info", "dead_lettered", "unroutable", "node_alarms"):
        assert first.tables[name].labels is second.tables[name].labels
    assert first.parts is not None
    assert second.parts is not None
    assert first.parts.ids.tolist() == second.parts.ids.tolist()
    assert len(set(first.parts.ids.tolist())) == len(first.subscriptions)


@pytest.mark.parametrize("sources", [["management"], ["prometheus"], ["prometheus", "management"]])
def test_a_new_queue_is_there_and_a_deleted_one_gone_in_the_next_cycle(
    filled: str, channel: BlockingChannel, open_collector: OpenCollector, sources: list[str]
) -> None:
    collector = open_collector([filled], sources)
    collect(collector)
    channel.queue_declare("passing")
    assert "passing" in column(collect(collector), "messages_ready")
    channel.queue_delete("passing")
    assert "passing" not in column(collect(collector), "messages_ready")


@pytest.mark.parametrize("missing_name", ["missing", "orders/\neu.de"])
def test_a_queue_that_amqp_does_not_find_is_told_and_the_others_stay(
    filled: str, open_collector: OpenCollector, missing_name: str
) -> None:
    collector = open_collector([filled], ["amqp"], queues=Filter(include=["orders/eu.de", missing_name, QUORUM]))
    snapshot = collect(collector)
    ready = column(snapshot, "messages_ready")
    assert math.isnan(ready.pop(missing_name))
    assert ready == {name: READY[name] for name in ("orders/eu.de", QUORUM)}
    assert (snapshot.expected, snapshot.measured) == (3, 2)
    assert [(error.reason, error.target) for error in snapshot.errors] == [("bad_answer", f"{filled}/{missing_name}")]
    [missing] = [s for s in snapshot.subscriptions if s.destination == f"{filled}/{missing_name}"]
    assert (missing.complete, missing.backlog_messages) == (False, None)


def test_what_waits_without_counters_has_an_unknown_age(filled: str, open_collector: OpenCollector) -> None:
    collector = open_collector([filled], ["amqp"], queues=Filter(include=["grüße-☃"]))
    ages = {s.scope["queue"]: s.oldest_age.method for s in collect(collector).subscriptions}
    assert ages["grüße-☃"] is AgeMethod.UNKNOWN
    assert {s.role for s in collect(collector).subscriptions} == {Role.WORK}


def test_another_source_stands_in_for_one_that_does_not_answer(filled: str, open_collector: OpenCollector) -> None:
    collector = open_collector([filled], ["management"], prometheus_url="http://127.0.0.1:1")
    snapshot = collect(collector)
    assert snapshot.measured == len(READY)
    assert [(error.reason, error.target) for error in snapshot.errors] == [
        ("unreachable", "Prometheus plugin at 127.0.0.1:1")
    ]
    assert "management API" in snapshot.notes[0]


def test_a_management_plugin_that_is_not_enabled_is_told_once_and_amqp_stands_in(
    filled: str, open_collector: OpenCollector
) -> None:
    named = Filter(include=[QUORUM])
    collector = open_collector([filled], ["amqp"], queues=named, management_url="http://u:p@127.0.0.1:1")
    snapshot = collect(collector)
    assert column(snapshot, "messages_ready") == {QUORUM: READY[QUORUM]}
    assert [(error.reason, error.target) for error in snapshot.errors] == [
        ("unreachable", "management API at 127.0.0.1:1")
    ]
    findings = {finding.target: finding for finding in collector.check(time.monotonic() + 10)}
    told = findings["management API at 127.0.0.1:1"]
    assert (told.ok, told.required) == (False, True)
    assert "the management plugin is enabled" in told.remedy
    assert findings["depths of queues"].ok
