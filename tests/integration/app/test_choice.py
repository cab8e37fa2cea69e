"""What the configuration leaves out of `/metrics` is left out, told, and still in the API."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from monitor.app import Monitor
from monitor.clock import Clock
from monitor.config import Cluster, DeadLetterMapping, parse_configuration
from monitor.memory import Memory
from monitor.model import Finding, Snapshot, Subscription, System, Table, encode_id
from monitor.storage.database import Database
from tests.waiting import wait_for

CONFIG = """
clusters:
  - {name: few, kind: kafka, bootstrap_servers: "127.0.0.1:1", interval: 60s,
     families: {include: ["subscription_*", "kafka_consumer_group_lag_messages"]}}
  - {name: limited, kind: kafka, bootstrap_servers: "127.0.0.1:1", interval: 60s, max_series: 60}
"""


class Told:
    """A stand-in collector, so that what it sees is known: one group on one topic of a hundred partitions."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster

    def collect(self, deadline: float) -> Snapshot:
        rows = [("g", "t", str(number)) for number in range(100)]
        columns = {f"kafka_consumer_group_lag_{unit}": [1.0] * 100 for unit in ("messages", "seconds")}
        it = Subscription(
            encode_id(self._cluster, "g", "t"),
            System.KAFKA,
            self._cluster,
            "t",
            "g",
            backlog_messages=100.0,
            scope={"group": "g", "topic": "t"},
        )
        tables = {"group_partitions": Table.of_rows(("group", "topic", "partition"), rows, columns)}
        return Snapshot(self._cluster, "kafka", time.time(), 0.01, (it,), tables=tables, expected=1, measured=1)

    def check(self, deadline: float) -> Sequence[Finding]:
        return ()

    def close(self) -> None:
        pass


def get(monitor: Monitor, path: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=monitor.make_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9610") as client:
            return await client.get(path)

    return asyncio.run(ask())


def _both_rendered(text: str) -> list[str] | None:
    rendered = all(
        f'eventflow_collector_up{{cluster="{name}",system="kafka"}} 1' in text for name in ("few", "limited")
    )
    return text.split("\n") if rendered else None


def test_families_and_limits_hold_for_the_page_and_not_for_the_api(tmp_path: Path) -> None:
    def open_told(cluster: Cluster, dead: Sequence[DeadLetterMapping], clock: Clock, memory: Memory) -> Told:
        return Told(cluster.name)

    with closing(Database.open(f"sqlite:///{tmp_path}/eventflow.db")) as database:
        monitor = Monitor(parse_configuration(CONFIG, "monitor.yml", {}), database, Clock(), open_told)
        monitor.start()
        try:
            wait_for(lambda: len(get(monitor, "/api/v1/subscriptions").json()["items"]) == 2, "both clusters")
            # The view is there a moment before the page that is rendered from it.
            lines = wait_for(lambda: _both_rendered(get(monitor, "/metrics").text), "both on the page")
            collectors = {it["cluster"]: it for it in get(monitor, "/api/v1/collectors").json()["items"]}
            details = get(monitor, "/api/v1/subscriptions/limited/g/t").json()["details"]
        finally:
            monitor.stop()

    def shown(cluster: str, family: str) -> int:
        return sum(line.startswith(f'eventflow_{family}{{cluster="{cluster}"') for line in lines)

    assert shown("few", "kafka_consumer_group_lag_messages") == 100
    assert shown("few", "kafka_consumer_group_lag_seconds") == 0
    assert shown("few", "subscription_backlog_messages") == shown("few", "collector_up") == 1
    assert (collectors["few"]["series_dropped"], shown("limited", "kafka_consumer_group_lag_messages")) == (0, 0)
    assert shown("limited", "subscription_backlog_messages") == 1
    assert collectors["limited"]["series_dropped"] == 200
    assert _notes(collectors["limited"])
    assert len(details["group_partitions"]) == 100


def _notes(collector: dict[str, Any]) -> list[str]:
    return [note for note in collector["notes"] if "200 series are left out" in note]
