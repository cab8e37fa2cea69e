"""The clusters to watch, a module a bus."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from monitor.config.clusters.aws import AwsCluster
from monitor.config.clusters.kafka import KafkaCluster
from monitor.config.clusters.rabbitmq import RabbitCluster
from monitor.config.section import Section

KINDS: Mapping[str, type[Section]] = {"kafka": KafkaCluster, "rabbitmq": RabbitCluster, "aws": AwsCluster}
Cluster = Annotated[KafkaCluster | RabbitCluster | AwsCluster, Field(discriminator="kind")]
