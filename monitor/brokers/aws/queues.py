"""SQS queues: all of them by ListQueues to the last page, and the attributes of each."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING

from monitor.brokers.aws.client import Clients, Missing, translating
from monitor.brokers.aws.workers import Workers
from monitor.config import Filter
from monitor.errors import BadAnswer, BrokerError, Forbidden, Throttled

if TYPE_CHECKING:
    from mypy_boto3_sqs.literals import QueueAttributeFilterType
    from mypy_boto3_sqs.type_defs import ListQueuesRequestPaginateTypeDef

PAGE = 1000
"""The most queues that ListQueues returns at once; without MaxResults it returns these and no NextToken."""

IN_FLIGHT_QUOTA = 120_000
"""Messages received but not deleted that a queue may have, standard or FIFO (SQS quotas; FIFO had 20,000 once)."""

ATTRIBUTES: "Sequence[QueueAttributeFilterType]" = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "MessageRetentionPeriod",
    "VisibilityTimeout",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "QueueArn",
    "CreatedTimestamp",
    "Policy",
)
"""By name, since `All` brings what nobody needs. FifoQueue is not among them: a standard queue refuses it."""

_WILD = "*?["


@dataclass(frozen=True, slots=True)
class AllowPolicy:
    """Which queues may name this one as their dead-letter queue: `permission` is allowAll, denyAll or byQueue."""

    permission: str = "allowAll"
    sources: frozenset[str] = frozenset()

    def allows(self, source_arn: str) -> bool:
        """Say whether the queue with this ARN may."""
        if self.permission == "byQueue":
            return source_arn in self.sources
        return self.permission != "denyAll"


@dataclass(frozen=True, slots=True)
class Queue:
    """What GetQueueAttributes says of a queue. Counts are approximate, as SQS has them; durations in seconds.

    `policy` is the text of its access policy, empty where it has none.
    """

    name: str
    url: str
    arn: str
    visible: float
    in_flight: float
    delayed: float
    retention: float
    visibility_timeout: float
    created_at: float
    dead_letter_arn: str | None = None
    max_receive_count: float | None = None
    allow: AllowPolicy = AllowPolicy()
    policy: str = ""

    @property
    def fifo(self) -> bool:
        """Say whether it is a FIFO queue; the suffix is required of these and forbidden to others."""
        return self.name.endswith(".fifo")

    @property
    def depth(self) -> float:
        """All messages that it holds."""
        return self.visible + self.in_flight + self.delayed


@dataclass(frozen=True, slots=True)
class Reading:
    """What one cycle read of the watched queues, whose names are `names`.

    `queues` are those that answered, `failures` why others did not, both by name. `last` has the latest answer of each
    name, whenever that was. `errors` are about more than one queue.
    """

    names: tuple[str, ...]
    queues: Mapping[str, Queue]
    failures: Mapping[str, BrokerError]
    last: Mapping[str, Queue]
    errors: tuple[BrokerError, ...] = ()


@dataclass(frozen=True, slots=True)
class Beyond:
    """Dead-letter queues that are not watched themselves, by name, and the ARNs of those that do not exist."""

    queues: Mapping[str, Queue]
    missing: frozenset[str]
    errors: tuple[BrokerError, ...] = ()


class QueueWatch:
    """Reads the queues from cycle to cycle, and remembers what it needs when a part fails."""

    def __init__(self, wanted: Filter) -> None:
        self._wanted = wanted
        self._urls: dict[str, str] | None = None
        self._last: dict[str, Queue] = {}

    def read(self, clients: Clients, workers: Workers, deadline: float) -> Reading:
        """Read everything once. Raises BrokerError when there is no list of queues, or when no queue answered."""
        errors = self._list(clients, workers, deadline)
        urls = self._urls or {}
        queues, failures = read_queues(clients, workers, urls, deadline)
        if failures and not queues and not isinstance(next(iter(failures.values())), Forbidden):
            raise next(iter(failures.values()))
        names = tuple(name for name in urls if name in queues or name in failures)
        self._last = {name: last for name in names if (last := queues.get(name) or self._last.get(name))}
        return Reading(names, queues, failures, self._last, tuple(errors))

    def _list(self, clients: Clients, workers: Workers, deadline: float) -> list[BrokerError]:
        """List the queues; where only listing is refused, go on with the list that there is."""
        try:
            self._urls = workers.call(partial(list_queues, clients, self._wanted), deadline)
        except (Forbidden, Throttled, BadAnswer) as error:
            if self._urls is None:
                raise
            return [error]
        return []


def look_beyond(
    clients: Clients, workers: Workers, known: Mapping[str, Queue], targets: Iterable[str], deadline: float
) -> Beyond:
    """Read those of the dead-letter queues with the ARNs `targets` that are not among the `known`.

    Their set-up tells on the watched ones. Only the account and region of the known queues can be looked into.
    """
    beside = next(iter(known.values()), None)
    own = {queue.arn for queue in known.values()}
    wanted = [
        arn for arn in dict.fromkeys(targets) if beside and arn not in own and _home_of(arn) == _home_of(beside.arn)
    ]
    calls = [partial(read_queue, clients, url_beside(beside, name_of(arn))) for arn in wanted if beside]
    found: dict[str, Queue] = {}
    missing, errors = set(), []
    for arn, outcome in zip(wanted, workers.run(calls, deadline), strict=True):
        if isinstance(outcome, Queue):
            found[outcome.name] = outcome
        elif isinstance(outcome, Missing):
            missing.add(arn)
        else:
            errors.append(outcome)
    return Beyond(found, frozenset(missing), tuple(errors))


def _home_of(arn: str) -> str:
    """Return the account and region in an ARN, with what goes before."""
    return arn.rpartition(":")[0]


def list_queues(clients: Clients, wanted: Filter) -> dict[str, str]:
    """Return the URLs of the wanted queues by name, in the order of names. Raises BrokerError if any page fails."""
    prefix = literal_prefix(wanted)
    asked: ListQueuesRequestPaginateTypeDef = {"PaginationConfig": {"PageSize": PAGE}}
    if prefix:
        asked["QueueNamePrefix"] = prefix
    with translating("sqs:ListQueues"):
        pages = clients.sqs.get_paginator("list_queues").paginate(**asked)
        found = {name_of(url): url for page in pages for url in page.get("QueueUrls", [])}
    return {name: found[name] for name in sorted(found) if wanted.matches(name)}


def literal_prefix(wanted: Filter) -> str:
    """Return what every wanted name begins with, so that the service leaves out the others by itself."""
    first, last = min(wanted.include, default=""), max(wanted.include, default="")
    same = [a for a, b in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))]
    return "".join(takewhile(lambda character: character not in _WILD, same))


def read_queues(
    clients: Clients, workers: Workers, urls: Mapping[str, str], deadline: float
) -> tuple[dict[str, Queue], dict[str, BrokerError]]:
    """Ask every queue for its attributes; return those that answered and the errors of the others, by name.

    A queue that is gone by now is in neither.
    """
    return workers.run_named({name: partial(read_queue, clients, url) for name, url in urls.items()}, deadline)


def read_queue(clients: Clients, url: str) -> Queue:
    """Ask one queue. Raises BrokerError, Missing if it does not exist."""
    with translating("sqs:GetQueueAttributes"):
        answer = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=ATTRIBUTES)
    return parse_queue(url, {str(name): value for name, value in answer.get("Attributes", {}).items()})


def parse_queue(url: str, attributes: Mapping[str, str]) -> Queue:
    """Read the attributes of a queue. Raises BadAnswer when one is missing or cannot be read."""
    try:
        redrive = json.loads(attributes.get("RedrivePolicy") or "{}")
        allow = json.loads(attributes.get("RedriveAllowPolicy") or "{}")
        receives = redrive.get("maxReceiveCount")
        return Queue(
            name=name_of(url),
            url=url,
            arn=attributes["QueueArn"],
            visible=float(attributes["ApproximateNumberOfMessages"]),
            in_flight=float(attributes["ApproximateNumberOfMessagesNotVisible"]),
            delayed=float(attributes["ApproximateNumberOfMessagesDelayed"]),
            retention=float(attributes["MessageRetentionPeriod"]),
            visibility_timeout=float(attributes["VisibilityTimeout"]),
            created_at=float(attributes["CreatedTimestamp"]),
            dead_letter_arn=redrive.get("deadLetterTargetArn") or None,
            max_receive_count=None if receives is None else float(receives),
            allow=AllowPolicy(allow.get("redrivePermission", "allowAll"), frozenset(allow.get("sourceQueueArns", ()))),
            policy=attributes.get("Policy", ""),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise BadAnswer(f"its attributes cannot be read ({error})", target="sqs:GetQueueAttributes") from error


def name_of(url_or_arn: str) -> str:
    """Return the name at the end of a queue's URL or ARN."""
    return url_or_arn.rpartition("/")[2].rpartition(":")[2]


def url_beside(queue: Queue, name: str) -> str:
    """Return the URL of another queue of the same account and region."""
    return f"{queue.url.rpartition('/')[0]}/{name}"
