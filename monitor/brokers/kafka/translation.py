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
    KafkaError.UNKNOWN_LEADER_EPOCH,  # of a broker that has not caught up since its restart
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
    KafkaError.OFFSET_NOT_AVAILABLE,
}


_READ_MORE = "docs/permissions.md lists what is needed"
_GRANTS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "grant it on the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "grant it on the group",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "grant it on the cluster",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "grant it on the transactional id",
}

_TOKENLESS = "Failed to acquire SASL OAUTHBEARER token: "
# What curl, which the library asks a token endpoint with, says when there is no answer from it.
_NO_ANSWER = re.compile(r"connect|resolve host|timed? ?out|empty reply|SSL|TLS|certificate|trust anchors", re.I)
_OAUTH_ERROR = re.compile(r'"error"\s*:\s*"([\w.-]{1,60})"')
_TLS = re.compile(r"security\.protocol|SSL_HANDSHAKE|SSL routines|SSL alert")

# "ssl://host:9093/bootstrap: Connect to ... failed: ... (after 2ms in state CONNECT, 3 identical error(s) suppressed)"
_CHATTER = re.compile(r"^\w+://(?=\S+: )|/(bootstrap|\d+)(?=: )| \(after \d+ms in state .*\)$")


def translate(error: KafkaError, target: str = "") -> BrokerError:
    """Put a library's error into the product's words."""
    code, said = error.code(), error.str() or error.name()
    text = _CHATTER.sub("", said)
    if text.startswith(_TOKENLESS):
        return _tell_no_token(text.removeprefix(_TOKENLESS), target)
    if code in _AUTHENTICATION:
        return _tell_no_login(text, target)
    if code == KafkaError._SSL or _TLS.search(said):
        # That one side speaks TLS and the other does not shows only in a connection that is dropped at once.
        remedy = "check security.protocol and ca_file, and the broker's certificate"
        return TlsFailed(f"a TLS connection cannot be made ({text})", target=target, remedy=remedy)
    if code in _FORBIDDEN:
        return Forbidden(f"not allowed ({text})", target=target, remedy=f"{_GRANTS[code]}: {_READ_MORE}")
    if code in _TIMEOUT:
        return TimedOut(f"no answer in time ({text})", target=target)
    if code in _UNREACHABLE:
        return Unreachable(text, target=target)
    if code == KafkaError.THROTTLING_QUOTA_EXCEEDED:
        return Throttled(text, target=target)
    return BadAnswer(text, target=target)


def address_in(error: KafkaError) -> str:
    """Return the `host:port` that an error of a connection names; empty when it names none."""
    found = re.match(r"\w+://([^/\s]+:\d+)/", error.str() or "")
    return found[1] if found else ""


def alert_in(problem: str) -> str:
    """Return the TLS alert by which a broker ended a handshake, by OpenSSL's name for it; empty when it was none."""
    found = re.search(r"SSL routines::\S* alert ([a-z ]+)", problem)
    return f"ALERT_{found[1].strip().upper().replace(' ', '_')}" if found else ""


def lacks_token(error: KafkaError) -> bool:
    """Say whether it is a token that is missing: nothing has been said to a broker then."""
    return _TOKENLESS in (error.str() or "")


def _tell_no_login(text: str, target: str) -> BrokerError:
    if "handshake failed" in text:
        remedy = "check security.protocol and security.mechanism: the listener takes no such login"
    else:
        remedy = "check security.mechanism, username and password; of a token its time, audience and scope"
    return AuthenticationFailed(f"the credentials are refused ({text})", target=target, remedy=remedy)


def _tell_no_token(why: str, target: str) -> BrokerError:
    answered = _OAUTH_ERROR.search(why)
    if answered:  # the rest of the body is the provider's, and may quote what it was asked with
        problem = f"the token endpoint refuses this client ({answered[1]})"
        remedy = "check security.oauth.client_id, client_secret and scope"
        return AuthenticationFailed(problem, target=target, remedy=remedy)
    if _NO_ANSWER.search(why):
        remedy = "check security.oauth.token_url and that it runs; for https, security.oauth.ca_file"
        return Unreachable(f"the token endpoint cannot be reached ({why})", target=target, remedy=remedy)
    remedy = "check security.oauth or security.aws_msk_iam"
    return AuthenticationFailed(f"there is no token to sign in with ({why})", target=target, remedy=remedy)
