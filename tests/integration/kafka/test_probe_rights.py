"""The rights that `docs/permissions.md` lists for the probe are enough, and a missing one is told."""

import time
from collections.abc import Iterator

import pytest

from monitor.config import KafkaProbe
from monitor.model import Finding
from tests.integration.kafka.playground import Playground, Watcher, wait_for
from tests.integration.secured.brokers import SecuredBrokers
from tests.integration.secured.kafka import SecuredKafka
from tests.integration.secured.permissions import kafka_rights

PROBING = "Kafka: probing"


@pytest.fixture
def secured(secured_brokers: SecuredBrokers) -> SecuredKafka:
    return secured_brokers.kafka


@pytest.fixture
def topic(secured: SecuredKafka) -> Iterator[str]:
    """The probe's topic, on which `prober` has exactly the rights of the document."""
    name = f"eventflow.probe.{time.monotonic_ns()}"
    bindings = [right.named({"PROBE": name}).binding("prober") for right in kafka_rights(PROBING)]
    secured.grant(bindings)
    yield name
    secured.revoke(bindings)


def open_watcher(secured: SecuredKafka, topic: str, user: str) -> Watcher:
    """A collector whose own user may watch, and whose probe is another's."""
    playground = Playground(secured.sasl)
    probe = KafkaProbe(topic=topic, interval=0.2, timeout=2.0, security=secured.credentials(user))
    return Watcher(playground.collector(security=secured.credentials("reader"), probe=probe))


def check(watcher: Watcher) -> Finding:
    return watcher.collector.check(time.monotonic() + 15)[-1]


def returned(watcher: Watcher) -> float:
    if "probe_messages" not in watcher.look().tables:
        return 0.0
    return sum(row["kafka_probe_messages_total"] for row in watcher.rows("probe_messages", outcome="returned"))


def test_a_user_with_just_the_documented_rights_probes_and_cleans_up(secured: SecuredKafka, topic: str) -> None:
    watcher = open_watcher(secured, topic, "prober")
    wait_for(lambda: check(watcher).ok, "the rights are in force")
    wait_for(lambda: returned(watcher) >= 2, "two rounds")
    assert check(watcher).ok
    watcher.collector.close()
    topics = secured.admin.list_topics(timeout=30).topics
    wait_for(lambda: topic not in secured.admin.list_topics(timeout=30).topics, f"its removal: {set(topics)}")


def test_a_user_without_rights_is_told_what_to_grant_and_costs_no_cycle(secured: SecuredKafka, topic: str) -> None:
    watcher = open_watcher(secured, topic, "nobody")
    finding = check(watcher)
    assert (finding.ok, finding.required) == (False, False)
    assert topic in finding.remedy
    wait_for(lambda: [it.reason for it in watcher.look().errors] == ["forbidden"], "the refusal")
    assert "probe" not in watcher.snapshot.tables
    watcher.collector.close()
