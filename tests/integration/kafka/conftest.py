"""Fixtures of the tests against a real Kafka."""

from collections.abc import Iterator

import pytest

from stack.state import Endpoints
from tests.integration.kafka.playground import Playground, Watcher


@pytest.fixture
def kafka(endpoints: Endpoints) -> Iterator[Playground]:
    """The session's Kafka cluster, with names of this test's own."""
    playground = Playground(endpoints.kafka)
    yield playground
    playground.clean()


@pytest.fixture
def watcher(kafka: Playground) -> Iterator[Watcher]:
    """A collector of what belongs to this test."""
    watcher = Watcher(kafka.collector())
    yield watcher
    watcher.collector.close()
