"""Commands that ask nobody, and how the command line fails."""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor import diagnosis
from monitor.cli.commands import next_free_port
from monitor.config import Token, hash_token
from monitor.errors import AuthenticationFailed
from monitor.model import Finding
from tests.unit.cli.running import Shell

TWO_CLUSTERS = """
clusters:
  - {name: orders, kind: kafka, bootstrap_servers: "127.0.0.1:1"}
  - {name: aws, kind: aws, region: us-east-1}
"""

GOOD = Finding("sqs:ListQueues", ok=True, message="allowed")
OPTIONAL = Finding("cloudwatch", ok=False, message="denied", remedy="allow it", required=False)
BAD = Finding("127.0.0.1:1", ok=False, message="no connection", remedy="start the broker")


class StubCollector:
    """Stands in for the collectors of all kinds, which their own tests hold to real brokers."""

    def __init__(self, findings: list[Finding]) -> None:
        self._findings = findings

    def check(self, deadline: float) -> list[Finding]:
        return self._findings

    def close(self) -> None:
        pass


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "monitor.yml"
    file.write_text(f"database_url: sqlite:///{tmp_path}/eventflow.db\n{TWO_CLUSTERS}", encoding="utf-8")
    return file


def finding(monkeypatch: pytest.MonkeyPatch, **found: list[Finding]) -> None:
    monkeypatch.setattr(diagnosis, "open_collector", lambda cluster, *_: StubCollector(found[cluster.name]))


def test_check_is_0_when_all_that_is_required_is_there(
    shell: Shell, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding(monkeypatch, orders=[GOOD], aws=[GOOD, OPTIONAL])
    ended = shell.run("check", "--config", str(config))
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "orders (kafka): ok",
        "  ok: sqs:ListQueues: allowed",
        "aws (aws): ok",
        "  ok: sqs:ListQueues: allowed",
        "  missing: cloudwatch: denied",
        "    -> allow it",
        "ok: database_url: does not exist yet, and will be made at the start",
    ]
    assert not (config.parent / "eventflow.db").exists()


def test_check_is_1_when_the_database_cannot_be_used(
    shell: Shell, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding(monkeypatch, orders=[GOOD], aws=[GOOD])
    (config.parent / "eventflow.db").write_bytes(b"something else" * 100)
    ended = shell.run("check", "--config", str(config))
    assert ended.code == 1
    assert ended.out.splitlines()[-2:] == [
        "FAILS: database_url: the database refused: file is not a database",
        "  -> see database_url in the configuration",
    ]


def test_check_is_1_when_a_target_is_away_and_tells_the_remedy(
    shell: Shell, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding(monkeypatch, orders=[BAD], aws=[GOOD])
    ended = shell.run("check", "-c", str(config))
    assert ended.code == 1
    assert ended.out.splitlines()[:3] == [
        "orders (kafka): FAILS",
        "  FAILS: 127.0.0.1:1: no connection",
        "    -> start the broker",
    ]


def test_check_as_json_tells_the_same(shell: Shell, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finding(monkeypatch, orders=[BAD], aws=[])
    ended = shell.run("check", "-c", str(config), "--json")
    assert ended.code == 1
    body = json.loads(ended.out)
    assert (body["ok"], [it["ok"] for it in body["clusters"]]) == (False, [False, True])
    assert body["clusters"][0]["findings"] == [
        {
            "target": "127.0.0.1:1",
            "ok": False,
            "message": "no connection",
            "remedy": "start the broker",
            "required": True,
        }
    ]


def test_check_tells_of_a_collector_that_cannot_even_be_made(
    shell: Shell, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(cluster: Any, *_: Any) -> StubCollector:
        raise AuthenticationFailed("no credentials were found", target=cluster.name, remedy="set AWS_PROFILE")

    monkeypatch.setattr(diagnosis, "open_collector", refuse)
    ended = shell.run("check", "-c", str(config))
    assert ended.code == 1
    assert "aws: no credentials were found; set AWS_PROFILE" in ended.out


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_wrong_configuration_is_2_with_a_line_a_mistake(shell: Shell, tmp_path: Path, command: str) -> None:
    file = tmp_path / "monitor.yml"
    file.write_text("clustres: []\nserver: {lisen: x}\n", encoding="utf-8")
    ended = shell.run(command, "--config", str(file))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines() == [
        f"{file}:1: clustres: unknown key; did you mean clusters?",
        f"{file}:2: server.lisen: unknown key; did you mean listen?",
    ]


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_configuration_that_is_not_there_is_2(shell: Shell, command: str) -> None:
    ended = shell.run(command, "--config", "/nowhere.yml")
    assert ended.code == 2
    assert ended.err.startswith("/nowhere.yml: the configuration cannot be read (No such file or directory)")


def test_listening_beyond_loopback_by_the_command_line_needs_tokens_too(shell: Shell, config: Path) -> None:
    ended = shell.run("serve", "--config", str(config), "--listen", "0.0.0.0:9610")
    assert ended.code == 2
    assert ended.err == "--listen: listening on 0.0.0.0:9610 needs server.tokens; or listen on 127.0.0.1\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("bogus",),
        ("serve",),
        ("check", "--config", "x", "--within", "5"),
        ("check", "--config", "x", "--bogus"),
        ("status", "extra"),
        ("dlq", "bogus"),
        ("token", "new", "--role", "root"),
        ("dashboard", "--port", "0"),
        ("serve", "--config", "x", "--log-format", "xml"),
    ],
)
def test_wrong_usage_is_2_and_no_traceback(shell: Shell, arguments: tuple[str, ...]) -> None:
    ended = shell.run(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in ended.err


def test_what_is_not_there_yet_is_no_command(shell: Shell) -> None:
    for command in (("redrive", "undo"), ("dlq", "burn")):
        assert shell.run(*command).code == 2


def test_a_new_token_is_shown_once_with_the_line_that_the_configuration_keeps(shell: Shell) -> None:
    ended = shell.run("token", "new", "--name", 'al: "ice"', "--role", "viewer")
    first, _, third = ended.out.splitlines()
    secret = first.rpartition(" ")[2]
    (entry,) = yaml.safe_load(third)
    assert Token(**entry) == Token(name='al: "ice"', role="viewer", sha256=hash_token(secret))
    assert secret not in third
    assert len(secret) >= 40


def test_a_new_token_as_json_has_both_parts(shell: Shell) -> None:
    body = json.loads(shell.run("token", "new", "--name", "alice", "--json").out)
    assert body["entry"]["name"] == "alice"
    assert body["entry"]["sha256"] == hash_token(body["token"])


def test_rules_as_json_are_those_of_the_file(shell: Shell) -> None:
    as_file = yaml.safe_load(shell.run("rules").out)
    assert json.loads(shell.run("rules", "--json").out) == as_file
    assert as_file["groups"]


def test_each_token_is_another(shell: Shell) -> None:
    assert shell.run("token", "new").out != shell.run("token", "new").out


def test_the_dashboard_is_started_with_what_the_configuration_says_of_it(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[Any] = []

    def execve(*given: Any) -> None:
        started.extend(given)

    monkeypatch.setattr(os, "execve", execve)
    port = next_free_port(20_000)
    config = tmp_path / "monitor.yml"
    config.write_text(
        'clusters: [{name: o, kind: kafka, bootstrap_servers: "127.0.0.1:1"}]\n'
        "dashboard: {idle: 5m, proxies: [127.0.0.1, 10.0.0.0/8]}",
        encoding="utf-8",
    )
    ended = shell.run("dashboard", "--port", str(port), "--url", "http://127.0.0.1:9999", "--config", str(config))
    program, command, environment = started
    assert (program, command) == (sys.executable, [sys.executable, "-m", "dashboards", "--port", str(port)])
    assert environment["EVENTFLOW_URL"] == "http://127.0.0.1:9999"
    assert environment["EVENTFLOW_DASHBOARD_IDLE_SECONDS"] == "300.0"
    assert environment["EVENTFLOW_DASHBOARD_PROXIES"] == "127.0.0.1,10.0.0.0/8"
    assert ended.out == f"Dashboard: http://127.0.0.1:{port}, asking http://127.0.0.1:9999\n"


def test_the_dashboard_takes_the_next_free_port_and_says_so(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "execve", lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        out = shell.run("dashboard", "--port", str(port)).out
    assert f" ({port} is taken), asking http://127.0.0.1:9610" in out
    assert f"http://127.0.0.1:{port} " not in out


def test_help_names_every_command(shell: Shell) -> None:
    ended = shell.run("--help")
    assert ended.code == 0
    for command in ("serve", "check", "status", "dashboard", "dlq", "redrive", "audit", "rules", "catalog", "token"):
        assert f"  {command} " in ended.out
