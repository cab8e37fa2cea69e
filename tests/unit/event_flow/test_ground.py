"""How the ground of a scenario is left: tried on each bus, and a network that outlives a connection that is refused."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import pytest

from examples.event_flow.buses.base import BusAway
from examples.event_flow.names import Endpoints, Names
from examples.event_flow.scenarios import ground as grounds
from examples.event_flow.scenarios.forwarding import Forwarder
from examples.event_flow.scenarios.ground import Ground, NotSeen, Setting
from monitor.apiclient import ApiClient
from tests.unit.event_flow.test_command_line import WHOLE


def test_a_bus_that_keeps_something_does_not_keep_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def remove(bus: str, endpoints: Endpoints, names: Names) -> None:
        tried.append(bus)
        if bus != "rabbitmq":
            raise BusAway("it is away")

    monkeypatch.setattr(grounds, "remove", remove)
    monkeypatch.setattr(grounds, "REMOVING_SECONDS", -1.0)  # looks once
    path = tmp_path / "endpoints.json"
    path.write_text(WHOLE)
    client = Mock(spec=ApiClient, collectors=list)
    ground = Ground(Setting(path, tmp_path, client, 1), "poison-message", ("kafka", "rabbitmq", "aws"))
    with pytest.raises(NotSeen, match=r"kafka: .*it is away; aws: .*it is away"):
        ground.close()
    assert tried == ["kafka", "rabbitmq", "aws"]


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """A port that is taken, and refuses until somebody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken


def test_a_connection_that_is_refused_is_closed_and_those_after_it_are_forwarded(target: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    with closing(Forwarder(port, int(target.getsockname()[1]))):
        with socket.create_connection(("127.0.0.1", port), 5) as refused:
            assert refused.recv(1) == b""
        target.listen()
        with socket.create_connection(("127.0.0.1", port), 5) as near:
            target.settimeout(5)
            far = target.accept()[0]
            with far:
                near.sendall(b"x")
                far.settimeout(5)
                assert far.recv(1) == b"x"
