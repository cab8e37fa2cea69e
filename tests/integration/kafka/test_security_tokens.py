"""Tokens that expire: new ones come in time, and a token endpoint that goes away is told and comes back.

The endpoint is a fake (see there); the broker is real, checks each token, and ends sessions with them.
"""

import contextlib
import time
from collections.abc import Iterator

import pytest

from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.collector import KafkaCollector
from monitor.clock import Clock
from monitor.config import Filter, KafkaCluster
from monitor.errors import AuthenticationFailed, BrokerError, Unreachable
from monitor.model import CollectionError
from tests.integration.secured.brokers import SecuredBrokers
from tests.integration.secured.kafka import SecuredKafka
from tests.waiting import wait_for

LIFETIME_SECONDS = 3.0  # a broker refuses to renew a session that is not a second old


@pytest.fixture
def kafka(secured_brokers: SecuredBrokers) -> Iterator[SecuredKafka]:
    """The broker, with tokens that live for three seconds."""
    tokens = secured_brokers.tokens
    lifetime, tokens.lifetime = tokens.lifetime, LIFETIME_SECONDS
    yield secured_brokers.kafka
    tokens.lifetime, tokens.expired = lifetime, False
    tokens.start()


@contextlib.contextmanager
def collecting(kafka: SecuredKafka) -> Iterator[KafkaCollector]:
    nothing = Filter(include=["eventflow-no-such-name"])
    cluster = KafkaCluster(
        name="k",
        kind="kafka",
        bootstrap_servers=kafka.sasl,
        security=kafka.token_credentials("reader"),
        topics=nothing,
        groups=nothing,
    )
    with contextlib.closing(KafkaCollector(cluster, (), Clock())) as collector:
        yield collector


def cycle(collector: KafkaCollector) -> BrokerError | CollectionError | None:
    """Run one cycle; return what ended it, or a part of it: a session can end in the middle."""
    try:
        return next(iter(collector.collect(time.monotonic() + 5).errors), None)
    except BrokerError as error:
        return error


def test_cycles_go_on_over_tokens_that_expire_and_over_an_endpoint_that_comes_back(kafka: SecuredKafka) -> None:
    with collecting(kafka) as collector:
        assert cycle(collector) is None
        given, began = len(kafka.tokens.given), time.monotonic()

        def renewed() -> bool:
            # A busy machine may ask for a token after the last one has ended: that cycle fails, and the next is well.
            return cycle(collector) is None and len(kafka.tokens.given) > given

        wait_for(renewed, "cycles over new tokens", 40)

        kafka.tokens.stop()
        wait_for(lambda: cycle(collector), "the last token has expired", 20)
        assert time.monotonic() - began > LIFETIME_SECONDS  # so that the session has outlived its first token
        told = wait_for(lambda: it if isinstance(it := cycle(collector), Unreachable) else None, "for what it is", 20)
        assert f"{kafka.tokens.url}: the token endpoint cannot be reached" in str(told)
        assert "security.oauth.token_url" in told.remedy
        kafka.tokens.start()
        wait_for(lambda: cycle(collector) is None, "cycles are well again", 20)


def test_an_endpoint_that_gives_expired_tokens_is_told(kafka: SecuredKafka) -> None:
    kafka.tokens.expired = True
    with collecting(kafka) as collector:
        told = wait_for(lambda: cycle(collector), "the refusal", 20)
    assert isinstance(told, AuthenticationFailed)
    assert "token" in str(told)
    assert kafka.tokens.secret not in str(told)


def test_a_refusal_is_tried_again_with_a_new_connection_since_the_token_of_the_old_one_may_be_stale(
    kafka: SecuredKafka,
) -> None:
    ahead = 0.0
    cluster = KafkaCluster(
        name="k", kind="kafka", bootstrap_servers=kafka.sasl, security=kafka.token_credentials("nobody")
    )
    client = KafkaClient(cluster, lambda: time.monotonic() + ahead)

    def tokens_for_a_listing() -> int:
        before = len(kafka.tokens.given)
        assert client.list_topics(time.monotonic() + ahead + 10).topics == {}  # nothing may be described
        return len(kafka.tokens.given) - before

    with contextlib.closing(client):
        kafka.tokens.lifetime = 3600.0
        assert tokens_for_a_listing() == 1
        assert tokens_for_a_listing() == 0
        ahead += 61
        assert tokens_for_a_listing() == 1
