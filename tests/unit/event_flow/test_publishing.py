"""That a service which publishes leaves nothing open; the bus is one made up here, which confirms everything."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from examples.event_flow import orders
from examples.event_flow import publishing as publishings
from examples.event_flow.buses.base import Message
from examples.event_flow.flow import Flow
from examples.event_flow.metrics import Metrics
from examples.event_flow.names import Endpoints, Names
from examples.event_flow.outbox import Outbox
from examples.event_flow.outcomes import Outcome, Tally
from examples.event_flow.running import Stop


class Confirming:
    def publish(self, batch: Sequence[Message], confirmed: Callable[[Message], None]) -> None:
        for message in batch:
            confirmed(message)

    def rest(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_the_outbox_is_empty_and_closed_when_everything_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Outbox] = []

    def outbox(*args: Any) -> Outbox:
        made.append(Outbox(*args))
        return made[-1]

    monkeypatch.setattr(publishings, "Outbox", outbox)
    monkeypatch.setattr(publishings, "set_up", lambda *_: None)
    monkeypatch.setattr(Flow, "open_publisher", lambda *_: Confirming())
    tally = Tally()
    endpoints = Endpoints("127.0.0.1:1", "amqp://127.0.0.1:1/", "http://127.0.0.1:1")
    flow = Flow(endpoints, Names(), Stop(), tally, Metrics(tally), tmp_path, seed=1, buses=("kafka", "aws"), orders=3)
    for worker in orders.workers(flow):
        worker.run()
    assert [tally.get(f"orders/{bus}", Outcome.PUBLISHED) for bus in flow.buses] == [3, 3]
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        made[0].waiting("kafka")
