"""Names of their own for each module of these tests, on the shared brokers, and a clean-up after it."""

import secrets
from collections.abc import Iterator
from functools import partial

import pytest

from examples.event_flow.buses.base import BusAway
from examples.event_flow.flow import BUSES, remove
from examples.event_flow.names import Endpoints, Names
from stack.state import Endpoints as StackEndpoints
from tests.waiting import wait_for


@pytest.fixture(scope="session")
def buses(endpoints: StackEndpoints) -> Endpoints:
    """Addresses of the real brokers, as the flow takes them."""
    return Endpoints(kafka=endpoints.kafka, amqp=endpoints.rabbitmq.amqp, aws=endpoints.aws)


@pytest.fixture(scope="module")
def names(buses: Endpoints) -> Iterator[Names]:
    """Names that nobody else uses; what bears them is removed afterwards."""
    names = Names(f"flow-{secrets.token_hex(4)}-")
    yield names
    remove_flow(buses, names)


def remove_flow(buses: Endpoints, names: Names) -> None:
    """Remove everything that a flow under these names has made on the brokers."""
    for bus in BUSES:
        wait_for(partial(_removed, bus, buses, names), f"the flow is removed on {bus}")


def _removed(bus: str, buses: Endpoints, names: Names) -> bool:
    try:
        remove(bus, buses, names)
    except BusAway:  # as Kafka says until the last member of a group is gone
        return False
    return True
