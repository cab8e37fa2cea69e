"""Who consumes a subscription right now, asked of its broker when somebody wants to know."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monitor.brokers.kafka.members import read_members as read_kafka
from monitor.brokers.rabbitmq.members import read_members as read_rabbitmq
from monitor.clock import Clock
from monitor.config import Cluster
from monitor.model import Member, Subscription

READERS: Mapping[str, Callable[[Any, Subscription, Clock, float], Sequence[Member]]] = {
    "kafka": read_kafka,
    "rabbitmq": read_rabbitmq,
}


def read_members(cluster: Cluster, subscription: Subscription, clock: Clock, seconds: float) -> Sequence[Member] | None:
    """Return the members of a group or the consumers of a queue; None where the bus does not know them (SQS).

    Raises BrokerError.
    """
    reader = READERS.get(cluster.kind)
    return None if reader is None else reader(cluster, subscription, clock, seconds)
