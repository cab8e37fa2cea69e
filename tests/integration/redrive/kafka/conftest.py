"""Fixtures of redrive on a real Kafka."""

from collections.abc import Iterator

import pytest

from monitor.config import hash_token
from stack.state import Endpoints
from tests.integration.app.running import _ENVIRONMENT
from tests.integration.redrive.kafka.yard import Yard, open_yard
from tests.integration.redrive.server import Server, running

ROLES = ("viewer", "operator", "admin")
"""Each is also the token of somebody with that role."""


@pytest.fixture(scope="module")
def yard(endpoints: Endpoints) -> Iterator[Yard]:
    """The session's Kafka cluster, with names of this module's own."""
    with open_yard(endpoints.kafka) as yard:
        yield yard


@pytest.fixture(scope="module")
def server(yard: Yard, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A monitor that may redrive on this cluster, and its operator."""
    names = f'{{include: ["{yard.kafka.prefix}*"]}}'
    about = f'kind: kafka, bootstrap_servers: "{yard.kafka.bootstrap}", interval: 1s, topics: {names}'
    clusters = f"  - {{name: k, {about}, groups: {names}, redrive: {{}}}}\n  - {{name: watched, {about}}}\n"
    tokens = ", ".join(f'{{name: {role}, role: {role}, sha256: "{hash_token(role)}"}}' for role in ROLES)
    settings = f"server: {{tokens: [{tokens}]}}\n"
    folder = tmp_path_factory.mktemp("server")
    with running(Server(folder, clusters, _ENVIRONMENT, settings, "operator")) as started:
        yield started
