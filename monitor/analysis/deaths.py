"""What a broker itself says of a death: RabbitMQ's reason, what SQS counts, why EventBridge and SNS gave up. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from monitor.analysis.faults import Certainty, Kind
from monitor.letters import DeadMessage

REASONS: Mapping[str, tuple[Kind, Certainty]] = {
    "expired": (Kind.EXPIRED, Certainty.CERTAIN),
    "maxlen": (Kind.OVERFLOW, Certainty.CERTAIN),
    "delivery_limit": (Kind.ATTEMPTS, Certainty.CERTAIN),
    # A consumer that rejects had a reason, and told the broker nothing of it.
    "rejected": (Kind.EXCEPTION, Certainty.GUESSED),
}
_SHARE_COUNT = "__dlq.errors.delivery.count"
_MOVED_FROM = "DeadLetterQueueSourceArn"
_RECEIVES = "ApproximateReceiveCount"


@dataclass(frozen=True, slots=True)
class Death:
    """What a broker says: the kind, how sure that is, and which header or property says it with what."""

    kind: Kind
    certainty: Certainty
    where: str
    text: str


def read_death(message: DeadMessage, headers: Mapping[str, str]) -> Death | None:
    """Return what the broker says; `headers` are the texts by their names in lower case."""
    if (told := _read_reason(message, headers)) is not None:
        where, reason = told
        return Death(*REASONS[reason], where, reason)
    if condition := headers.get("exhausted_retry_condition"):
        kind = Kind.EXPIRED if "age" in condition.lower() else Kind.ATTEMPTS
        return Death(kind, Certainty.CERTAIN, "EXHAUSTED_RETRY_CONDITION", condition)
    if (skipped := headers.get("mt-reason", "fault")) != "fault":
        return Death(Kind.UNKNOWN_TYPE, Certainty.LIKELY, "MT-Reason", skipped)
    if headers.get(_SHARE_COUNT, "").isdigit():
        return Death(Kind.ATTEMPTS, Certainty.LIKELY, _SHARE_COUNT, headers[_SHARE_COUNT])
    received = str(message.properties.get(_RECEIVES, ""))
    if received.isdigit() and message.properties.get(_MOVED_FROM):
        # SQS moves a message when it was received too often, whatever the consumer made of it each time. What a
        # consumer has sent there itself carries no such mark, and was received by whoever looks at it alone.
        return Death(Kind.ATTEMPTS, Certainty.LIKELY, _RECEIVES, received)
    return None


def _read_reason(message: DeadMessage, headers: Mapping[str, str]) -> tuple[str, str] | None:
    """Return where RabbitMQ says why, and the reason: of several deaths the newest, before which there were others."""
    if message.exception in REASONS:
        return "x-death", message.exception
    names = ("x-last-death-reason", "x-first-death-reason")
    return next(((name, headers[name]) for name in names if headers.get(name) in REASONS), None)
