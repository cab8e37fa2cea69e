"""Two monitors on one PostgreSQL: each cluster is read by one of them, and by the other when that one dies."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from stack.state import Endpoints
from tests.integration.app.running import Process, serving, wait_until

CLUSTERS = ("orders", "mail", "aws")
CONFIG = """
database_url: "{database}"
clusters:
  - {{name: orders, kind: kafka, bootstrap_servers: "{kafka}", interval: 1s}}
  - {{name: mail, kind: rabbitmq, management_url: "{mail}", interval: 1s}}
  - {{name: aws, kind: aws, region: us-east-1, endpoint_url: "{aws}", interval: 1s, cloudwatch: {{enabled: false}}}}
"""


@pytest.fixture
def pair(endpoints: Endpoints, empty_postgresql_url: str, tmp_path: Path) -> Iterator[tuple[Process, Process]]:
    config = CONFIG.format(
        database=empty_postgresql_url,
        kafka=endpoints.kafka,
        mail=endpoints.rabbitmq.management,
        aws=endpoints.aws,
    )
    folders = [tmp_path / name for name in ("one", "two")]
    with ExitStack() as running:
        for folder in folders:
            folder.mkdir()
        one, two = (running.enter_context(serving(folder, config)) for folder in folders)
        yield one, two


def shown(monitor: Process) -> set[str]:
    """Return the clusters that a monitor has series of."""
    text = monitor.get("/metrics").text
    return {name for name in CLUSTERS if f'cluster="{name}"' in text}


def read_here(monitor: Process) -> set[str]:
    return set(monitor.get("/readyz").json()["ok"])


def is_shared(one: Process, two: Process) -> bool:
    """Say whether each monitor reads some clusters, and together all."""
    mine, others = read_here(one), read_here(two)
    return bool(mine) and bool(others) and mine | others == set(CLUSTERS) and not mine & others


def test_each_cluster_is_shown_by_one_and_by_the_other_after_a_kill(pair: tuple[Process, Process]) -> None:
    one, two = pair
    wait_until("the clusters are shared", lambda: is_shared(one, two))
    wait_until("nobody shows what the other reads", lambda: not shown(one) & shown(two))
    items = {it["cluster"]: it for it in two.get("/api/v1/collectors").json()["items"]}
    assert {name: it["read_by"] for name, it in items.items()} == {
        name: None if name in read_here(two) else one.url for name in CLUSTERS
    }

    one.popen.kill()
    wait_until("the other reads everything", lambda: read_here(two) == set(CLUSTERS))
    wait_until("and shows it", lambda: shown(two) == set(CLUSTERS))
