"""What the log of a running monitor says of a broker that fails again and again."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stack.ports import reserve_ports
from stack.state import Endpoints
from tests.integration.app.running import Process, serving, wait_until
from tests.integration.kafka.link import Link

FAILURES = 10


@pytest.fixture
def port(tmp_path: Path) -> int:
    return reserve_ports(["link"], tmp_path)["link"]


@pytest.fixture
def monitor(endpoints: Endpoints, port: int, tmp_path: Path) -> Iterator[Process]:
    """A monitor that reaches RabbitMQ over a port of its own."""
    where = endpoints.rabbitmq.management.replace(f":{urlsplit(endpoints.rabbitmq.management).port}", f":{port}")
    cluster = f'{{name: mail, kind: rabbitmq, management_url: "{where}", interval: 100ms}}'
    with serving(tmp_path, f"clusters: [{cluster}]\n") as process:
        yield process


def failures(monitor: Process) -> int:
    (collector,) = monitor.get("/api/v1/collectors").json()["items"]
    return int(sum(collector["errors_total"].values()))


def test_a_broker_that_fails_in_the_same_way_is_told_once_with_cluster_and_cycle(
    endpoints: Endpoints, port: int, monitor: Process
) -> None:
    wait_until("nobody is there again and again", lambda: failures(monitor) >= FAILURES)
    link = Link(port, urlsplit(endpoints.rabbitmq.management).port or 0)
    try:
        monitor.wait_until_ready()
        wait_until("it is told", lambda: any("works again" in line for line in list(monitor.lines)))
        monitor.end()
    finally:
        link.close()

    told = [event for event in monitor.events() if event.get("cluster") == "mail"]
    assert [event["message"].split(":")[1].split(",")[0].strip() for event in told] == [
        "failed",
        f"works again after {told[1]['cycle'] - told[0]['cycle']} failures",
    ]
    assert told[1]["cycle"] - told[0]["cycle"] >= FAILURES
