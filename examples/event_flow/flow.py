"""What all services of a flow share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from examples.event_flow.buses import aws, kafka, rabbitmq
from examples.event_flow.buses.base import Publisher
from examples.event_flow.names import Endpoints, Names
from examples.event_flow.running import Stop, Tally

BUSES: Final = ("kafka", "rabbitmq", "aws")


@dataclass(frozen=True, slots=True)
class Flow:
    """Where the flow runs, how much goes through it, and how it ends.

    `orders` bounds the number of orders, which are then published without a pace; None means no end.
    `flaky_share` is the share of calls that mail server and warehouse fail once in a while, `work_seconds` how long one
    takes. `first_redelivery_seconds` is how long SQS hides a message after its first failure.
    """

    endpoints: Endpoints
    names: Names
    stop: Stop
    tally: Tally
    seed: int
    orders_per_second: float = 5.0
    poison_share: float = 0.05
    orders: int | None = None
    flaky_share: float = 0.02
    work_seconds: float = 0.02
    first_redelivery_seconds: int = 2

    def rng(self, purpose: str) -> Random:
        """Return randomness of its own for a purpose, the same for the same seed."""
        return Random(f"{self.seed}/{purpose}")

    def open_publisher(self, bus: str) -> Publisher:
        """Connect a publisher to the bus. Raises BusAway."""
        opening: Mapping[str, Callable[[], Publisher]] = {
            "kafka": lambda: kafka.KafkaPublisher(self.endpoints.kafka, self.names, self.stop),
            "rabbitmq": lambda: rabbitmq.RabbitPublisher(self.endpoints.amqp, self.names),
            "aws": lambda: aws.SnsPublisher(self.endpoints.aws, self.names),
        }
        return opening[bus]()


def set_up(bus: str, endpoints: Endpoints, names: Names) -> None:
    """Make sure that all topics, queues and subscriptions of the flow are there on one bus.

    Done before each connect, since a broker may come back without what it had. Raises BusAway.
    """
    setting_up: Mapping[str, Callable[[], None]] = {
        "kafka": lambda: kafka.set_up(endpoints.kafka, names),
        "rabbitmq": lambda: rabbitmq.set_up(endpoints.amqp, names),
        "aws": lambda: aws.set_up(endpoints.aws, names),
    }
    setting_up[bus]()
