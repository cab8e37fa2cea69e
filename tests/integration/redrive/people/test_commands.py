"""The same at a terminal, in one process with the tests so that it is quick."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.redrive.kafka.yard import spring_headers
from tests.integration.redrive.people.conftest import Team
from tests.unit.cli.running import Shell


class Terminal:
    def __init__(self, team: Team, patched: pytest.MonkeyPatch, printed: pytest.CaptureFixture[str]) -> None:
        self._patched, self._shell = patched, Shell(patched, printed)
        patched.setenv("EVENTFLOW_URL", team.server.url)

    def run(self, person: str, *arguments: str, code: int = 0) -> str:
        """Run a command as somebody, and return all that it printed."""
        self._patched.setenv("EVENTFLOW_TOKEN", person)
        ended = self._shell.run(*arguments)
        assert ended.code == code, ended
        return ended.out + ended.err

    def json(self, person: str, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(person, *arguments, "--json", code=code))


@pytest.fixture
def terminal(team: Team, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(team, monkeypatch, capsys)


def test_dead_letters_are_set_aside_and_put_back(team: Team, terminal: Terminal, tmp_path: Path) -> None:
    target, dead = team.kafka.pair(1, "typed")
    long = json.dumps({"id": 3, "text": "line\n" * 40_000}).encode()
    team.kafka.fill(
        dead, 4, spring_headers(target), value=lambda number: long if number == 3 else b'{"id": %d}' % number
    )
    queue = f"k/{dead}"
    team.server.wait_for_queue(queue, 4)
    asked = ("dlq", "archive", queue, "--reason", "load test", "--select", "body.id < `2`")
    assert "Not started" in terminal.run("alice", *asked, code=2)
    archived = terminal.json("alice", *asked, "--yes", "--wait")
    assert (archived["action"], archived["counts"]["sent"]) == ("archive", 2)
    assert "load test" in terminal.run("victor", "dlq", "archived", queue)
    assert "needs the role operator" in terminal.run("victor", "dlq", "restore", archived["id"], "--yes", code=1)
    assert terminal.json("bob", "dlq", "restore", archived["id"], "--yes", "--wait")["counts"]["sent"] == 2
    assert "nothing is set aside" in terminal.run("victor", "dlq", "archived", queue)

    team.server.wait_for_queue(queue, 4)
    file = tmp_path / "dead.csv"
    told = terminal.run("root", "dlq", "export", queue, "--format", "csv", "-o", str(file))
    assert "4 messages in" in told
    assert max(map(len, file.read_text().splitlines())) > len(long)
    export = told.split()[-1]
    assert "type " in terminal.run("root", "dlq", "purge", queue, "--name", "other", "--export", export, code=1)
    assert "4 messages were removed" in terminal.run("root", "dlq", "purge", queue, "--name", dead, "--export", export)


def test_a_plan_shows_edits_and_a_job_is_approved_and_reported(team: Team, terminal: Terminal) -> None:
    target, dead = team.kafka.pair(1, "guarded-typed")
    team.kafka.fill(dead, 2, spring_headers(target), value=[b'{"id": 0}', b"text"].__getitem__)
    queue = f"k/{dead}"
    team.server.wait_for_queue(queue, 2)
    options = ("--patch", '[{"op": "add", "path": "/again", "value": true}]')
    shown = terminal.run("alice", "redrive", "plan", queue, *options, "--window", "00:00-23:59")
    for line in ('after  {"id":0,"again":true}', "would be skipped", "runs        00:00 to 23:59 UTC", "second person"):
        assert line in shown
    job = terminal.json("alice", "redrive", "start", queue, *options, "--yes", "--wait")
    assert job["state"] == "awaiting_approval"
    assert "somebody else" in terminal.run("alice", "redrive", "approve", job["id"], code=1)
    terminal.run("bob", "redrive", "approve", job["id"])
    team.server.wait_for_job(job["id"])
    report = terminal.run("victor", "redrive", "report", job["id"])
    for line in (
        "approved by bob",
        "skipped: 1 because its body is no JSON",
        "consumers: processed 0",
        "edited: 1, digest",
    ):
        assert line in report
    (item,) = terminal.json("victor", "redrive", "items", job["id"], "--outcome", "skipped")["items"]
    assert item["position"] == "0:1"
    (original,) = terminal.json("alice", "redrive", "items", job["id"], "--originals")["items"]
    assert original["position"] == "0:0"
