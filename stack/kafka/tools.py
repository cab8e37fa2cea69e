"""Kafka's own command-line tools, on the broker's jars: its scripts only set a class path and name a class."""

from collections.abc import Sequence

from stack.kafka.broker import JVM_OPTIONS, jars_folder

TOOLS = {
    "kafka-broker-api-versions.sh": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-configs.sh": "kafka.admin.ConfigCommand",
    "kafka-consumer-groups.sh": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-leader-election.sh": "org.apache.kafka.tools.LeaderElectionCommand",
    "kafka-reassign-partitions.sh": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
}
"""The scripts with the classes that they start (bin/ of a Kafka distribution)."""


def tool_command(script: str, arguments: Sequence[str]) -> Sequence[str]:
    """The command that does what a script does. A broker must have been prepared, which fetches the jars."""
    return ("java", *JVM_OPTIONS, "-cp", f"{jars_folder()}/*", TOOLS[script], *arguments)
