"""Fixtures of redrive on a real Kafka."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.state import Endpoints
from tests.integration.app.running import _ENVIRONMENT
from tests.integration.kafka.playground import Playground
from tests.integration.redrive.kafka.yard import Yard
from tests.integration.redrive.server import Server, running


@pytest.fixture
def kafka(endpoints: Endpoints) -> Iterator[Playground]:
    """The session's Kafka cluster, with names of this test's own."""
    playground = Playground(endpoints.kafka)
    yield playground
    playground.clean()


@pytest.fixture
def yard(kafka: Playground) -> Yard:
    return Yard(kafka)


def cluster_of(kafka: Playground, redrive: str = "{}") -> str:
    """The configuration of a cluster that sees this test's names alone."""
    names = f'{{include: ["{kafka.prefix}*"]}}'
    return (
        f'  - {{name: k, kind: kafka, bootstrap_servers: "{kafka.bootstrap}", interval: 500ms, '
        f"topics: {names}, groups: {names}, redrive: {redrive}}}\n"
    )


@pytest.fixture
def server(kafka: Playground, tmp_path: Path) -> Iterator[Server]:
    """A monitor that may redrive on this cluster."""
    with running(Server(tmp_path, cluster_of(kafka), _ENVIRONMENT)) as started:
        yield started
