"""What all services of a flow share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from examples.event_flow.buses import aws, kafka, rabbitmq
from examples.event_flow.buses.base import Publisher
from examples.event_flow.metrics import Metrics
from examples.event_flow.names import Endpoints, Names
from examples.event_flow.outcomes import Tally
from examples.event_flow.running import Stop

BUSES: Final = ("kafka", "rabbitmq", "aws")


@dataclass(frozen=True, slots=True)
class Flow:
    """Where the flow runs, how much goes through it, and how it ends.

    `store` is the folder of the services' databases. `orders` bounds the number of orders, which are then published
    without a pace; None means no end. `flaky_share` is the share of calls that mail server and warehouse fail once in a
    while, `work_seconds` how long one takes. `first_redelivery_seconds` is how long SQS hides a message after its first
    failure. `newest_version` is the newest version of a schema that the consumers know,
    `clock_error_seconds` by how much the clock of the publishers is ahead.
    """

    endpoints: Endpoints
    names: Names
    stop: Stop
    tally: Tally
    metrics: Metrics
    store: Path
    seed: int
    buses: tuple[str, ...] = BUSES
    orders_per_second: float = 5.0
    poison_share: float = 0.05
    orders: int | None = None
    flaky_share: float = 0.02
    work_seconds: float = 0.02
    first_redelivery_seconds: int = 2
    newest_version: int = 1
    clock_error_seconds: float = 0.0

    def rng(self, purpose: str) -> Random:
        """Return randomness of its own for a purpose, the same for the same seed."""
        return Random(f"{self.seed}/{purpose}")

    def store_of(self, service: str) -> Path:
        """Return the file of a service's database; no other service reads it."""
        return self.store / f"{service}.db"

    @property
    def world(self) -> Path:
        """The file of what mail server and warehouse know."""
        return self.store / "world.db"

    def open_publisher(self, bus: str) -> Publisher:
        """Connect a publisher to the bus. Raises BusAway."""
        opening: Mapping[str, Callable[[], Publisher]] = {
            "kafka": lambda: kafka.KafkaPublisher(self.endpoints, self.names, self.stop, self.clock_error_seconds),
            "rabbitmq": lambda: rabbitmq.RabbitPublisher(self.endpoints, self.names),
            "aws": lambda: aws.SnsPublisher(self.endpoints, self.names),
        }
        return opening[bus]()


def set_up(bus: str, endpoints: Endpoints, names: Names) -> None:
    """Make sure that all topics, queues and subscriptions of the flow are there on one bus.

    Done before each connect, since a broker may come back without what it had. Raises BusAway.
    """
    setting_up: Mapping[str, Callable[[Endpoints, Names], None]] = {
        "kafka": kafka.set_up,
        "rabbitmq": rabbitmq.set_up,
        "aws": aws.set_up,
    }
    setting_up[bus](endpoints, names)


def remove(bus: str, endpoints: Endpoints, names: Names) -> None:
    """Remove everything that `set_up` and the consumers have made on one bus; what is not there does no harm.

    Raises BusAway, also while somebody still consumes.
    """
    removing: Mapping[str, Callable[[Endpoints, Names], None]] = {
        "kafka": kafka.remove,
        "rabbitmq": rabbitmq.remove,
        "aws": aws.remove,
    }
    removing[bus](endpoints, names)
