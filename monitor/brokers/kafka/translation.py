"""The library's errors in the product's words."""

import re

from confluent_kafka import KafkaError

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

_AUTHENTICATION = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
}
_TIMEOUT = {KafkaError._TIMED_OUT, KafkaError._TIMED_OUT_QUEUE, KafkaError.REQUEST_TIMED_OUT}
_FORBIDDEN = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
_UNREACHABLE = {
    KafkaError._TRANSPORT,
    KafkaError._RESOLVE,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._DESTROY,
    KafkaError._DESTROY_BROKER,
    KafkaError._WAIT_COORD,
    KafkaError._NOENT,  # "no leaders found"
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
    KafkaError.OFFSET_NOT_AVAILABLE,
}


# "ssl://host:9093/bootstrap: Connect to ... failed: ... (after 2ms in state CONNECT, 3 identical error(s) suppressed)"
_CHATTER = re.compile(r"^\w+://(?=\S+: )|/(bootstrap|\d+)(?=: )| \(after \d+ms in state .*\)$")


def translate(error: KafkaError, target: str = "") -> BrokerError:
    """Put a library's error into the product's words."""
    code, said = error.code(), error.str() or error.name()
    text = _CHATTER.sub("", said)
    if code in _AUTHENTICATION:
        remedy = "check security.mechanism, username and password"
        return AuthenticationFailed(f"the credentials are refused ({text})", target=target, remedy=remedy)
    if code == KafkaError._SSL or "security.protocol" in said or "SSL_HANDSHAKE" in said:
        # That one side speaks TLS and the other does not shows only in a connection that is dropped at once.
        remedy = "check security.protocol and ca_file, and the broker's certificate"
        return TlsFailed(f"a TLS connection cannot be made ({text})", target=target, remedy=remedy)
    if code in _FORBIDDEN:
        return Forbidden(f"not allowed ({text})", target=target)
    if code in _TIMEOUT:
        return TimedOut(f"no answer in time ({text})", target=target)
    if code in _UNREACHABLE:
        return Unreachable(text, target=target)
    if code == KafkaError.THROTTLING_QUOTA_EXCEEDED:
        return Throttled(text, target=target)
    return BadAnswer(text, target=target)
