"""The library's errors in the product's words."""

import pytest
from confluent_kafka import KafkaError

from monitor.brokers.kafka.translation import translate
from monitor.errors import (
    AuthenticationFailed,
    BadAnswer,
    BrokerError,
    Forbidden,
    Throttled,
    TimedOut,
    TlsFailed,
    Unreachable,
)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._TRANSPORT, Unreachable),
        (KafkaError._RESOLVE, Unreachable),
        (KafkaError._DESTROY_BROKER, Unreachable),
        (KafkaError.NOT_LEADER_FOR_PARTITION, Unreachable),
        (KafkaError._TIMED_OUT, TimedOut),
        (KafkaError.REQUEST_TIMED_OUT, TimedOut),
        (KafkaError._AUTHENTICATION, AuthenticationFailed),
        (KafkaError.SASL_AUTHENTICATION_FAILED, AuthenticationFailed),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Forbidden),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, Forbidden),
        (KafkaError._SSL, TlsFailed),
        (KafkaError.THROTTLING_QUOTA_EXCEEDED, Throttled),
        (KafkaError.UNKNOWN, BadAnswer),
    ],
)
def test_each_kind_of_error_is_told_for_what_it_is(code: int, kind: type[BrokerError]) -> None:
    assert type(translate(KafkaError(code))) is kind


def test_the_library_s_chatter_is_left_out_and_the_address_stays() -> None:
    said = "ssl://kafka.example:9093/bootstrap: Connect to ipv4#10.0.0.1:9093 failed: Connection refused"
    told = translate(KafkaError(KafkaError._TRANSPORT, f"{said} (after 2ms in state CONNECT)"))
    assert told.problem == "kafka.example:9093: Connect to ipv4#10.0.0.1:9093 failed: Connection refused"


def test_a_dropped_handshake_is_told_as_tls_though_the_library_calls_it_transport() -> None:
    said = "ssl://k:1/bootstrap: Disconnected: SSL connection closed by peer (after 0ms in state SSL_HANDSHAKE)"
    assert isinstance(translate(KafkaError(KafkaError._TRANSPORT, said)), TlsFailed)
