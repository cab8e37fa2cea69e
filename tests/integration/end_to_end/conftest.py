"""A monitor as a process of its own over the session's real brokers."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.control import Stack
from stack.state import Endpoints, Options
from tests.integration.app.running import Process, serving
from tests.integration.kafka.playground import Playground

CONFIG = """
clusters:
  - {{name: orders, kind: kafka, bootstrap_servers: "{kafka}", interval: 1s,
     topics: {{include: ["{prefix}*"]}}, groups: {{include: ["{prefix}*"]}}}}
  - {{name: mail, kind: rabbitmq, amqp_url: "{amqp}", management_url: "{management}",
     prometheus_url: "{prometheus}", interval: 1s, queues: {{include: ["{prefix}*"]}}}}
  - {{name: aws, kind: aws, region: us-east-1, endpoint_url: "{aws}", interval: 1s,
     queues: {{include: ["{prefix}*"]}}, cloudwatch: {{enabled: false}}}}
"""


def configuration(endpoints: Endpoints, prefix: str) -> str:
    """The three brokers, and of each only what begins with the prefix."""
    rabbitmq = endpoints.rabbitmq
    return CONFIG.format(
        kafka=endpoints.kafka,
        amqp=rabbitmq.amqp,
        management=rabbitmq.management,
        prometheus=rabbitmq.prometheus,
        aws=endpoints.aws,
        prefix=prefix,
    )


@pytest.fixture
def kafka(endpoints: Endpoints) -> Iterator[Playground]:
    """The session's Kafka, with names of this test's own."""
    playground = Playground(endpoints.kafka)
    yield playground
    playground.clean()


@pytest.fixture
def monitor(endpoints: Endpoints, kafka: Playground, tmp_path: Path) -> Iterator[Process]:
    """A monitor that watches what this test makes on all three buses."""
    with serving(tmp_path, configuration(endpoints, kafka.prefix)) as process:
        process.wait_until_ready()
        yield process


@pytest.fixture
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of this test's own, to freeze: Kafka and the AWS stand-in."""
    stack = Stack(tmp_path_factory.mktemp(f"stack{uuid.uuid4().hex[:4]}"), Options(parts=("kafka", "aws")))
    stack.start()
    yield stack
    stack.stop()
