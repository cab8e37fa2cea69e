"""SNS topics and subscriptions, to the last page, and what each subscription's attributes say."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from monitor.brokers.aws.client import Clients, translating
from monitor.brokers.aws.dead_letters import TopicSource
from monitor.brokers.aws.filters import drops_everything
from monitor.brokers.aws.workers import Workers
from monitor.config import Filter
from monitor.errors import BrokerError

ATTRIBUTES_EVERY = 5
"""Readings of the lists between two of the attributes, which take one call a subscription."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What GetSubscriptionAttributes says: the queue for undeliverable messages, and whether the filter is shut."""

    dead_letter_arn: str | None = None
    drops_everything: bool = False


@dataclass(frozen=True, slots=True)
class TopicSubscription:
    """A subscription of a topic. `endpoint` is fit to be shown; `attributes` None means that they could not be read."""

    arn: str
    topic: str
    topic_arn: str
    protocol: str
    endpoint: str
    attributes: Attributes | None = None

    @property
    def name(self) -> str:
        """What a source of dead letters is called: the topic, and the last part of the endpoint."""
        short = self.endpoint.rpartition(":")[2] if self.endpoint.startswith("arn:") else self.endpoint
        return f"{self.topic}/{short}"

    def as_source(self) -> TopicSource | None:
        """Return it as a source of dead letters; None while that is not known."""
        if self.attributes is None:
            return None
        known = self.attributes
        return TopicSource(
            self.name,
            self.topic,
            self.topic_arn,
            known.dead_letter_arn,
            known.drops_everything,
            delivers_to=self.endpoint if self.protocol == "sqs" else None,
        )


@dataclass(frozen=True, slots=True)
class TopicReading:
    """What is known of SNS: the topics by name, in order, and their subscriptions; and what the last reading lacked."""

    topics: tuple[str, ...] = ()
    subscriptions: tuple[TopicSubscription, ...] = ()
    errors: tuple[BrokerError, ...] = ()


class TopicWatch:
    """Reads topics and subscriptions at a slow pace; attributes of those that are known already slower still."""

    def __init__(self, wanted: Filter, interval: float) -> None:
        self._wanted, self._interval = wanted, interval
        self._read_at: float | None = None
        self._attributes: dict[str, tuple[float, Attributes]] = {}
        self.known = TopicReading()

    def read(self, clients: Clients, workers: Workers, monotonic: float, deadline: float) -> TopicReading:
        """Read everything if it is time to, and return what is known now. What fails stays as it was known before."""
        if self._read_at is not None and monotonic - self._read_at < 0.9 * self._interval:
            return self.known
        try:
            topics = workers.call(partial(list_topics, clients, self._wanted), deadline)
            subscriptions = workers.call(partial(list_subscriptions, clients, topics), deadline) if topics else []
        except BrokerError as error:
            self.known = replace(self.known, errors=(error,))
            return self.known
        self._read_at = monotonic
        errors = self._refresh_attributes(clients, workers, subscriptions, monotonic, deadline)
        self.known = TopicReading(tuple(topics), tuple(self._attributed(s) for s in subscriptions), errors)
        return self.known

    def _refresh_attributes(
        self,
        clients: Clients,
        workers: Workers,
        subscriptions: Sequence[TopicSubscription],
        monotonic: float,
        deadline: float,
    ) -> tuple[BrokerError, ...]:
        old = monotonic - ATTRIBUTES_EVERY * self._interval
        due = [s for s in subscriptions if s.arn not in self._attributes or self._attributes[s.arn][0] <= old]
        read, failures = read_attributes(clients, workers, due, deadline)
        known = self._attributes | {arn: (monotonic, attributes) for arn, attributes in read.items()}
        self._attributes = {s.arn: known[s.arn] for s in subscriptions if s.arn in known}
        return tuple(failures.values())

    def _attributed(self, subscription: TopicSubscription) -> TopicSubscription:
        _, attributes = self._attributes.get(subscription.arn, (0.0, None))
        return replace(subscription, attributes=attributes)


def list_topics(clients: Clients, wanted: Filter) -> dict[str, str]:
    """Return the ARNs of the wanted topics by name, in the order of names. Raises BrokerError if any page fails."""
    with translating("sns:ListTopics"):
        pages = clients.sns.get_paginator("list_topics").paginate()
        arns = [topic["TopicArn"] for page in pages for topic in page.get("Topics", [])]
    found = {arn.rpartition(":")[2]: arn for arn in arns}
    return {name: found[name] for name in sorted(found) if wanted.matches(name)}


def list_subscriptions(clients: Clients, topics: Mapping[str, str]) -> list[TopicSubscription]:
    """Return the subscriptions of these topics, without attributes. Raises BrokerError if any page fails."""
    names = {arn: name for name, arn in topics.items()}
    with translating("sns:ListSubscriptions"):
        pages = clients.sns.get_paginator("list_subscriptions").paginate()
        found = [
            TopicSubscription(
                arn=entry["SubscriptionArn"],
                topic=names[entry["TopicArn"]],
                topic_arn=entry["TopicArn"],
                protocol=entry["Protocol"],
                endpoint=show_endpoint(entry["Protocol"], entry["Endpoint"], entry["SubscriptionArn"]),
            )
            for page in pages
            for entry in page.get("Subscriptions", [])
            if entry["TopicArn"] in names
        ]
    return sorted(found, key=lambda subscription: (subscription.name, subscription.arn))


def read_attributes(
    clients: Clients, workers: Workers, subscriptions: Iterable[TopicSubscription], deadline: float
) -> tuple[dict[str, Attributes], dict[str, BrokerError]]:
    """Ask for the attributes of the confirmed ones; return them and the errors of the others, by ARN."""
    arns = (subscription.arn for subscription in subscriptions if is_confirmed(subscription))
    return workers.run_named({arn: partial(read_attributes_of, clients, arn) for arn in arns}, deadline)


def is_confirmed(subscription: TopicSubscription) -> bool:
    """Say whether the endpoint has confirmed; before that a subscription has neither an ARN nor attributes."""
    return subscription.arn.startswith("arn:")


def read_attributes_of(clients: Clients, arn: str) -> Attributes:
    """Ask for the attributes of one subscription. Raises BrokerError."""
    with translating("sns:GetSubscriptionAttributes"):
        return parse_attributes(clients.sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"])


def parse_attributes(attributes: Mapping[str, str]) -> Attributes:
    """Read a subscription's attributes; a policy that is not JSON counts as none, as SNS would not have taken it."""
    policy = _load(attributes.get("FilterPolicy"))
    redrive = _load(attributes.get("RedrivePolicy"))
    target = redrive.get("deadLetterTargetArn") if isinstance(redrive, dict) else None
    scope = attributes.get("FilterPolicyScope") or "MessageAttributes"
    return Attributes(dead_letter_arn=target or None, drops_everything=drops_everything(policy, scope))


def _load(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except ValueError:
        return None


def show_endpoint(protocol: str, endpoint: str, subscription_arn: str) -> str:
    """Return an endpoint without what may be secret or personal.

    ARNs are shown as they are. Of a URL only scheme and host remain, since webhooks carry keys in path and query; of an
    e-mail address the domain; of a phone number nothing. The end of the subscription's ARN tells such apart.
    """
    if endpoint.startswith("arn:"):
        return endpoint
    mark = subscription_arn.rpartition(":")[2][:8] if subscription_arn.startswith("arn:") else "pending"
    if protocol in ("http", "https"):
        return f"{protocol}://{_host_of(endpoint)}/#{mark}"
    domain = f"*@{endpoint.rpartition('@')[2]}" if protocol.startswith("email") and "@" in endpoint else "*"
    return f"{domain}#{mark}"


def _host_of(url: str) -> str:
    """Return host and port, nothing where these cannot be told from the rest."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return ""
