"""A broker that freezes, comes back, restarts, or is let go of in the middle: on a broker of this module's own."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.brokers.rabbitmq.collector import RabbitCollector
from monitor.config import Filter
from monitor.errors import BrokerError, TimedOut, Unreachable
from monitor.model import Snapshot
from stack.control import Stack
from stack.state import Options
from tests.integration.rabbitmq.conftest import ALL, Admin, OpenCollector, collect, column, until

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
    began = time.monotonic()
    collector.close()
    collector.close()
    thread.join(5)
    assert time.monotonic() - began < 1
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
