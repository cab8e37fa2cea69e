"""What a queue is, as far as taking messages out of it and putting them back goes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from monitor.brokers.rabbitmq.client import HttpClient, NotThere
from monitor.brokers.rabbitmq.facts import QueueFacts, queue_facts
from monitor.brokers.rabbitmq.management_source import ManagementSource
from monitor.brokers.rabbitmq.policies import with_policies
from monitor.brokers.rabbitmq.readings import QueueKey, label_of
from monitor.errors import Gone

QUORUM, STREAM = "quorum", "stream"
_LIMIT_SINCE = (4, 0)
_DEFAULT_LIMIT = 20
"""Since 4.0 a quorum queue has this delivery limit if nothing else is said (rabbitmq.com/docs/quorum-queues)."""

_MOST_IN_HAND, _FEWEST_IN_HAND = 1000, 10
_BYTES_IN_HAND = 32 << 20


@dataclass(frozen=True, slots=True)
class Standing:
    """A queue's set-up. `limits_known` is False where policies, which may set a limit, are hidden from this user."""

    facts: QueueFacts
    version: tuple[int, ...]
    mean_bytes: float | None = None
    consumers: int = 0

    @property
    def key(self) -> QueueKey:
        """Return virtual host and name."""
        return self.facts.key

    @property
    def label(self) -> str:
        """Return the queue's name for people."""
        return label_of(self.facts.key)

    @property
    def limits_known(self) -> bool:
        """Say whether it is known if there is a delivery limit."""
        return self.facts.type != QUORUM or self.facts.definition is not None

    @property
    def delivery_limit(self) -> int | None:
        """Return how often a message may come back before the queue removes it; None without a limit.

        The smaller of argument and policy holds; -1 is no limit.
        """
        if self.facts.type != QUORUM:
            return None
        values = [self.facts.arguments.get("x-delivery-limit"), (self.facts.definition or {}).get("delivery-limit")]
        numbers = [int(value) for value in values if isinstance(value, int | float)]
        limits = [number for number in numbers if number >= 0]
        if limits:
            return min(limits)
        return _DEFAULT_LIMIT if not numbers and self.version >= _LIMIT_SINCE else None

    @property
    def window(self) -> int:
        """Return how many messages may be in the hand at once, so that they fit into memory."""
        if not self.mean_bytes:
            return _MOST_IN_HAND
        return int(min(_MOST_IN_HAND, max(_FEWEST_IN_HAND, _BYTES_IN_HAND / self.mean_bytes)))


def read_standing(client: HttpClient, key: QueueKey, deadline: float) -> Standing:
    """Ask the management API for one queue. Raises BrokerError; NotThere when there is no such queue."""
    vhost, name = (quote(part, safe="") for part in key)
    row = client.get_json(f"/api/queues/{vhost}/{name}", deadline)
    version = client.get_json("/api/overview", deadline, {"columns": "rabbitmq_version"})["rabbitmq_version"]
    facts = queue_facts(row)
    if facts.definition is None:  # a queue that is new has no statistics, and with them its policies are missing
        facts = _with_policies(client, facts, deadline)
    return Standing(facts, _numbers(version), _mean_bytes(row), int(row.get("consumers") or 0))


def _with_policies(client: HttpClient, facts: QueueFacts, deadline: float) -> QueueFacts:
    source = ManagementSource(client, lambda _key: True)
    policies = source.read_policies(deadline)
    if policies is None:
        return facts
    return with_policies(facts, policies, source.read_operator_policies(deadline))


def find_standing(client: HttpClient, cluster: str, name: str, deadline: float) -> Standing:
    """Ask for a queue by its id (`cluster/vhost/queue`, encoded) or label. Raises BrokerError.

    A label alone does not say where the virtual host ends; what exists is taken.
    """
    for key in possible_keys(cluster, name):
        try:
            return read_standing(client, key, deadline)
        except NotThere:
            continue
    # the API of 3.10 knows nothing of a queue whose node is down
    raise Gone("there is no such queue, or its node does not run", target=name)


def possible_keys(cluster: str, name: str) -> tuple[QueueKey, ...]:
    """Return which queues an id or a label may mean, the likeliest first."""
    parts = [unquote(part) for part in name.split("/")]
    keys: list[QueueKey] = []
    if len(parts) > 1 and parts[0] == cluster:
        keys += [("/", parts[1])] if len(parts) == 2 else [(parts[1], parts[2])] if len(parts) == 3 else []
    for place in (i for i, letter in enumerate(name) if letter == "/"):
        keys.append((name[:place], name[place + 1 :]))
    keys.append(("/", name))
    return tuple(dict.fromkeys(key for key in keys if all(key)))


def _mean_bytes(row: Mapping[str, Any]) -> float | None:
    messages, size = row.get("messages"), row.get("message_bytes")
    if not isinstance(messages, int) or not isinstance(size, int | float) or messages <= 0:
        return None
    return size / messages


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
