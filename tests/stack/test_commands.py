"""`python -m stack` as people and scripts call it, with the part that starts quickest."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import Options, Stack, StackError
from stack.processes import find_marked, kill, mark_of
from stack.rabbitmq.node import RabbitmqNode
from tests.stack.conftest import Until


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for one stack; what still runs there afterwards is ended."""
    yield tmp_path / "stack"
    kill([mark_of(tmp_path / "stack")])


def call(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "EVENTFLOW_STACK_DIR": str(folder), **environment}
    command = [sys.executable, "-m", "stack", *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)


def test_a_stack_outlives_its_command_is_mended_by_a_second_start_and_ends_with_down(folder: Path) -> None:
    up = call(folder, "up", "--only", "aws")
    assert up.returncode == 0, up.stderr
    assert "aws: ready at 127.0.0.1:" in up.stdout
    status = call(folder, "status", "--json")
    assert (status.returncode, [server["state"] for server in json.loads(status.stdout)]) == (0, ["running"])

    assert call(folder, "kill", "aws").returncode == 0
    status = call(folder, "status")
    assert status.returncode == 1
    assert "stopped" in status.stdout
    again = call(folder, "up", "--only", "aws")
    assert "aws: was stopped" in again.stdout
    assert json.loads((folder / "endpoints.json").read_text())["aws"] in again.stdout

    assert "Ready." in call(folder, "logs", "aws").stdout
    assert call(folder, "down").stdout == "The stack has ended.\n"
    assert find_marked([mark_of(folder)]) == []
    assert {path.name for path in folder.iterdir()} == {"lock", "logs"}
    assert call(folder, "down").returncode == 0


def test_an_interrupted_start_leaves_no_process(folder: Path, until: Until) -> None:
    command = [sys.executable, "-m", "stack", "up", "--only", "kafka", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as starting:
        until(lambda: bool(find_marked([mark_of(folder)])), "the first process")
        starting.send_signal(signal.SIGINT)
        starting.send_signal(signal.SIGINT)  # an impatient second one
        _, told = starting.communicate(timeout=30)
    assert starting.returncode == 130
    assert told == "Interrupted; what was started has ended.\n"
    assert find_marked([mark_of(folder)]) == []
    assert not (folder / "endpoints.json").exists()


def test_what_a_killed_start_left_behind_is_ended_by_down(folder: Path, until: Until) -> None:
    command = [sys.executable, "-m", "stack", "up", "--only", "aws", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as starting:
        until(lambda: bool(find_marked([mark_of(folder)])), "the first process")
        starting.kill()
    assert find_marked([mark_of(folder)])
    assert call(folder, "down").stdout == "The stack has ended.\n"
    assert find_marked([mark_of(folder)]) == []


def test_a_broker_that_dies_at_its_start_shows_the_end_of_its_log(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RabbitmqNode, "settings", lambda _: {"listeners.tcp.local": "no address"})
    with pytest.raises(
        StackError, match=r"(?s)^rabbitmq ended with status \d+ at its start\.\n--- the end of .*no address"
    ):
        Stack(folder, Options(parts=("rabbitmq",))).start()
    assert find_marked([mark_of(folder)]) == []
    assert Stack(folder).status() == []


@pytest.mark.parametrize(
    ("variables", "code", "told"),
    [
        ({"KAFKA_BROKERS": "2"}, 1, "There can be 1 or 3 Kafka brokers, not 2."),
        ({"KAFKA_BROKERS": "many"}, 2, "invalid int value: 'many'"),
        ({"RABBITMQ": "5"}, 1, "RabbitMQ can be 3 or 4, not 5."),
    ],
)
def test_a_wrong_choice_is_one_sentence(folder: Path, variables: dict[str, str], code: int, told: str) -> None:
    answer = call(folder, "up", **variables)
    assert answer.returncode == code
    assert told in answer.stderr
    assert "Traceback" not in answer.stderr


def test_commands_for_a_stack_that_is_not_there_say_so(folder: Path) -> None:
    assert call(folder, "status").returncode == 1
    answer = call(folder, "freeze", "kafka")
    assert (answer.returncode, answer.stderr) == (1, f"No stack is up in {folder}.\n")
