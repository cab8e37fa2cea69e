"""What is known of topics, from answers that tell all, some or nothing of it."""

from types import SimpleNamespace
from typing import Any

from monitor.brokers.kafka.facts import Fact, TopicFacts
from monitor.brokers.kafka.problems import Problems
from monitor.errors import Forbidden

WEEK = {"retention.ms": "604800000", "cleanup.policy": "delete", "retention.bytes": "-1", "min.insync.replicas": "2"}


class Answering:
    """Stands for the client: the same settings for each topic, or an error instead; notes what was asked."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.settings = settings
        self.error: Forbidden | None = None
        self.asked: list[str] = []

    def describe_topics(self, topics: list[str], seconds: float) -> dict[str, object]:
        return {topic: SimpleNamespace(topic_id=f"id of {topic}") for topic in topics}

    def describe_topic_configs(self, topics: list[str], seconds: float) -> dict[str, Any]:
        self.asked += topics
        told = {name: SimpleNamespace(value=value) for name, value in self.settings.items()}
        return dict.fromkeys(topics, self.error or told)


def fact(**settings: str) -> Fact:
    """The fact of one topic with settings beside those of `WEEK`; names with `_` for `.`."""
    facts, client = TopicFacts(), Answering(WEEK | {name.replace("_", "."): value for name, value in settings.items()})
    refresh(facts, client, ["t"])
    return facts.of("t")


def refresh(facts: TopicFacts, client: Any, topics: list[str]) -> Problems:
    problems = Problems()
    facts.refresh(client, topics, 1.0, problems)
    return problems


def test_age_and_size_delete_where_the_policy_says_delete() -> None:
    assert fact() == Fact(604_800.0, "id of t", 2.0, capped=False)
    assert fact(retention_bytes="1000").capped
    assert fact(retention_bytes="0").capped
    assert fact(cleanup_policy="compact,delete", retention_bytes="1").capped
    assert fact(cleanup_policy="compact", retention_bytes="1000") == Fact(None, "id of t", 2.0, capped=False)
    assert fact(retention_ms="-1").retention_seconds is None


def test_a_broker_that_leaves_settings_out_costs_what_they_would_have_told() -> None:
    facts = TopicFacts()
    assert refresh(facts, Answering({}), ["t"]).told() == ()
    assert facts.of("t") == Fact(topic_id="id of t")
    refresh(facts, Answering({"retention.ms": "1000"}), ["t"])
    assert facts.of("t").retention_seconds == 1.0  # Kafka's own policy is to delete


def test_what_may_no_longer_be_asked_stays_as_it_was_and_is_told() -> None:
    facts, client = TopicFacts(), Answering(WEEK | {"retention.bytes": "5"})
    refresh(facts, client, ["t"])
    client.error = Forbidden("no")
    assert len(refresh(facts, client, ["t"]).told()) == 1
    assert facts.of("t") == Fact(604_800.0, "id of t", 2.0, capped=True)


def test_all_topics_are_asked_anew_within_twenty_cycles_however_many_there_are() -> None:
    topics = [f"t{number}" for number in range(1_000)]
    facts, client = TopicFacts(), Answering(WEEK)
    while len(set(client.asked)) < len(topics):
        refresh(facts, client, topics)
    client.asked.clear()
    for _ in range(20):
        refresh(facts, client, topics)
    assert set(client.asked) == set(topics)
