"""What all tests share: one stack of real brokers for the whole session."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.control import Stack
from stack.state import Endpoints, read_endpoints


@pytest.fixture(scope="session")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """Addresses of real brokers: those of a stack that runs already (EVENTFLOW_TEST_ENDPOINTS), or of one for this run.

    A broker that cannot be had fails every test that needs it.
    """
    running = os.environ.get("EVENTFLOW_TEST_ENDPOINTS")
    if running:
        yield read_endpoints(Path(running))
        return
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.start()
    yield stack.endpoints
    stack.stop()
