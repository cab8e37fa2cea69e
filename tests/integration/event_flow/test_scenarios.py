"""The quick scenarios at a small size, side by side, on the shared brokers and before one monitor."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from examples.event_flow.scenarios.catalogue import SCENARIOS
from examples.event_flow.scenarios.ground import Setting
from examples.event_flow.scenarios.running import Result, run_scenario
from monitor.apiclient import ApiClient
from stack.state import Endpoints
from tests.integration.app.running import serving

QUICK = ("poison-message", "downstream-outage")
SIZE = 4
CONFIG = """
clusters:
  - {{name: orders, kind: kafka, bootstrap_servers: "{kafka}", interval: 1s, redrive: {{}},
     topics: {{include: {mine}}}, groups: {{include: {mine}}}}}
  - {{name: mail, kind: rabbitmq, amqp_url: "{amqp}", management_url: "{management}", redrive: {{}},
     prometheus_url: "{prometheus}", interval: 1s, queues: {{include: {mine}}}}}
  - {{name: aws, kind: aws, region: us-east-1, endpoint_url: "{aws}", interval: 1s, redrive: {{}},
     queues: {{include: {mine}}}, topics: {{include: {mine}}}, cloudwatch: {{enabled: false}}}}
"""


def config(endpoints: Endpoints) -> str:
    """A monitor that sees nothing but the flows of these scenarios."""
    rabbitmq = endpoints.rabbitmq
    return CONFIG.format(
        kafka=endpoints.kafka,
        amqp=rabbitmq.amqp,
        management=rabbitmq.management,
        prometheus=rabbitmq.prometheus,
        aws=endpoints.aws,
        mine=json.dumps([f"{name}-*" for name in QUICK]),
    )


@pytest.fixture(scope="module")
def results(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, "Future[Result]"]]:
    """What came of them: each starts as soon as the monitor is ready."""
    folder = tmp_path_factory.mktemp("scenarios")
    file = folder / "endpoints.json"
    file.write_text(json.dumps(endpoints.values))
    with serving(folder, config(endpoints)) as monitor:
        monitor.wait_until_ready()
        with ApiClient(monitor.url) as client, ThreadPoolExecutor(len(QUICK)) as pool:
            setting = Setting(file, folder, client, SIZE)
            yield {name: pool.submit(run_scenario, SCENARIOS[name], setting, lambda _: None) for name in QUICK}


@pytest.mark.parametrize("name", QUICK)
def test_the_monitor_shows_it_and_every_order_is_done_once_in_the_end(
    results: dict[str, "Future[Result]"], name: str
) -> None:
    result = results[name].result(timeout=110)
    assert result.ok, result.rows[-1]
