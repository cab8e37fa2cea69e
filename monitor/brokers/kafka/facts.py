"""What changes rarely about topics: retention, safety, ids. Asked for a few topics a cycle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.problems import Problems
from monitor.errors import BrokerError

_NEW_A_CYCLE, _FEWEST_KNOWN_A_CYCLE = 200, 10
_CYCLES_TO_ALL = 20  # a retention that was made longer is to be seen within minutes


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of one topic; `retention_seconds` is None where age deletes nothing.

    `capped` says that its size deletes records as well, whatever their age. `min_in_sync` is how many replicas must be
    in sync for it to be written with acks=all.
    """

    retention_seconds: float | None = None
    topic_id: str | None = None
    min_in_sync: float | None = None
    capped: bool = False


UNKNOWN = Fact()


class TopicFacts:
    """Facts of all topics, the longest-known ones renewed first."""

    def __init__(self) -> None:
        self._facts: dict[str, Fact] = {}  # in the order of renewal

    def of(self, topic: str) -> Fact:
        """Return what is known of a topic."""
        return self._facts.get(topic, UNKNOWN)

    def refresh(self, client: KafkaClient, topics: Sequence[str], seconds: float, problems: Problems) -> list[str]:
        """Ask about new topics, then about those asked longest ago; return those that have another id than before."""
        there = set(topics)
        for gone in self._facts.keys() - there:
            del self._facts[gone]
        due = list(islice((topic for topic in topics if topic not in self._facts), _NEW_A_CYCLE))
        due += islice(self._facts, max(_FEWEST_KNOWN_A_CYCLE, min(len(topics) // _CYCLES_TO_ALL, _NEW_A_CYCLE)))
        described = client.describe_topics(due, seconds / 2)
        configs = client.describe_topic_configs(due, seconds / 2)
        changed = []
        for topic in due:
            old = self._facts.pop(topic, UNKNOWN)
            topic_id = _topic_id(described[topic], old)
            config = configs[topic]
            if isinstance(config, BrokerError):
                problems.add(config, "topic configurations (retention)")
                new = replace(old, topic_id=topic_id)
            else:
                new = Fact(_retention(config), topic_id, read_number(config, "min.insync.replicas"), _is_capped(config))
            if old.topic_id is not None and new.topic_id != old.topic_id:
                changed.append(topic)
            self._facts[topic] = new
        return changed


def _topic_id(description: object, old: Fact) -> str | None:
    if isinstance(description, BrokerError):
        return old.topic_id  # metadata has told already what is wrong with the topic
    return str(getattr(description, "topic_id", None) or old.topic_id or "") or None


def _retention(config: Mapping[str, Any]) -> float | None:
    milliseconds = read_number(config, "retention.ms")
    if milliseconds is None or milliseconds < 0 or not _deletes(config):
        return None
    return milliseconds / 1000


def _is_capped(config: Mapping[str, Any]) -> bool:
    most = read_number(config, "retention.bytes")
    return most is not None and most >= 0 and _deletes(config)


def _deletes(config: Mapping[str, Any]) -> bool:
    policy = config.get("cleanup.policy")
    return policy is None or "delete" in str(policy.value).split(",")


def read_number(config: Mapping[str, Any], name: str) -> float | None:
    """Return a setting; None where it is not told, as by some that speak Kafka's protocol and are not Kafka."""
    entry = config.get(name)
    return None if entry is None or entry.value is None else float(entry.value)
