"""What a consuming service opens and closes; the bus is one made up here, which ends at once."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from examples.event_flow import consuming as consumings
from examples.event_flow import inventory, notification
from examples.event_flow.buses.base import Handle
from examples.event_flow.consuming import Consuming, consuming_worker
from examples.event_flow.downstream import MAIL_SERVER, Condition, World
from examples.event_flow.flow import Flow
from examples.event_flow.handling import Reactions
from examples.event_flow.metrics import Metrics
from examples.event_flow.names import Endpoints, Names
from examples.event_flow.outcomes import Outcome, Tally
from examples.event_flow.running import Stop


class NoConsumer:
    def run(self, handle: Handle, report: Callable[[Outcome], None]) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    tally = Tally()
    endpoints = Endpoints("127.0.0.1:1", "amqp://127.0.0.1:1/", "http://127.0.0.1:1")
    return Flow(endpoints, Names(), Stop(), tally, Metrics(tally), tmp_path, seed=1, buses=("kafka",))


@pytest.mark.parametrize("service", [notification, inventory], ids=["notification", "inventory"])
def test_a_service_opens_nothing_before_it_connects(service: ModuleType, flow: Flow) -> None:
    assert [worker.name for worker in service.workers(flow)] == [f"{service.SERVICE}/kafka"]
    assert not flow.world.exists()


def test_a_connection_that_ends_closes_the_database_of_what_is_downstream(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumings, "set_up", lambda *_: None)
    worlds: list[World] = []

    def reactions(world: World) -> Reactions:
        assert world.condition(MAIL_SERVER) == Condition()
        worlds.append(world)
        return {}

    consuming = Consuming("notification", "kafka", reactions, "", lambda _: NoConsumer(), events_per_order=1)
    consuming_worker(consuming, flow).run()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        worlds[0].condition(MAIL_SERVER)
