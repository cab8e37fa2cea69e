"""What redrive must be allowed in an AWS account, and which of it is missing; `docs/permissions.md` lists it.

Only calls that change nothing are tried: what needs a receipt is asked with one that is none. To send and to receive
has an effect always, so that these two rights show only in a redrive.
"""

from collections.abc import Callable, Sequence
from functools import partial

from monitor.brokers.aws.client import Clients, translating
from monitor.brokers.aws.queues import list_queues, name_of
from monitor.brokers.aws.workers import Workers
from monitor.brokers.naming import is_dead_by_name
from monitor.config import Filter
from monitor.errors import AuthenticationFailed, Forbidden, TimedOut, Unreachable
from monitor.model import Finding

_PREFIX = "redrive: "
_NO_RECEIPT = "eventflow-check"
_MOST_QUEUES = 20
_UNTRIED = "sqs:ReceiveMessage and sqs:SendMessage"

Try = Callable[[Clients, str], object]


def try_rights(clients: Clients, workers: Workers, watched: Filter, deadline: float) -> list[Finding]:
    """Try what redrive does with dead-letter queues, on some of them. Raises BrokerError when none can be found."""
    urls = workers.call(partial(_dead_letter_queues, clients, watched), deadline)
    if not urls:
        return [Finding(f"{_PREFIX}sqs", False, "no dead-letter queue is found to try it on", required=False)]
    findings = []
    for action, attempt in _TRIES:
        outcomes = workers.run([partial(attempt, clients, url) for url in urls], deadline)
        findings.append(_judge(action, outcomes, urls))
    return [*findings, Finding(f"{_PREFIX}{_UNTRIED}", True, "not tried, since that would change something")]


def _dead_letter_queues(clients: Clients, watched: Filter) -> list[str]:
    """Return the URLs of some: by their names, since who names whom would take a call for each queue of the account."""
    urls = list_queues(clients, watched)
    return [url for name, url in urls.items() if is_dead_by_name(name.removesuffix(".fifo"))][:_MOST_QUEUES]


def _read(clients: Clients, url: str) -> object:
    with translating("sqs:GetQueueAttributes"):
        return clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])


def _list_sources(clients: Clients, url: str) -> object:
    with translating("sqs:ListDeadLetterSourceQueues"):
        return clients.sqs.list_dead_letter_source_queues(QueueUrl=url, MaxResults=1)


def _delete(clients: Clients, url: str) -> object:
    with translating("sqs:DeleteMessage"):
        return clients.sqs.delete_message_batch(QueueUrl=url, Entries=[{"Id": "0", "ReceiptHandle": _NO_RECEIPT}])


def _hide(clients: Clients, url: str) -> object:
    with translating("sqs:ChangeMessageVisibility"):
        entry = {"Id": "0", "ReceiptHandle": _NO_RECEIPT, "VisibilityTimeout": 0}
        return clients.sqs.change_message_visibility_batch(QueueUrl=url, Entries=[entry])  # type: ignore[list-item]


_TRIES: Sequence[tuple[str, Try]] = (
    ("sqs:GetQueueAttributes", _read),
    ("sqs:ListDeadLetterSourceQueues", _list_sources),
    ("sqs:DeleteMessage", _delete),
    ("sqs:ChangeMessageVisibility", _hide),
)


def _judge(action: str, outcomes: Sequence[object], urls: Sequence[str]) -> Finding:
    for url, outcome in zip(urls, outcomes, strict=True):
        # Any other refusal is about the receipt, and comes after the question of rights.
        if isinstance(outcome, Forbidden | AuthenticationFailed | Unreachable | TimedOut):
            remedy = outcome.remedy or f"allow {action} on {name_of(url)}"
            return Finding(f"{_PREFIX}{action}", False, outcome.problem, remedy)
    number = f"{len(urls)} dead-letter queue{'s' if len(urls) > 1 else ''}"
    return Finding(f"{_PREFIX}{action}", True, f"allowed on {number}")
