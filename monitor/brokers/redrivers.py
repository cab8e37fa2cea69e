"""Which class redrives on which kind of cluster."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monitor.brokers.aws.redrive import AwsRedriveBus
from monitor.brokers.kafka.redrive import KafkaRedriveBus
from monitor.brokers.rabbitmq.redrive import RabbitRedriveBus
from monitor.clock import Clock
from monitor.config import Cluster, DeadLetterMapping
from monitor.letters import RedriveBus

REDRIVERS: Mapping[str, Callable[[Any, Sequence[DeadLetterMapping], Clock], RedriveBus]] = {
    "kafka": KafkaRedriveBus,
    "rabbitmq": RabbitRedriveBus,
    "aws": AwsRedriveBus,
}


def open_redriver(cluster: Cluster, dead_letters: Sequence[DeadLetterMapping], clock: Clock) -> RedriveBus:
    """Make the redrive side of a cluster. `dead_letters` are the mappings of the whole configuration."""
    return REDRIVERS[cluster.kind](cluster, dead_letters, clock)
