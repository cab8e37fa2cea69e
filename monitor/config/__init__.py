"""The configuration: strict sections with their defaults beside them, read from YAML.

Unknown keys are errors with line and suggestion; `${NAME}` is taken from the environment, `file:PATH` from a file.
Of all values errors quote names alone, since any other may be a secret that came from there.
"""

from monitor.config.catalog import RegistrySettings
from monitor.config.clusters import Cluster
from monitor.config.clusters.aws import AwsCloudWatch, AwsCluster
from monitor.config.clusters.base import ClusterSection
from monitor.config.clusters.kafka import KafkaCluster, KafkaProbe, KafkaRedrive, KafkaSecurity, MskIam, OAuth
from monitor.config.clusters.rabbitmq import RabbitCluster, RabbitRedrive
from monitor.config.configuration import Configuration
from monitor.config.dead_letters import Approvals, DeadLetterMapping, MaskingRule, origins_by_place
from monitor.config.history import Alerts
from monitor.config.objectives import Objective, Owner
from monitor.config.reading import load_configuration, parse_configuration, with_listen
from monitor.config.section import Filter
from monitor.config.server import Dashboard, Person, Server, Token, hash_token
from monitor.config.tls import TlsFiles
from monitor.config.values import is_loopback, parse_duration, split_address

__all__ = [
    "Alerts",
    "Approvals",
    "AwsCloudWatch",
    "AwsCluster",
    "Cluster",
    "ClusterSection",
    "Configuration",
    "Dashboard",
    "DeadLetterMapping",
    "Filter",
    "KafkaCluster",
    "KafkaProbe",
    "KafkaRedrive",
    "KafkaSecurity",
    "MaskingRule",
    "MskIam",
    "OAuth",
    "Objective",
    "Owner",
    "Person",
    "RabbitCluster",
    "RabbitRedrive",
    "RegistrySettings",
    "Server",
    "TlsFiles",
    "Token",
    "hash_token",
    "is_loopback",
    "load_configuration",
    "origins_by_place",
    "parse_configuration",
    "parse_duration",
    "split_address",
    "with_listen",
]
