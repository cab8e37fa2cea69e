"""`check` and `collect` tell what is wrong: addresses, TLS, credentials, rights."""

import time
from collections.abc import Iterator, Sequence

import pytest
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from monitor.brokers.kafka.collector import KafkaCollector
from monitor.clock import Clock
from monitor.config import Filter, KafkaCluster, KafkaSecurity
from monitor.errors import BrokerError, TlsFailed, Unreachable
from monitor.model import Finding
from tests.integration.kafka.playground import Playground
from tests.integration.secured.brokers import SecuredBrokers
from tests.integration.secured.kafka import PASSWORD, SecuredKafka

OPEN = KafkaSecurity()


@pytest.fixture(scope="module")
def secured(secured_brokers: SecuredBrokers) -> SecuredKafka:
    return secured_brokers.kafka


@pytest.fixture(scope="module")
def lagging(secured: SecuredKafka) -> Iterator[tuple[str, str]]:
    """A topic and a group that is 6 behind on it."""
    playground = Playground(secured.plain)
    topic, group = playground.topic("orders"), playground.name("billing")
    playground.produce(topic, 10)
    playground.commit(group, topic, 4)
    yield topic, group
    playground.clean()


def open_collector(bootstrap: str, security: KafkaSecurity = OPEN, *names: str) -> KafkaCollector:
    """Make a collector, of all or of just these topics and groups."""
    watched = Filter(include=list(names) or ["*"])
    cluster = KafkaCluster(
        name="test", kind="kafka", bootstrap_servers=bootstrap, security=security, topics=watched, groups=watched
    )
    return KafkaCollector(cluster, (), Clock())


def check(bootstrap: str, security: KafkaSecurity = OPEN, *names: str) -> Sequence[Finding]:
    collector = open_collector(bootstrap, security, *names)
    findings = collector.check(time.monotonic() + 15)
    collector.close()
    return findings


def refuse(bootstrap: str, security: KafkaSecurity = OPEN, seconds: float = 4) -> BrokerError:
    """Collect, and return the error that must come of it within the time."""
    collector = open_collector(bootstrap, security)
    began = time.monotonic()
    with pytest.raises(BrokerError) as raised:
        collector.collect(began + seconds)
    assert time.monotonic() - began < seconds
    collector.close()
    return raised.value


def test_a_cluster_that_can_be_read_is_told_part_by_part(kafka: Playground) -> None:
    kafka.commit(kafka.name("billing"), kafka.topic("orders"), 0)
    findings = check(kafka.bootstrap)
    assert all(finding.ok for finding in findings)
    assert {finding.target for finding in findings} >= {
        kafka.bootstrap,
        "listing topics",
        "listing groups",
        "offsets from broker 1",
        "committed offsets",
        "retention of topics",
    }


@pytest.mark.parametrize(
    ("address", "words"), [("no-such-host.invalid:9092", "resolve"), ("127.0.0.1:1", "Connection refused")]
)
def test_an_address_where_nobody_answers_is_named_with_the_reason(address: str, words: str) -> None:
    error = refuse(address)
    assert isinstance(error, Unreachable)
    assert words in str(error)
    assert address in str(error)
    (finding,) = check(address)
    assert not finding.ok
    assert words in finding.message
    assert "bootstrap_servers" in finding.remedy


def test_tls_against_an_open_listener_and_the_other_way_round_are_told_as_such(secured: SecuredKafka) -> None:
    assert isinstance(refuse(secured.plain, KafkaSecurity(protocol="ssl")), TlsFailed)
    assert isinstance(refuse(secured.tls), TlsFailed)


def test_rights_on_one_group_and_topic_are_enough_where_the_offsets_topic_stays_hidden(
    secured: SecuredKafka, lagging: tuple[str, str]
) -> None:
    topic, group = lagging
    secured.allow("narrow", ResourceType.TOPIC, topic, AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS)
    secured.allow("narrow", ResourceType.GROUP, group, AclOperation.DESCRIBE)
    collector = open_collector(secured.sasl, secured.credentials("narrow"), topic, group)
    for _ in range(2):  # first without, then with knowing the coordinator
        snapshot = collector.collect(time.monotonic() + 15)
        assert snapshot.errors == ()
        (seen,) = snapshot.subscriptions
        assert (seen.backlog_messages, seen.consumers) == (6, 0)
    collector.close()


def test_missing_rights_on_groups_and_configurations_are_named_with_the_grant(
    secured: SecuredKafka, lagging: tuple[str, str]
) -> None:
    security = secured.credentials("groupless")
    refused = {finding.target: finding for finding in check(secured.sasl, security, *lagging) if not finding.ok}
    assert "Describe on these groups" in refused["committed offsets"].remedy
    assert "DescribeConfigs" in refused["retention of topics"].remedy
    assert not refused["retention of topics"].required

    collector = open_collector(secured.sasl, security, *lagging)
    snapshot = collector.collect(time.monotonic() + 15)
    collector.close()
    assert {error.reason for error in snapshot.errors} == {"forbidden"}
    assert any(
        "committed offsets" in error.target and "grant it on the group" in error.message for error in snapshot.errors
    )
    assert snapshot.measured == snapshot.expected  # the logs are read all the same
    assert snapshot.subscriptions == ()


def test_a_user_without_any_right_is_told_what_to_grant(secured: SecuredKafka, lagging: tuple[str, str]) -> None:
    refused = {f.target: f for f in check(secured.sasl, secured.credentials("nobody")) if not f.ok}
    assert "Describe on the cluster" in refused["describing the cluster"].remedy
    assert "Describe on these topics" in refused["listing topics"].remedy
    collector = open_collector(secured.sasl, secured.credentials("nobody"))
    notes = " ".join(collector.collect(time.monotonic() + 15).notes)
    collector.close()
    assert "No topic can be seen" in notes
    assert "groups that may not be described one by one are hidden" in notes


def test_a_secret_is_in_no_representation(secured: SecuredKafka) -> None:
    collector = open_collector(secured.sasl, secured.credentials("reader"))
    assert PASSWORD not in repr(collector) + repr(vars(collector))
