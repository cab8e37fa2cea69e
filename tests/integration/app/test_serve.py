"""The monitor as a process: how it starts, answers and ends."""

import json
import re
import signal
import socket
from pathlib import Path

import pytest

from stack.state import Endpoints
from tests.integration.app.running import ENDS_WITHIN_SECONDS, black_holes, eventflow, serving, wait_until

AWAY = """
  - {name: away, kind: kafka, bootstrap_servers: "127.0.0.1:1", interval: 1s}
"""


def watched(endpoints: Endpoints) -> str:
    return f"""
clusters:
  - {{name: orders, kind: kafka, bootstrap_servers: "{endpoints.kafka}", interval: 1s}}
  - {{name: mail, kind: rabbitmq, management_url: "{endpoints.rabbitmq.management}", interval: 1s}}
  - {{name: aws, kind: aws, region: us-east-1, endpoint_url: "{endpoints.aws}", interval: 1s}}
"""


def test_a_cluster_that_is_away_at_start_does_not_stop_the_others(endpoints: Endpoints, tmp_path: Path) -> None:
    with serving(tmp_path, watched(endpoints) + AWAY) as monitor:
        monitor.wait_until_ready()  # after the first look at each, which on a busy machine may fail
        ready = wait_until("the others are read", lambda: len((it := monitor.get("/readyz").json())["ok"]) == 3 and it)
        assert ready["ok"] == ["orders", "mail", "aws"]
        assert [it["cluster"] for it in ready["failing"]] == ["away"]
        assert ready["failing"][0]["message"]

        collectors = {it["cluster"]: it for it in monitor.get("/api/v1/collectors").json()["items"]}
        assert {name: it["up"] for name, it in collectors.items()} == {
            "orders": True, "mail": True, "aws": True, "away": False
        }  # fmt: skip
        assert collectors["away"]["errors"][0]["reason"] in ("unreachable", "timeout")
        assert collectors["orders"]["series"] > 0

        metrics = monitor.get("/metrics").text
        assert 'eventflow_collector_up{cluster="away",system="kafka"} 0\n' in metrics
        for name, kind in (("orders", "kafka"), ("mail", "rabbitmq"), ("aws", "aws")):
            assert f'eventflow_collector_up{{cluster="{name}",system="{kind}"}} 1\n' in metrics

        assert monitor.get("/healthz").json() == {"alive": True}
        status = eventflow("status", EVENTFLOW_URL=monitor.url)
        assert status.returncode == 0
        assert status.stdout.startswith("away cannot be read (never read yet): ")

        code, seconds = monitor.end()
    assert (code, seconds < ENDS_WITHIN_SECONDS) == (0, True)
    assert [it["message"] for it in monitor.events() if it["level"] == "error"] == []


def test_it_is_not_ready_while_the_first_look_at_a_cluster_hangs(endpoints: Endpoints, tmp_path: Path) -> None:
    with black_holes("hung") as holes:
        hung = f'  - {{name: hung, kind: kafka, bootstrap_servers: "127.0.0.1:{holes["hung"].port}", interval: 1h}}\n'
        with serving(tmp_path, watched(endpoints) + hung) as monitor:
            wait_until("the others are read", lambda: len(monitor.get("/readyz").json()["ok"]) == 3)
            answer = monitor.get("/readyz")
            assert (answer.status_code, answer.json()["not_ready"]) == (503, ["hung"])


HANGING = """
clusters:
  - {{name: kafka, kind: kafka, bootstrap_servers: "127.0.0.1:{kafka}", interval: 60s}}
  - {{name: amqp, kind: rabbitmq, amqp_url: "amqp://u:p@127.0.0.1:{amqp}", interval: 60s, queues: {{include: [q]}}}}
  - {{name: management, kind: rabbitmq, management_url: "http://127.0.0.1:{management}", interval: 60s}}
  - {{name: aws, kind: aws, region: us-east-1, endpoint_url: "http://127.0.0.1:{aws}", interval: 60s}}
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_the_middle_of_hung_calls(tmp_path: Path, number: signal.Signals) -> None:
    with black_holes("kafka", "amqp", "management", "aws") as holes:
        config = HANGING.format(**{name: hole.port for name, hole in holes.items()})
        with serving(tmp_path, config) as monitor:
            assert monitor.get("/healthz").status_code == 200
            wait_until("all calls hang", lambda: not [name for name, hole in holes.items() if not hole.reached])
            code, seconds = monitor.end(number)
    assert code == 0
    assert seconds < ENDS_WITHIN_SECONDS
    assert [it["message"] for it in monitor.events()][-1] == "ended"
    assert not [it for it in monitor.events() if "exception" in it]


def test_a_connection_that_stays_open_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    with serving(tmp_path, f"clusters:{AWAY}") as monitor:
        host, port = monitor.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as idle, socket.create_connection((host, int(port))) as half:
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert idle.recv(4096).startswith(b"HTTP/1.1 200")
            half.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n")
            code, seconds = monitor.end()
    assert (code, seconds < ENDS_WITHIN_SECONDS) == (0, True)


def test_a_port_that_is_taken_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    file = tmp_path / "monitor.yml"
    file.write_text(f"clusters:{AWAY}", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = eventflow("serve", "--config", str(file), "--listen", address)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"cannot listen on {address}: another program listens there; choose another by --listen\n"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "sqlite:////proc/nothing/eventflow.db",
            "the folder of the database cannot be made: No such file or directory",
        ),
        ("postgresql+psycopg://u:hunter2@127.0.0.1:1/db", "the database cannot be used: connection failed: [^\n]+"),
    ],
)
def test_a_database_that_cannot_be_opened_is_one_sentence_and_exit_code_1(tmp_path: Path, url: str, told: str) -> None:
    file = tmp_path / "monitor.yml"
    file.write_text(f"database_url: {url}\nclusters:{AWAY}", encoding="utf-8")
    ended = eventflow("serve", "--config", str(file), "--listen", "127.0.0.1:0")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(f"{told}; see database_url in the configuration\n", ended.stderr)
    assert "hunter2" not in ended.stderr


def test_a_host_that_does_not_resolve_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    file = tmp_path / "monitor.yml"
    token = f"{{name: a, role: admin, sha256: {'ab' * 32}}}"
    file.write_text(f"server: {{listen: 'host.invalid:1', tokens: [{token}]}}\nclusters:{AWAY}", encoding="utf-8")
    ended = eventflow("serve", "--config", str(file))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"cannot listen on host\.invalid:1: [^\n]+; choose another by --listen\n", ended.stderr)


def test_no_secret_is_in_logs_metrics_or_answers(tmp_path: Path) -> None:
    config = """
clusters:
  - name: mail
    kind: rabbitmq
    amqp_url: "amqp://user:${PASSWORD}@127.0.0.1:1"
    management_url: "http://user:${PASSWORD}@127.0.0.1:1"
    prometheus_url: "http://user:${PASSWORD}@127.0.0.1:1"
    interval: 1s
  - name: orders
    kind: kafka
    bootstrap_servers: "127.0.0.1:1"
    security: {protocol: sasl_plaintext, mechanism: PLAIN, username: user, password: "${PASSWORD}"}
    interval: 1s
"""
    environment = {"PASSWORD": "hunter2", "AWS_ACCESS_KEY_ID": "hunter2", "AWS_SECRET_ACCESS_KEY": "hunter2"}
    with serving(tmp_path, config, environment) as monitor:
        monitor.wait_until_ready()
        paths = ("/metrics", "/readyz", "/api/v1/collectors", "/api/v1/subscriptions", "/openapi.json")
        told = [monitor.get(path).text for path in paths]
        checked = eventflow("check", "--config", str(tmp_path / "monitor.yml"), "--within", "3s", **environment)
        file = str(tmp_path / "monitor.yml")
        report = eventflow("doctor", "--config", file, "--url", monitor.url, "--within", "3s", **environment)
        monitor.end()
    assert checked.returncode == 1
    assert "hunter2" not in "".join([*told, *monitor.lines, checked.stdout, checked.stderr, report.stdout])
    found = json.loads(report.stdout)
    assert [it["name"] for it in found["configuration"]["clusters"]] == ["mail", "orders"]
    assert [it["cluster"] for it in found["running"]["collectors"]] == ["mail", "orders"]
    assert not found["check"]["ok"]
