"""What redrive needs of SQS beside the collector's readings: queues by name or ARN, and the service's own time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from botocore import exceptions as boto

from monitor.brokers.aws.client import Clients, translating
from monitor.brokers.aws.messages import BATCH, MOST_BYTES, Limits
from monitor.brokers.aws.queues import ATTRIBUTES, Queue, name_of, parse_queue
from monitor.errors import BadAnswer, BrokerError

if TYPE_CHECKING:
    from mypy_boto3_sqs.literals import QueueAttributeFilterType

WORKERS = 16
"""Calls of one job under way at once. Beyond it SQS itself would take more; a monitor has other things to do."""

T = TypeVar("T")
R = TypeVar("R")

_ATTRIBUTES: "Sequence[QueueAttributeFilterType]" = (*ATTRIBUTES, "MaximumMessageSize")

# Raised before anything of the request has reached the service.
_NEVER_SENT = (
    boto.EndpointConnectionError,
    boto.ConnectTimeoutError,
    boto.ProxyConnectionError,
    boto.SSLError,
    boto.NoCredentialsError,
    boto.CredentialRetrievalError,
)


@dataclass(frozen=True, slots=True)
class Look:
    """A queue with what it takes, and when the service said so, in Unix seconds of its own clock."""

    queue: Queue
    limits: Limits
    at: float


def look_at(clients: Clients, name: str, owner: str | None = None) -> Look:
    """Read a queue by name, of this account or the one named. Raises BrokerError, Missing if it does not exist."""
    with translating("sqs:GetQueueUrl"):
        owned = {} if owner is None else {"QueueOwnerAWSAccountId": owner}
        url = clients.sqs.get_queue_url(QueueName=name, **owned)["QueueUrl"]
    return look_at_url(clients, url)


def look_at_url(clients: Clients, url: str) -> Look:
    """Read a queue by URL. Raises as `look_at`."""
    with translating("sqs:GetQueueAttributes"):
        answer = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=_ATTRIBUTES)
    attributes = {str(name): value for name, value in answer.get("Attributes", {}).items()}
    queue = parse_queue(url, attributes)
    try:
        limits = Limits(queue.fifo, min(MOST_BYTES, int(attributes.get("MaximumMessageSize", MOST_BYTES))))
        at = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
    except (KeyError, ValueError, TypeError) as error:
        raise BadAnswer(f"its answer cannot be read ({error})", target="sqs:GetQueueAttributes") from error
    return Look(queue, limits, at)


def split_target(target: str, cluster: str, region: str) -> tuple[str, str | None] | None:
    """Return name and account of a queue given by name, `cluster/queue` or ARN; None for what is no such queue."""
    if target.startswith("arn:"):
        parts = target.split(":")
        return (parts[5], parts[4]) if len(parts) == 6 and parts[2:4] == ["sqs", region] else None
    own, _, name = target.rpartition("/")
    return (name, None) if own in ("", cluster) and name else None


def refuse_own_policy(queue: Queue) -> str:
    """Return why messages of this queue cannot be looked at unharmed, empty if they can.

    SQS moves a message on instead of delivering it once its receive count is above the policy's, and what the count is
    shows only by receiving: so the next look could be the one that removes it.
    """
    if queue.dead_letter_arn is None:
        return ""
    return (
        f"{queue.name} has a redrive policy of its own, after {queue.max_receive_count or 0:.0f} receives to "
        f"{name_of(queue.dead_letter_arn)}: the next look could move messages there"
    )


def was_never_sent(error: BrokerError) -> bool:
    """Say whether a call that failed so has surely changed nothing: it was refused, or no connection was made."""
    cause = error.__cause__
    if isinstance(cause, boto.ClientError):
        return int(cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)) < 500
    return isinstance(cause, _NEVER_SENT)


def is_too_long(error: BrokerError) -> bool:
    """Say whether a batch was refused for its size, by SQS' own way to count."""
    cause = error.__cause__
    code = str(cause.response.get("Error", {}).get("Code", "")) if isinstance(cause, boto.ClientError) else ""
    return "BatchRequestTooLong" in code


def in_tens(call: Callable[[Sequence[T]], R], values: Sequence[T]) -> list[Callable[[], R]]:
    """Return the calls that hand over all values, ten at a time."""
    return [partial(call, values[at : at + BATCH]) for at in range(0, len(values), BATCH)]
