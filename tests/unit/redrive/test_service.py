"""What people ask of redrive, over a bus that only pretends: what is written down, and how long what waits may wait."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from monitor.clock import Clock
from monitor.config import Approvals, Configuration, KafkaCluster, KafkaRedrive
from monitor.errors import BadRequest, BrokerFailed, Conflict, NotFound, RequestError, Unreachable
from monitor.letters import Guarantee, PlanRequest, RedriveBus, Survey
from monitor.model import ClusterView, DeadLetterQueue, FoundBy, Health, Snapshot, System
from monitor.redrive.approvals import WAITS_AT_MOST_SECONDS
from monitor.redrive.audit import Actor
from monitor.redrive.exports import Export
from monitor.redrive.journal import Journal
from monitor.redrive.model import JobState
from monitor.redrive.plans import hash_payload
from monitor.redrive.service import Redrives
from monitor.redrive.stores import Stores
from monitor.storage.database import Database
from tests.storage.test_redrive import job_of

ALICE, BOB, ROOT = Actor("alice", "operator"), Actor("bob", "operator"), Actor("root", "admin")
QUEUE = DeadLetterQueue("k/q", System.KAFKA, "k", "q", FoundBy.NAME, messages=3)
VIEW = ClusterView(Health("k", "kafka", 15.0), Snapshot("k", "kafka", 1.0, 0.1, (), (QUEUE,)), ())
SURVEY = Survey(3, True, {"count": 3}, "orders", Guarantee.AT_LEAST_ONCE, 10)
CLUSTER = KafkaCluster(name="k", kind="kafka", bootstrap_servers="127.0.0.1:1", redrive=KafkaRedrive())


class Bus:
    """Has three messages, of which a purge that is broken may have removed some."""

    broken = False

    def survey(self, queue: str, request: PlanRequest, deadline: float) -> Survey:
        return SURVEY

    def purge(self, queue: str, deadline: float) -> int:
        if self.broken:
            raise Unreachable("the connection was lost")
        return 3

    def close(self) -> None:
        pass


class World:
    """Redrive over one such bus, by a clock of its own."""

    def __init__(self, database: Database) -> None:
        self.now = 1_000_000.0
        clock = Clock(now=lambda: self.now)
        # Not validated: that approvals need two people is the configuration's own affair.
        configuration = Configuration.model_construct(clusters=[CLUSTER], approvals=Approvals(above=2))
        self.stores = Stores.of(database, configuration, clock)
        self.bus = Bus()
        self.redrives = Redrives(
            configuration, self.stores, lambda: [VIEW], lambda _: cast(RedriveBus, self.bus), clock
        )

    @property
    def journal(self) -> Journal:
        return self.stores.journal

    def start(self, **asked: Any) -> Mapping[str, Any]:
        plan = self.redrives.plan(PlanRequest("k/q", **asked), ALICE)
        return self.redrives.start(plan["id"], plan["hash"], None, ALICE)[0]

    def audited(self, number: int = 1) -> list[Mapping[str, Any]]:
        return list(self.redrives.audit.read(number))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    database = Database.open(f"sqlite:///{tmp_path}/eventflow.db")
    yield World(database)
    database.close()


ASKED: Mapping[str, Callable[[Redrives], object]] = {
    "start": lambda redrives: redrives.start("nothing", "hash", None, ALICE),
    "approve": lambda redrives: redrives.approve("nothing", ALICE),
    "pause": lambda redrives: redrives.steer("nothing", "pause", ALICE),
    "resume": lambda redrives: redrives.steer("nothing", "resume", ALICE),
    "cancel": lambda redrives: redrives.steer("nothing", "cancel", ALICE),
    "rate": lambda redrives: redrives.set_rate("nothing", 1.0, ALICE),
    "recover": lambda redrives: redrives.recover("nothing", ALICE),
}


@pytest.mark.parametrize("verb", ASKED)
def test_who_asks_something_of_what_does_not_exist_is_in_the_audit(world: World, verb: str) -> None:
    with pytest.raises(NotFound):
        ASKED[verb](world.redrives)
    (record,) = world.audited()
    assert (record["actor"], record["operation"], record["outcome"]) == ("alice", f"redrive.{verb}", "refused")
    assert record["plan" if verb == "start" else "job"] == "nothing"


def test_a_refused_recovery_is_in_the_audit(world: World) -> None:
    job = world.start()
    world.redrives.steer(job["id"], "cancel", ALICE)
    with pytest.raises(Conflict, match="nothing to recover"):
        world.redrives.recover(job["id"], ALICE)
    (record,) = world.audited()
    assert (record["operation"], record["outcome"], record["dead_letters"]) == ("redrive.recover", "refused", "k/q")


def test_the_audit_has_the_hash_of_an_expression_and_never_its_text(world: World) -> None:
    select = "body.name == 'secret'"
    world.start(select=select)
    with pytest.raises(BadRequest, match="secret"):
        world.redrives.plan(PlanRequest("k/q", select=f"{select} 'secret'"), ALICE)
    refused, started = world.audited(2)
    assert started["select_sha256"] == hash_payload(select)
    assert refused["error"].startswith("select: refused")
    assert "secret" not in str([refused, started])


def test_a_job_that_nobody_approves_in_time_ends_and_lets_its_queue_go(world: World) -> None:
    job = world.start()
    assert job["state"] == JobState.AWAITING_APPROVAL
    world.now += WAITS_AT_MOST_SECONDS - 1
    world.redrives.expire()
    assert world.redrives.job(job["id"])["state"] == JobState.AWAITING_APPROVAL
    world.now += 1
    with pytest.raises(Conflict, match=r"not approved within 1 d.*plan again"):
        world.redrives.approve(job["id"], BOB)
    world.redrives.expire()
    ended = world.redrives.job(job["id"])
    assert (ended["state"], ended["reason"], ended["ended_at"]) == ("cancelled", "not approved within 1 d", world.now)
    (record,) = world.audited()
    assert (record["operation"], record["job"], record["outcome"]) == ("redrive.end", job["id"], "cancelled")
    assert world.start()["state"] == JobState.AWAITING_APPROVAL


def test_a_job_that_runs_is_never_too_old(world: World) -> None:
    world.journal.add_job(replace(job_of("old"), state=JobState.RUNNING, created_at=0.0))
    world.redrives.expire()
    assert world.journal.job("old").state == JobState.RUNNING


@pytest.mark.parametrize(
    ("queue", "name", "broken", "error", "outcomes"),
    [
        ("k/nothing", "nothing", False, NotFound, ["refused"]),
        ("k/q", "other", False, BadRequest, ["refused"]),
        ("k/q", "q", True, BrokerFailed, ["failed", "allowed"]),
        ("k/q", "q", False, None, ["done", "allowed"]),
    ],
)
def test_the_audit_tells_a_purge_that_was_refused_from_one_that_failed(
    world: World, queue: str, name: str, broken: bool, error: type[RequestError] | None, outcomes: list[str]
) -> None:
    world.stores.exports.add(Export("e", "k/q", "root", world.now, 3, "0" * 64))
    world.bus.broken = broken
    if error is None:
        assert world.redrives.shelf.purge(queue, name, "e", ROOT)["removed"] == 3
    else:
        with pytest.raises(error):
            world.redrives.shelf.purge(queue, name, "e", ROOT)
    records = world.audited(10)
    assert [it["outcome"] for it in records] == outcomes
    assert {(it["operation"], it["dead_letters"]) for it in records} == {("dead-letters.purge", queue)}
