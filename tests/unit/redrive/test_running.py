"""A job whose cluster gets another configuration while it runs, over a queue that only pretends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import cast

import pytest

from monitor.clock import Clock
from monitor.config import Configuration
from monitor.errors import ReadOnly
from monitor.letters import Choose, Guarantee, Job, PlanRequest, RedriveBus, Survey
from monitor.model import DeadLetterQueue, FoundBy, System
from monitor.redrive.claims import Claims
from monitor.redrive.journal import StoredJob, StoredPlan
from monitor.redrive.plans import make_plan
from monitor.redrive.runner import Means, Runner
from monitor.redrive.stores import Stores
from monitor.redrive.surroundings import Surroundings
from monitor.storage.database import Database
from tests.storage.test_redrive import job_of
from tests.unit.redrive.test_journaled import Queue
from tests.waiting import wait_for

MESSAGES = [f"m{number:03}" for number in range(100)]
QUEUE = DeadLetterQueue("r/q", System.RABBITMQ, "r", "q", FoundBy.NAME)
SURVEY = Survey(len(MESSAGES), True, {"count": len(MESSAGES)}, "work", Guarantee.AT_LEAST_ONCE, 10)


class Bus:
    """Opens the one queue, for the first time or anew."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def open(self, job: Job, choose: Choose) -> Queue:
        return self._queue


class World:
    """A job of a hundred messages that is under way, and the configuration of its cluster."""

    def __init__(self, database: Database) -> None:
        self.queue = Queue(MESSAGES)
        self.bus: Bus | ReadOnly = Bus(self.queue)
        self._stores = Stores.of(database, Configuration(), Clock())
        plan = make_plan("plan-j", 0.0, QUEUE, PlanRequest("r/q"), SURVEY, per_second=1.0)
        self._stores.journal.add_plan(StoredPlan("plan-j", plan["hash"], "r/q", 0.0, 1.0, plan))
        self._stores.journal.add_job(job_of("j", "r/q", planned=len(MESSAGES)))
        self.set_rate(20.0)
        self._means = Means(self._stores, Claims(database), self._bus_of, Surroundings(tuple), Clock())

    def _bus_of(self, cluster: str) -> RedriveBus:
        if isinstance(self.bus, ReadOnly):
            raise self.bus
        return cast(RedriveBus, self.bus)

    def job(self) -> StoredJob:
        return self._stores.journal.job("j")

    def set_rate(self, rate: float | None) -> None:
        self._stores.journal.update_job("j", rate_per_second=rate)

    def wait_for(self, state: str) -> StoredJob:
        wait_for(lambda: self.job().state == state, f"the job is {state}")
        return self.job()

    @contextmanager
    def running(self) -> Iterator[None]:
        stopping = Event()
        assert self._means.claims.take("j")
        runner = Runner("j", self._means, stopping)
        runner.start()
        try:
            wait_for(lambda: self.job().counts.sent > 2, "some are sent")
            yield
        finally:
            stopping.set()
            runner.join(20)
            self._means.claims.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    database = Database.open(f"sqlite:///{tmp_path}/eventflow.db")
    yield World(database)
    database.close()


def test_a_job_pauses_while_its_cluster_may_only_be_watched_and_goes_on_by_itself(world: World) -> None:
    with world.running():
        world.bus = ReadOnly("r is read-only")
        paused = world.wait_for("paused")
        assert (paused.reason, paused.interruptions) == ("read_only: r is read-only", 0)
        assert paused.counts.sent == len(world.queue.arrived) < len(MESSAGES)
        world.bus = Bus(world.queue)
        world.set_rate(None)
        world.wait_for("completed")
    assert world.queue.arrived == MESSAGES


def test_a_job_goes_on_by_the_new_configuration_of_its_cluster(world: World) -> None:
    with world.running():
        world.bus = Bus(world.queue)
        wait_for(lambda: world.job().interruptions == 1, "it begins anew")
        world.set_rate(None)
        world.wait_for("completed")
    assert world.queue.arrived == MESSAGES
