"""All parts together in one process, over a collector of the test's own: what a cycle sees arrives everywhere.

The collector is a stand-in, so that what it sees is known; real ones are wired in `test_serve`.
"""

import asyncio
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.app import Monitor
from monitor.clock import Clock
from monitor.config import Cluster, Configuration, DeadLetterMapping, parse_configuration
from monitor.errors import Unreachable
from monitor.memory import Memory
from monitor.model import Age, AgeMethod, DeadLetterQueue, Finding, FoundBy, Snapshot, Subscription, System, encode_id
from monitor.storage.database import Database
from tests.integration.app.running import wait_until

CONFIG = """
clusters: [{name: orders, kind: kafka, bootstrap_servers: "127.0.0.1:1", interval: 100ms}]
owners: [{match: "orders/*", team: checkout}]
objectives: [{subscription: "*/payments", max_age: 45s}]
"""

SEEN = Snapshot(
    "orders",
    "kafka",
    0.0,
    0.01,
    subscriptions=(
        Subscription(
            encode_id("orders", "group", "payments"),
            System.KAFKA,
            "orders",
            "payments",
            "group",
            backlog_messages=600.0,
            oldest_age=Age(3.0, AgeMethod.EXACT),
        ),
    ),
    dead_letters=(
        DeadLetterQueue("orders/payments.dlq", System.KAFKA, "orders", "payments.dlq", FoundBy.NAME, messages=7.0),
    ),
    expected=1,
    measured=1,
)


class Told:
    """A collector that sees what the test says, or nothing."""

    def __init__(self) -> None:
        self.away, self.age = False, 3.0

    def collect(self, deadline: float) -> Snapshot:
        if self.away:
            raise Unreachable("no connection", target="127.0.0.1:1")
        subscription = replace(SEEN.subscriptions[0], oldest_age=Age(self.age, AgeMethod.EXACT))
        return replace(SEEN, taken_at=time.time(), subscriptions=(subscription,))

    def check(self, deadline: float) -> Sequence[Finding]:
        return ()

    def close(self) -> None:
        pass


Running = Callable[[Told], AbstractContextManager[Monitor]]


@pytest.fixture
def running(tmp_path: Path) -> Running:
    """Give the monitor over a collector of the test's own, with one database for all that are run."""

    @contextmanager
    def run(collector: Told) -> Iterator[Monitor]:
        configuration: Configuration = parse_configuration(CONFIG, "monitor.yml", {})

        def open_told(
            cluster: Cluster, dead_letters: Sequence[DeadLetterMapping], clock: Clock, memory: Memory
        ) -> Told:
            return collector

        with closing(Database.open(f"sqlite:///{tmp_path}/eventflow.db")) as database:
            monitor = Monitor(configuration, database, Clock(), open_told)
            monitor.start()
            try:
                yield monitor
            finally:
                monitor.stop()

    return run


def get(monitor: Monitor, path: str) -> httpx.Response:
    return call(monitor, "GET", path)


def call(monitor: Monitor, method: str, path: str, **more: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=monitor.make_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9610") as client:
            return await client.request(method, path, **more)

    return asyncio.run(ask())


def items(monitor: Monitor, path: str) -> list[dict[str, Any]]:
    return list(get(monitor, f"/api/v1/{path}").json()["items"])


ORDERS = {"cluster": "orders", "system": "kafka"}


def sample(monitor: Monitor, name: str, labels: dict[str, str]) -> float:
    """The value of the one sample with exactly these labels; where cycles are late, there is none for a moment."""

    def values() -> list[float]:
        families = text_string_to_metric_families(get(monitor, "/metrics").text)
        return [it.value for family in families for it in family.samples if it.name == name and it.labels == labels]

    (value,) = wait_until(f"{name} is there", values)
    return float(value)


def test_what_a_cycle_sees_is_in_the_api_and_in_the_metrics(running: Running) -> None:
    with running(Told()) as monitor:
        (it,) = wait_until("it is seen", lambda: items(monitor, "subscriptions"))
        assert (it["backlog_messages"], it["oldest_age_seconds"]) == (600, 3)
        assert (it["owner"], it["objective_age_seconds"]) == ("checkout", 45)
        (queue,) = items(monitor, "dead-letters")
        assert queue["messages"] == 7
        labels = {"system": "kafka", "cluster": "orders", "destination": "payments", "subscriber": "group"}
        assert sample(monitor, "eventflow_subscription_backlog_messages", labels) == 600
        (collector,) = items(monitor, "collectors")
        assert collector["up"] is True
        assert collector["series"] > 5


def test_a_cluster_that_goes_away_is_told_at_once_and_its_values_go_after_three_intervals(running: Running) -> None:
    collector = Told()
    with running(collector) as monitor:
        wait_until("it is seen", lambda: items(monitor, "subscriptions"))
        collector.away = True
        wait_until("it is known to fail", lambda: items(monitor, "collectors")[0]["up"] is False)
        wait_until("its values are gone", lambda: not items(monitor, "subscriptions"))
        text = get(monitor, "/metrics").text
        assert "eventflow_subscription_backlog_messages{" not in text
        assert sample(monitor, "eventflow_collector_up", ORDERS) == 0
        assert get(monitor, "/readyz").json()["failing"][0]["message"] == "127.0.0.1:1: no connection"

        collector.away = False
        wait_until("it is back by itself", lambda: items(monitor, "subscriptions"))


def test_every_cycle_is_one_observation_of_its_duration(running: Running) -> None:
    with running(Told()) as monitor:

        def count() -> float:
            return sample(monitor, "eventflow_collector_duration_seconds_count", ORDERS)

        wait_until("it is seen", lambda: items(monitor, "subscriptions"))
        begun, cycles = time.monotonic(), count()
        wait_until("five more cycles are counted", lambda: count() >= cycles + 5)
        assert count() - cycles <= (time.monotonic() - begun) / 0.1 + 2


def test_a_mute_is_audited_shown_in_the_metrics_while_it_holds_and_survives_a_restart(running: Running) -> None:
    labels = {"system": "kafka", "cluster": "orders", "destination": "payments", "subscriber": "group"}

    def muted(monitor: Monitor, family: str) -> bool:
        return f"eventflow_{family}_muted{{" in get(monitor, "/metrics").text

    with running(Told()) as monitor:
        wait_until("it is seen", lambda: items(monitor, "subscriptions"))
        assert not muted(monitor, "subscription")
        asked = {"subject": "orders/*", "for_seconds": 3600, "reason": "upgrade"}
        number = call(monitor, "POST", "/api/v1/mutes", json=asked).json()["id"]
        wait_until("the metrics tell it", lambda: muted(monitor, "subscription") and muted(monitor, "dead_letter"))
        assert sample(monitor, "eventflow_subscription_muted", labels) == 1

    with running(Told()) as monitor:
        (it,) = wait_until("it is seen", lambda: items(monitor, "subscriptions"))
        assert it["muted_reason"] == "upgrade"
        assert call(monitor, "DELETE", f"/api/v1/mutes/{number}").status_code == 200
        wait_until("the metrics forget it", lambda: not muted(monitor, "subscription"))
        records = monitor.audit.read(10)
        assert [(it["operation"], it["actor"]) for it in records] == [("unmute", "local"), ("mute", "local")]
        assert records[1]["reason"] == "upgrade"


@contextmanager
def full_disk(bytes_allowed: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size; the system refuses such writes as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_allowed, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_under_the_database_costs_history_alone(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    def of(monitor: Monitor, name: str) -> float:
        return sample(monitor, f"eventflow_{name}", ORDERS if name.startswith("collector") else {})

    def curve(monitor: Monitor) -> list[float]:
        asked = get(monitor, f"/api/v1/history?subject=subscription:orders/group/payments&from={time.time() - 60}")
        return [it["messages"] for it in asked.json()["points"] if it["messages"] is not None]

    with running(Told()) as monitor:
        wait_until("it is seen", lambda: items(monitor, "subscriptions"))
        with full_disk(0):
            monitor.routine.run_once()
            cycles = of(monitor, "collector_duration_seconds_count")
            wait_until("cycles go on", lambda: of(monitor, "collector_duration_seconds_count") >= cycles + 3)
            monitor.routine.run_once()
            assert curve(monitor) == []
            mute = {"subject": "orders/*", "for_seconds": 60, "reason": "x"}
            refused = call(monitor, "POST", "/api/v1/mutes", json=mute)
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:eventflow:problem:storage-failed")
        wait_until("it is counted", lambda: of(monitor, "history_write_errors_total") >= 2)
        assert of(monitor, "collector_up") == 1
        told = [it.getMessage() for it in caplog.records if it.getMessage().startswith("history: failed")]
        assert len(told) == 1
        monitor.routine.run_once()
        assert curve(monitor) == [600]


def test_the_error_budget_is_counted_over_restarts(running: Running) -> None:
    def budget(monitor: Monitor) -> float:
        """What is left; a whole budget while nothing was judged yet."""
        left = [it["objective_budget_left_ratio"] for it in items(monitor, "subscriptions")]
        return 1.0 if left in ([], [None]) else float(left[0])

    late = Told()
    late.age = 60.0  # the objective allows 45 s
    with running(late) as monitor:
        wait_until("it is missed", lambda: budget(monitor) < 0)
    with running(Told()) as monitor:
        # It is met by now; without what was missed before, the whole budget would be left.
        wait_until("what was missed before is known", lambda: budget(monitor) < 1)
