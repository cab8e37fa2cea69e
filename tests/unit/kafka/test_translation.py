"""The library's errors in the product's words."""

import pytest
from confluent_kafka import KafkaError

from monitor.brokers.kafka.translation import address_in, alert_in, lacks_token, translate
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
        (KafkaError.UNKNOWN_LEADER_EPOCH, Unreachable),
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


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        ('{"error": "invalid_client", "hint": "s3cret"}', AuthenticationFailed, "refuses this client (invalid_client)"),
        ("Failed to connect to 127.0.0.1:1 after 0 ms", Unreachable, "cannot be reached"),
        ("Could not resolve host: id.example", Unreachable, "cannot be reached"),
        ("SSL certificate OpenSSL verify result: 20", Unreachable, "cannot be reached"),
        ("Expected JSON response, got none", AuthenticationFailed, "there is no token to sign in with"),
    ],
)
def test_a_token_that_cannot_be_had_is_told_with_its_endpoint(said: str, kind: type[BrokerError], told: str) -> None:
    error = KafkaError(KafkaError._AUTHENTICATION, f"Failed to acquire SASL OAUTHBEARER token: {said}")
    assert lacks_token(error)
    translated = translate(error, "https://id.example/token")
    assert type(translated) is kind
    assert told in str(translated)
    assert str(translated).startswith("https://id.example/token: ")
    assert "security.oauth" in translated.remedy
    assert "s3cret" not in str(translated)


def test_a_broker_that_ends_a_handshake_with_an_alert_is_told_as_tls() -> None:
    said = "ssl://k:9093/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate"
    error = KafkaError(KafkaError._TRANSPORT, said)
    assert isinstance(translate(error), TlsFailed)
    assert (address_in(error), alert_in(said)) == ("k:9093", "ALERT_BAD_CERTIFICATE")
    assert alert_in("SSL routines::certificate verify failed") == ""


def test_a_missing_right_is_told_with_what_to_grant() -> None:
    assert "grant it on the group" in translate(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)).remedy
