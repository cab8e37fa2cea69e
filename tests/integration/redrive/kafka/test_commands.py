"""Redrive as a person does it at a terminal, and as a script does it with `--json`."""

import json
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.app.running import eventflow, wait_until
from tests.integration.redrive.kafka.yard import Yard, spring_headers
from tests.integration.redrive.server import Server

PLAN_KEYS = {
    "id", "hash", "expires_at", "source", "target", "count", "guarantee", "max_duplicates_per_interruption",
    "origin_evidence", "also_receives", "ordering", "warnings", "samples",
}  # fmt: skip
JOB_KEYS = {"id", "state", "reason", "source", "target", "guarantee", "rate", "counts", "started_at", "ended_at"}


class Terminal:
    def __init__(self, server: Server, token: str = "operator") -> None:
        self._environment = {"EVENTFLOW_URL": server.url, "EVENTFLOW_TOKEN": token}

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        ended = eventflow(*arguments, "--json", **self._environment)
        assert ended.returncode == code, ended.stderr
        return dict(json.loads(ended.stdout))

    def text(self, *arguments: str, code: int = 0) -> str:
        ended = eventflow(*arguments, **self._environment)
        assert ended.returncode == code, ended.stderr
        return ended.stdout + ended.stderr


@pytest.fixture
def terminal(server: Server) -> Terminal:
    return Terminal(server)


def test_from_a_look_to_the_report(yard: Yard, server: Server, terminal: Terminal, tmp_path: Path) -> None:
    target, dead = yard.pair(1, "typed")
    yard.fill(dead, 6, spring_headers(target))
    queue = f"k/{dead}"
    server.wait_for_queue(queue, 6)
    assert [it["position"] for it in terminal.json("dlq", "peek", queue, "--limit", "2")["items"]] == ["0:0", "0:1"]
    assert terminal.json("dlq", "groups", queue)["items"][0]["messages"] == 6
    assert "6 messages" in terminal.text("dlq", "export", queue, "--output", str(tmp_path / "out.jsonl"))
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(json.loads(line)["value"])["id"] for line in lines] == list(range(6))

    plan = terminal.json("redrive", "plan", queue, "--first", "4", "--rate", "1000")
    assert plan.keys() >= PLAN_KEYS
    assert (plan["count"], plan["target"], plan["guarantee"]) == (4, target, "exactly_once")
    job = terminal.json("redrive", "start", plan["id"], "--yes", "--wait")
    assert job.keys() >= JOB_KEYS
    assert (job["state"], job["counts"]["sent"], job["counts"]["left"]) == ("completed", 4, 0)
    assert terminal.json("redrive", "start", plan["id"], "--yes")["id"] == job["id"]
    report = terminal.json("redrive", "report", job["id"])
    assert report["adds_up"] is True
    assert report["ranges"][0]["to"] == [{"topic": target, "partition": 0, "first": 0, "last": 3}]
    rest = terminal.json("redrive", "start", queue, "--yes", "--wait")
    assert rest["counts"]["sent"] == 2
    assert [it["id"] for it in terminal.json("redrive", "status")["items"]][:2] == [rest["id"], job["id"]]
    assert terminal.json("audit", "verify")["intact"] is True
    wait_until("the metric is there", lambda: told_sent(server.metrics(), dead) == [6.0])


def told_sent(page: str, dead: str) -> list[float]:
    families = text_string_to_metric_families(page)
    samples = [it for family in families for it in family.samples if it.name == "eventflow_redrive_messages_total"]
    return [it.value for it in samples if (it.labels["source"], it.labels["outcome"]) == (dead, "sent")]


def test_what_is_refused_has_the_exit_code_of_the_contract(yard: Yard, server: Server, terminal: Terminal) -> None:
    target, dead = yard.pair(1, "refused")
    yard.fill(dead, 1, spring_headers(target))
    server.wait_for_queue(f"k/{dead}", 1)
    assert "above 0" in terminal.text("redrive", "plan", f"k/{dead}", "--rate", "0", code=1)
    assert "does not exist" in terminal.text("redrive", "plan", f"k/{dead}", "--target", "nowhere", code=1)
    assert "--yes" in terminal.text("redrive", "start", f"k/{dead}", code=2)
    assert "No such option" in terminal.text("redrive", "plan", f"k/{dead}", "--sideways", code=2)
    assert "needs the role operator" in Terminal(server, "viewer").text("redrive", "plan", f"k/{dead}", code=1)
    assert "there is no job" in terminal.text("redrive", "status", "nothing", code=1)
    assert len(yard.read(target)) == 0
