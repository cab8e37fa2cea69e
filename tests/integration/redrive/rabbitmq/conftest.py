from collections.abc import Iterator

import pytest

from stack.state import Endpoints
from tests.integration.redrive.rabbitmq.yard import Yard


@pytest.fixture(scope="module")
def shared_yard(endpoints: Endpoints) -> Iterator[Yard]:
    """A virtual host for the tests of one module: making one takes a second."""
    yard = Yard(endpoints.rabbitmq)
    yield yard
    yard.close()


@pytest.fixture
def yard(shared_yard: Yard) -> Iterator[Yard]:
    """The module's virtual host, empty."""
    shared_yard.open()
    yield shared_yard
    shared_yard.clear()
