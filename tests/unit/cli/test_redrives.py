"""Commands about jobs, over the HTTP API and a bus that only pretends; no engine moves anything."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from monitor.api.application import make_api
from monitor.api.redrives import make_redrive_router
from monitor.api.sources import Sources
from monitor.apiclient import ApiClient
from monitor.cli import redrives
from monitor.clock import Clock
from monitor.config import Server
from monitor.redrive.model import JobState
from monitor.storage.database import Database
from monitor.storage.tables import AUDIT
from tests.unit.api.builders import Api, AppTransport
from tests.unit.cli.running import Ended, Shell
from tests.unit.redrive.test_service import World


class Jobs:
    """The command line over such a monitor. One message is asked for at a time, so that nobody has to approve."""

    def __init__(self, shell: Shell, world: World, api: Api, database: Database) -> None:
        self._shell, self.world, self.api, self.database = shell, world, api, database

    def run(self, *arguments: str) -> Ended:
        return self._shell.run(*arguments, "--json")

    def start(self, *options: str) -> Any:
        return json.loads(self.run("redrive", "start", "k/q", "--first", "1", "--yes", *options).out)

    def end(self, job: str, state: JobState) -> None:
        self.world.journal.update_job(job, state=state, ended_at=self.world.now)


@pytest.fixture
def jobs(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    database = Database.open(f"sqlite:///{tmp_path}/eventflow.db")
    world, api = World(database), Api()
    sources = Sources(lambda: (), api.page.page, api.page.series, Clock())
    api.app = make_api(sources, Server, [make_redrive_router(world.redrives)])

    def connect(url: str, token: str | None, timeout_seconds: float) -> ApiClient:
        return ApiClient(url, token, transport=AppTransport(api))

    monkeypatch.setattr(redrives, "ApiClient", connect)
    yield Jobs(shell, world, api, database)
    database.close()


@pytest.mark.parametrize(("verb", "wanted"), [("pause", "pause"), ("resume", "run"), ("cancel", "cancel")])
def test_a_job_is_asked_what_the_command_says(jobs: Jobs, verb: str, wanted: str) -> None:
    job = jobs.start()
    ended = jobs.run("redrive", verb, job["id"])
    assert (ended.code, json.loads(ended.out)["id"]) == (0, job["id"])
    assert jobs.world.journal.job(job["id"]).wanted == wanted


def test_the_rate_is_changed_and_taken_away(jobs: Jobs) -> None:
    job = jobs.start("--rate", "5")["id"]
    assert json.loads(jobs.run("redrive", "rate", job, "20").out)["rate"] == 20
    assert json.loads(jobs.run("redrive", "rate", job).out)["rate"] is None


@pytest.mark.parametrize("arguments", [("redrive", "pause"), ("redrive", "rate"), ("redrive", "status")])
def test_of_a_job_that_does_not_exist_everything_is_refused(jobs: Jobs, arguments: Sequence[str]) -> None:
    assert jobs.run(*arguments, "nothing").code == 1


@pytest.mark.parametrize(
    ("state", "code"),
    [(JobState.COMPLETED, 0), (JobState.CANCELLED, 0), (JobState.COMPLETED_WITH_FAILURES, 1), (JobState.FAILED, 1)],
)
def test_the_exit_code_tells_how_a_job_ended(jobs: Jobs, state: JobState, code: int) -> None:
    job = jobs.start()["id"]
    jobs.end(job, state)
    assert [jobs.run("redrive", command, job).code for command in ("status", "report")] == [code, code]


def test_who_waits_for_a_job_that_fails_is_told_by_the_exit_code(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_meanwhile(_: float) -> None:
        for job in jobs.world.journal.unfinished():
            jobs.end(job.id, JobState.COMPLETED_WITH_FAILURES)

    monkeypatch.setattr("monitor.cli.redrives.time.sleep", fail_meanwhile)
    ended = jobs.run("redrive", "start", "k/q", "--first", "1", "--yes", "--wait")
    assert (ended.code, json.loads(ended.out)["state"]) == (1, "completed_with_failures")


def test_an_expression_that_cannot_be_understood_is_refused(jobs: Jobs) -> None:
    ended = jobs.run("redrive", "plan", "k/q", "--select", "a ==")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("select: ")


def test_a_broken_chain_of_audit_records_is_1(jobs: Jobs) -> None:
    jobs.run("redrive", "pause", jobs.start()["id"])
    assert jobs.run("audit", "verify").code == 0
    with jobs.database.writing() as connection:
        connection.execute(sa.update(AUDIT).where(AUDIT.c.sequence == 1).values(actor="nobody"))
    ended = jobs.run("audit", "verify")
    assert (ended.code, json.loads(ended.out)["broken_at"]) == (1, 1)


def test_one_idempotency_key_is_one_job_and_belongs_to_one_plan(jobs: Jobs) -> None:
    def plan() -> dict[str, Any]:
        made = jobs.api.ask("POST", "/api/v1/redrives/plan", json={"dead_letters": "k/q", "first": 1}).json()
        return {"plan_id": made["id"], "hash": made["hash"]}

    def start(asked: dict[str, Any]) -> tuple[int, Any]:
        answer = jobs.api.ask("POST", "/api/v1/redrives", json=asked, headers={"Idempotency-Key": "k1"})
        return answer.status_code, answer.json()

    first, other = plan(), plan()
    assert first["plan_id"] != other["plan_id"]
    (new, job), (again, same) = start(first), start(first)
    assert (new, again, same["id"]) == (201, 200, job["id"])
    status, problem = start(other)
    assert (status, problem["type"]) == (409, "urn:eventflow:problem:conflict")
