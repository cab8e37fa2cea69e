"""What is shared by stacks (cache, ports) is safe between them; what is one stack's own is private."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from stack.cache import build_once
from stack.errors import StackError
from stack.ports import can_listen, reserve_ports
from stack.state import Endpoints, Options, State, read_endpoints, read_state, write_private, write_state

STATE = State(Options(kafka_brokers=3, parts=("kafka", "aws")), {"aws": 12345}, "abcd", "secret-word")


def test_starts_at_the_same_time_build_a_cached_folder_once(own_cache: Path) -> None:
    built = []

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "jar").write_text("content")

    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: build_once("kafka-1", build), range(8)))
    assert folders == {own_cache / "kafka-1"}
    assert len(built) == 1
    assert (own_cache / "kafka-1/jar").read_text() == "content"


def test_a_build_that_was_broken_off_leaves_nothing_to_trust(own_cache: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise StackError("the download ended early")

    with pytest.raises(StackError, match="ended early"):
        build_once("kafka-1", fail)
    assert not list(own_cache.glob("kafka-1*/*"))
    assert build_once("kafka-1", lambda folder: None) == own_cache / "kafka-1"


def test_two_stacks_never_share_a_port(own_cache: Path, tmp_path: Path) -> None:
    names = [f"listener-{number}" for number in range(50)]
    owners = [tmp_path / f"stack-{number}" for number in range(4)]
    for owner in owners:
        owner.mkdir()
    with ThreadPoolExecutor(4) as pool:
        chosen = [
            port for ports in pool.map(lambda owner: reserve_ports(names, owner), owners) for port in ports.values()
        ]
    assert len(set(chosen)) == 200


def test_ports_are_not_those_that_outgoing_connections_get(own_cache: Path, tmp_path: Path) -> None:
    first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = reserve_ports([str(number) for number in range(50)], tmp_path)
    assert all(1024 < port < first_ephemeral for port in ports.values())


def test_ports_are_given_back_with_the_folder_and_by_the_next_start(own_cache: Path, tmp_path: Path) -> None:
    gone, again = tmp_path / "gone", tmp_path / "again"
    gone.mkdir()
    again.mkdir()
    reserve_ports(["a", "b"], gone)
    reserve_ports(["a"], again)
    gone.rmdir()
    ports = reserve_ports(["a", "b", "c"], again)
    assert json.loads((own_cache / "ports.json").read_text()) == {str(port): str(again) for port in ports.values()}


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not can_listen(server.getsockname()[1])


def test_state_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    write_state(tmp_path / "state.json", STATE)
    assert read_state(tmp_path / "state.json") == STATE
    assert read_state(tmp_path / "none.json") is None


def test_files_with_credentials_can_be_read_by_their_owner_alone(tmp_path: Path) -> None:
    write_private(tmp_path / "endpoints.json", {"aws": "http://127.0.0.1:1"})
    write_private(tmp_path / "endpoints.json", {"aws": "http://127.0.0.1:2"})
    assert (tmp_path / "endpoints.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["endpoints.json"]


def test_the_password_is_not_in_what_a_debugger_or_log_shows() -> None:
    assert "secret-word" not in repr(STATE)
    assert repr(replace(STATE, password="other")) == repr(STATE)


def test_a_part_that_a_stack_lacks_is_refused_instead_of_empty() -> None:
    with pytest.raises(StackError, match="This stack has no rabbitmq"):
        _ = Endpoints({"kafka": "127.0.0.1:1"}).rabbitmq


def test_the_addresses_of_a_stack_that_is_not_ready_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=f"No stack is ready in {tmp_path}"):
        read_endpoints(tmp_path / "endpoints.json")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"kafka_brokers": 2}, "1 or 3 Kafka brokers, not 2"),
        ({"rabbitmq": 5}, "RabbitMQ can be 3 or 4, not 5"),
        ({"parts": ("kafka", "pulsar")}, "not pulsar"),
        ({"parts": ()}, "not nothing"),
    ],
)
def test_a_stack_of_an_unknown_make_is_refused(wrong: dict[str, int | tuple[str, ...]], told: str) -> None:
    with pytest.raises(StackError, match=told):
        replace(Options(), **wrong)  # type: ignore[arg-type]
