"""A broker that freezes, restarts, blocks publishers, tells no statistics, or loses one node of two: one of its own."""

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from monitor.brokers.rabbitmq.collector import RabbitCollector
from monitor.config import Filter
from monitor.errors import BrokerError, TimedOut, Unreachable
from monitor.model import Snapshot
from stack.control import Stack
from stack.state import Options
from tests.integration.rabbitmq.conftest import ALL, Admin, OpenCollector, collect, column, until
from tests.integration.rabbitmq.nodes import joining, node_of

SOURCES = [["prometheus", "management"], ["management"], ["amqp"]]
NAMES = [f"q{number}" for number in range(50)]


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A broker that may be broken."""
    stack = Stack(Path(tmp_path_factory.mktemp("rabbitmq-faults")), Options(parts=("rabbitmq",)))
    stack.start()
    yield stack
    stack.stop()


@pytest.fixture(scope="module")
def admin(own_stack: Stack) -> Iterator[Admin]:
    """Its administrator, in place of the shared broker's."""
    admin = Admin(own_stack.endpoints.rabbitmq)
    with admin.connect("/") as connection:
        channel = connection.channel()
        for name in NAMES:
            channel.queue_declare(name, durable=True)
        for _ in range(30):
            channel.basic_publish("", "q0", b"x")
    yield admin
    admin.close()


@pytest.fixture
def frozen(own_stack: Stack) -> Iterator[Stack]:
    """The broker, frozen when the test says so and thawed after it."""
    yield own_stack
    own_stack.thaw("rabbitmq")


def open_all(open_collector: OpenCollector, sources: list[str]) -> RabbitCollector:
    return open_collector(["/"], sources, queues=Filter(include=NAMES))


def warm(collector: RabbitCollector) -> None:
    assert until(lambda: column(collect(collector), "messages_ready").get("q0") == 30)


@pytest.mark.parametrize("sources", SOURCES, ids="+".join)
def test_a_frozen_broker_is_told_before_the_deadline_and_read_again_when_it_thaws(
    frozen: Stack, admin: Admin, open_collector: OpenCollector, sources: list[str]
) -> None:
    collector = open_all(open_collector, sources)
    warm(collector)
    frozen.freeze("rabbitmq")
    deadline = time.monotonic() + 2.0
    with pytest.raises(TimedOut):
        collector.collect(deadline)
    assert time.monotonic() < deadline
    frozen.thaw("rabbitmq")
    snapshot = until(lambda: _snapshot_or_none(collector))
    assert column(snapshot, "messages_ready")["q0"] == 30


def test_a_frozen_broker_does_not_hold_up_check(frozen: Stack, admin: Admin, open_collector: OpenCollector) -> None:
    collector = open_all(open_collector, list(ALL))
    frozen.freeze("rabbitmq")
    deadline = time.monotonic() + 2.0
    assert not any(finding.ok for finding in collector.check(deadline))
    assert time.monotonic() < deadline


@pytest.mark.parametrize("sources", SOURCES, ids="+".join)
def test_closing_ends_a_cycle_that_hangs(
    frozen: Stack, admin: Admin, open_collector: OpenCollector, sources: list[str]
) -> None:
    collector = open_all(open_collector, sources)
    warm(collector)
    frozen.freeze("rabbitmq")
    caught: list[BrokerError] = []
    thread = threading.Thread(target=_keep_error, args=(collector, caught))
    thread.start()
    # a cycle shows nothing of itself: that it is still under way after a moment is all that can be seen
    thread.join(0.3)
    assert thread.is_alive()
    collector.close()
    collector.close()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(caught[0], Unreachable)


def test_counters_go_on_when_the_node_restarts(own_stack: Stack, admin: Admin, open_collector: OpenCollector) -> None:
    collector = open_all(open_collector, ["prometheus", "management"])
    assert until(lambda: column(collect(collector), "published_total").get("q0") == 30)
    own_stack.restart("rabbitmq")
    snapshot = until(lambda: _snapshot_or_none(collector))
    assert column(snapshot, "published_total")["q0"] >= 30
    with admin.connect("/") as connection:
        for _ in range(5):
            connection.channel().basic_publish("", "q0", b"x")

    def published() -> float:
        found = _snapshot_or_none(collector)
        return column(found, "published_total")["q0"] if found else 0.0

    assert until(lambda: published() > 30 and published()) == 35


def total(snapshot: Snapshot, table: str, family: str) -> dict[tuple[str, ...], float]:
    found = snapshot.tables[table]
    rows = list(zip(*(label.decode() for label in found.labels), strict=True)) or [()]
    return dict(zip(rows, found.columns[family].tolist(), strict=True))


def test_publishers_that_an_alarm_blocks_are_counted_and_said(
    own_stack: Stack, admin: Admin, open_collector: OpenCollector
) -> None:
    node = node_of(own_stack)
    alarm = "{resource_limit, memory, node()}"
    collector = open_all(open_collector, ["prometheus", "management"])
    assert total(collect(collector), "publishers", "rabbitmq_publishers_blocked") == {(): 0.0}
    with admin.connect("/") as publishing, admin.connect("/") as consuming:
        consuming.channel().basic_consume("q1", lambda *_: None)
        node.evaluate(f"rabbit_alarm:set_alarm({{{alarm}, []}})")
        publishing.channel().basic_publish("", "q0", b"held back")

        def blocked() -> Snapshot | None:
            snapshot = collect(collector)
            return snapshot if total(snapshot, "publishers", "rabbitmq_publishers_blocked")[()] else None

        snapshot = until(blocked)
        assert total(snapshot, "publishers", "rabbitmq_publishers_blocked") == {(): 1.0}
        assert total(snapshot, "node_alarms", "rabbitmq_node_alarm")[node.node, "memory"] == 1.0
        told = f"The broker blocks publishers (memory alarm of {node.node}); how many connections wait to publish: 1."
        assert told in snapshot.notes
        # for the next test as well: as in the Docker image, the broker counts nothing for the management API any more
        node.evaluate(
            f"rabbit_alarm:clear_alarm({alarm})",
            "application:set_env(rabbitmq_management_agent, disable_metrics_collector, true)",
        )


def test_disabled_statistics_are_detected_and_told_and_depths_are_read_nonetheless(
    own_stack: Stack, admin: Admin, open_collector: OpenCollector
) -> None:
    collector = open_all(open_collector, ["management"])
    snapshot = until(lambda: s if (s := collect(collector)) and math.isnan(column(s, "consumers")["q0"]) else None)
    assert column(snapshot, "messages_ready")["q0"] > 0
    assert math.isnan(column(snapshot, "published_total")["q0"])
    assert any("disable_metrics_collector" in note and "not to be had" in note for note in snapshot.notes)
    [finding] = [it for it in collector.check(time.monotonic() + 10) if it.target.startswith("statistics")]
    assert (finding.ok, finding.required) == (False, False)
    assert "prometheus_url" in finding.remedy
    with_plugin = collect(open_all(open_collector, ["prometheus", "management"]))
    assert column(with_plugin, "consumers")["q0"] == 0.0
    node_of(own_stack).evaluate("application:unset_env(rabbitmq_management_agent, disable_metrics_collector)")


def test_what_lives_on_a_node_that_stops_is_unknown_and_not_zero(
    own_stack: Stack, admin: Admin, open_collector: OpenCollector, tmp_path: Path
) -> None:
    first = node_of(own_stack)
    second = joining(first, tmp_path)
    second.start()
    try:
        with Admin(second.endpoints.rabbitmq).connect("/") as connection:
            channel = connection.channel()
            channel.queue_declare("q-far", durable=True)
            channel.confirm_delivery()
            for _ in range(7):
                channel.basic_publish("", "q-far", b"x", pika.BasicProperties(delivery_mode=2))
        collector = open_collector(["/"], ["prometheus", "management"], queues=Filter(include=[*NAMES, "q-far"]))
        snapshot = until(lambda: s if column(s := collect(collector), "messages_ready").get("q-far") == 7 else None)
        assert (snapshot.expected, snapshot.measured, snapshot.errors) == (51, 51, ())
        assert any(f"the node {first.node} alone; queues on " in note for note in snapshot.notes)

        alone = collect(open_collector(["/"], ["prometheus"]))
        assert any(f"what is on {node_of(second).node} is not seen" in note for note in alone.notes)
        assert "q-far" not in column(alone, "messages_ready")

        second.kill("rabbitmq")
        snapshot = until(lambda: s if (s := collect(collector)).errors else None)
        (error,) = snapshot.errors
        assert (error.reason, error.message) == (
            "unreachable",
            "the node does not run or is cut off; what lives on it may not be measured",
        )
        ready = column(snapshot, "messages_ready")
        assert math.isnan(ready["q-far"])
        assert ready["q0"] > 0
        [far] = [it for it in snapshot.subscriptions if it.scope["queue"] == "q-far"]
        assert (far.complete, far.backlog_messages, far.oldest_age.seconds) == (False, None, None)
        assert (snapshot.expected, snapshot.measured) == (51, 50)
    finally:
        second.stop()


def _snapshot_or_none(collector: RabbitCollector) -> Snapshot | None:
    try:
        return collect(collector)
    except BrokerError:
        return None


def _keep_error(collector: RabbitCollector, caught: list[BrokerError]) -> None:
    try:
        collector.collect(time.monotonic() + 30)
    except BrokerError as error:
        caught.append(error)
