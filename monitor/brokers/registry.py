"""What a collector is, and which one reads which kind of cluster."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from monitor.brokers.aws.collector import AwsCollector
from monitor.brokers.kafka.collector import KafkaCollector
from monitor.brokers.rabbitmq.collector import RabbitCollector
from monitor.clock import Clock
from monitor.config import ClusterSection, DeadLetterMapping
from monitor.memory import FORGETFUL, Memory
from monitor.model import Finding, Snapshot


class Collector(Protocol):
    """Reads one cluster. Connects at the first call, so that making one never fails because a broker is away.

    `deadline` is in seconds of `Clock.monotonic`. One call at a time; `close` may come from another thread at any
    moment, makes a call under way end soon, and may come twice.
    """

    def collect(self, deadline: float) -> Snapshot:
        """Read everything once.

        What can be read is returned even when parts fail: they are in the snapshot's errors, and their numbers absent.
        Raises BrokerError when nothing could be read.
        """
        ...

    def check(self, deadline: float) -> Sequence[Finding]:
        """Find out what can be reached and read, and which permission is missing. A broker's errors are findings."""
        ...

    def close(self) -> None:
        """Let go of all connections."""
        ...


OPENERS: Mapping[str, Callable[[Any, Sequence[DeadLetterMapping], Clock, Memory], Collector]] = {
    "kafka": KafkaCollector,
    "rabbitmq": RabbitCollector,
    "aws": AwsCollector,
}


def open_collector(
    cluster: ClusterSection, dead_letters: Sequence[DeadLetterMapping], clock: Clock, memory: Memory = FORGETFUL
) -> Collector:
    """Make the collector for a cluster's kind. `dead_letters` are the mappings of the whole configuration.

    `memory` is where the counters of a collector before it were left.
    """
    return OPENERS[cluster.kind](cluster, dead_letters, clock, memory)  # type: ignore[attr-defined]
