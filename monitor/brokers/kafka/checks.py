"""What `eventflow check` finds out about a Kafka cluster."""

from collections.abc import Sequence

from monitor.brokers.kafka.client import KafkaClient
from monitor.config import KafkaCluster
from monitor.errors import BrokerError
from monitor.model import Finding


def check_cluster(client: KafkaClient, cluster: KafkaCluster, deadline: float) -> Sequence[Finding]:
    """Ask for everything that a cycle needs, and say what is missing."""
    try:
        listing = client.list_topics(deadline)
    except BrokerError as error:
        return [Finding(cluster.bootstrap_servers, False, error.problem, error.remedy)]
    return [Finding(cluster.bootstrap_servers, True, f"{len(listing.topics)} topics")]
