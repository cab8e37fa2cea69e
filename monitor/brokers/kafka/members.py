"""The members of a consumer group, and which partitions each owns."""

from collections.abc import Sequence
from contextlib import closing

from confluent_kafka import KafkaError

from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.translation import translate
from monitor.clock import Clock
from monitor.config import KafkaCluster
from monitor.errors import BrokerError
from monitor.model import Member, Subscription


def read_members(cluster: KafkaCluster, subscription: Subscription, clock: Clock, seconds: float) -> Sequence[Member]:
    """Return who is in the group, with the partitions of the subscription's topic. Raises BrokerError."""
    group, topic = subscription.subscriber, subscription.destination
    with closing(KafkaClient(cluster, clock.monotonic)) as client:
        # Metadata comes first: it opens the connections, and tells why they cannot be.
        client.list_topics(clock.monotonic() + seconds)
        for _, results in client.run({None: [client.descriptions(None, [group])]}, seconds):
            if isinstance(results, BrokerError):
                raise results
            (found,) = results
            if isinstance(found, KafkaError):
                raise translate(found)
            return [_member(it, topic) for it in found.members]
    return []


def _member(it: object, topic: str) -> Member:
    assignment = it.assignment.topic_partitions if it.assignment else ()  # type: ignore[attr-defined]
    owned = sorted(part.partition for part in assignment if part.topic == topic)
    elsewhere = sum(part.topic != topic for part in assignment)
    return Member(
        name=it.member_id,  # type: ignore[attr-defined]
        client=it.client_id,  # type: ignore[attr-defined]
        host=it.host.removeprefix("/"),  # type: ignore[attr-defined]
        owns=tuple(str(number) for number in owned),
        owns_elsewhere=elsewhere,
    )
