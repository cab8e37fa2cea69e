"""What redrive must be allowed on a Kafka cluster, and which of it is missing; `docs/permissions.md` lists it.

Brokers are asked what these credentials may do. Of transactional ids none tells that: there one is taken, and let go
of, that no topic's redrive can have.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.facts import read_number
from monitor.brokers.kafka.ledger import IN_SYNC, REPLICAS, group_of, ledger_topic
from monitor.brokers.kafka.metadata import Listing, read_listing
from monitor.brokers.kafka.quiet import QuietLog
from monitor.brokers.kafka.translation import translate
from monitor.brokers.naming import is_dead_by_name, strip_dead_suffix
from monitor.config import Filter
from monitor.errors import BrokerError, Forbidden, TimedOut
from monitor.letters import GROUP_PREFIX, LEDGER_TOPIC
from monitor.model import Finding
from monitor.words import say_names

_PREFIX = "redrive: "
_SHARE = 0.3
_MOST_TOPICS = 200
# No topic has a name with this sign (Topic.validate).
_TRIAL = f"{GROUP_PREFIX}~check"


@dataclass(frozen=True, slots=True)
class TopicsToRedrive:
    """Dead-letter topics, what their messages go back to, and whether there is a ledger: as those see it who watch."""

    dead: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    ledger: bool = False

    @classmethod
    def among(cls, topics: Collection[str], watched: Filter, mapped: Mapping[str, Sequence[str]]) -> "TopicsToRedrive":
        """Find them; `mapped` has the configured dead-letter topics' origins. Of many, some are enough."""
        dead = sorted(it for it in topics if watched.matches(it) and (it in mapped or is_dead_by_name(it)))
        origins = {origin for it in dead for origin in (*mapped.get(it, ()), strip_dead_suffix(it))}
        there = sorted(it for it in origins if it is not None and it in topics)
        return cls(tuple(dead[:_MOST_TOPICS]), tuple(there[:_MOST_TOPICS]), LEDGER_TOPIC in topics)


def check_rights(
    client: KafkaClient, settings: Mapping[str, Any], topics: TopicsToRedrive, deadline: float
) -> Sequence[Finding]:
    """Find out whether these credentials may redrive with these topics."""
    try:
        listing = read_listing(client.list_topics(client.until(deadline, _SHARE)))
    except BrokerError as error:
        return [_refused("connecting", error, "check redrive.security")]
    check = _Check(client, settings, deadline, listing, ledger=LEDGER_TOPIC in listing.topics or topics.ledger)
    return [finding for part in check.parts(topics) for finding in part]


class _Check:
    """One run of all questions, on a cluster that answers."""

    def __init__(
        self, client: KafkaClient, settings: Mapping[str, Any], deadline: float, listing: Listing, *, ledger: bool
    ) -> None:
        self._client, self._settings, self._deadline, self._has_ledger = client, settings, deadline, ledger
        self._listing = listing

    def parts(self, topics: TopicsToRedrive) -> Iterator[Iterator[Finding]]:
        """Return the questions in the order in which the answers are told."""
        if topics.dead:
            yield self._topic_rights("dead-letter topics", topics.dead, ("READ",))
        else:
            yield iter([Finding(f"{_PREFIX}dead-letter topics", False, "there are none to be seen", required=False)])
        if topics.origins:
            yield self._topic_rights("topics to send to", topics.origins, ("WRITE",))
            yield self._configs(topics.origins)
        yield self._ledger()
        yield self._group(group_of(topics.dead[0] if topics.dead else "~check"))
        yield self._transactional_id()
        yield self._readers()

    def _seconds(self) -> float:
        return max(0.1, self._client.remaining(self._deadline) * _SHARE)

    def _topic_rights(self, what: str, names: Sequence[str], needed: Sequence[str]) -> Iterator[Finding]:
        described = self._client.describe_topics(names, self._seconds(), operations=True)
        missing: dict[str, list[str]] = {}
        for name, answer in described.items():
            if isinstance(answer, BrokerError) and not isinstance(answer, Forbidden):
                yield _refused(f"{what} ({name})", answer, "see whether the topic is there")
                continue
            allowed = () if isinstance(answer, Forbidden) else answer.authorized_operations
            for operation in _lacking(allowed, needed):
                missing.setdefault(operation, []).append(name)
        for operation, without in missing.items():
            told = say_names(without)
            remedy = f"grant {operation} on the topic{'s' if len(without) > 1 else ''} {told}"
            yield Finding(f"{_PREFIX}{what}", False, f"{operation} is missing on {told}", remedy)
        if not missing:
            yield Finding(f"{_PREFIX}{what}", True, f"{_words(needed)} allowed on {say_names(names)}")

    def _configs(self, names: Sequence[str]) -> Iterator[Finding]:
        found = self._client.describe_topic_configs(names, self._seconds())
        refused = [name for name, config in found.items() if isinstance(config, Forbidden)]
        if refused:
            told = say_names(refused)
            message = f"DescribeConfigs is missing on {told}: the largest message that it takes is not known"
            remedy = f"grant DescribeConfigs on the topic{'s' if len(refused) > 1 else ''} {told}"
            yield Finding(f"{_PREFIX}limits of topics", False, message, remedy, required=False)

    def _readers(self) -> Iterator[Finding]:
        """Ask for what tells who else gets the messages; a plan does without, and says so."""
        target, cost = f"{_PREFIX}groups that read the targets", "a plan may not name them all"
        try:
            described = self._client.describe_cluster(self._seconds())
            listed = self._client.wait(self._client.list_groups(self._seconds()), self._seconds()).valid
        except BrokerError as error:
            yield Finding(target, False, error.problem, "grant Describe on the cluster", required=False)
            return
        if _lacking(described.authorized_operations, ("DESCRIBE",)):
            remedy = "grant Describe on the cluster, or on each group"
            yield Finding(target, False, f"Describe is missing on the cluster: {cost}", remedy, required=False)
        groups = sorted(it.group_id for it in listed if not it.group_id.startswith(GROUP_PREFIX))
        for call, result in self._client.run(
            {0: [self._client.committed(name, name, None) for name in groups[:1]]}, self._seconds()
        ):
            if isinstance(result, BrokerError):
                message = f"Describe is missing on the group {call.key}, for example: {cost}"
                yield Finding(target, False, message, "grant Describe on groups", required=False)

    def _ledger(self) -> Iterator[Finding]:
        if self._has_ledger:
            yield from self._topic_rights("the ledger", [LEDGER_TOPIC], ("READ", "WRITE"))
            yield from self._safety_of_ledger()
            return
        remedy = f"grant Create, Read and Write on the topic {LEDGER_TOPIC}; or, where it exists, let it be seen"
        admin = AdminClient(dict(self._settings), logger=QuietLog())
        topic = ledger_topic(len(self._listing.brokers))
        asked = admin.create_topics([topic], validate_only=True)[LEDGER_TOPIC]
        yield self._tried("the ledger", lambda: asked.result(self._seconds()), remedy, "it can be created")

    def _safety_of_ledger(self) -> Iterator[Finding]:
        """Tell a ledger that the loss of one broker can make forget: it is left as it is."""
        replicas = min((it for _, it, _ in self._listing.topics.get(LEDGER_TOPIC, ())), default=0)
        if not replicas or len(self._listing.brokers) < REPLICAS:
            return
        config = self._client.describe_topic_configs([LEDGER_TOPIC], self._seconds())[LEDGER_TOPIC]
        told = None if isinstance(config, BrokerError) else read_number(config, "min.insync.replicas")
        in_sync = IN_SYNC if told is None else int(told)
        if replicas < REPLICAS or in_sync < IN_SYNC:
            message = f"it has {replicas} replicas, of which {in_sync} must be in sync"
            remedy = f"give {LEDGER_TOPIC} {REPLICAS} replicas and min.insync.replicas={IN_SYNC}"
            yield Finding(f"{_PREFIX}how safe the ledger is", False, message, remedy, required=False)

    def _group(self, group: str) -> Iterator[Finding]:
        target, remedy = "groups", f"grant Read on groups that begin with {GROUP_PREFIX}"
        try:
            described = self._client.describe_group_rights(group, self._seconds())
        except BrokerError as error:
            yield _refused(target, error, remedy)
            return
        lacking = _lacking(described.authorized_operations, ("READ",))
        message = f"Read is {'missing' if lacking else 'allowed'} on {group}"
        yield Finding(f"{_PREFIX}{target}", not lacking, message, remedy if lacking else "")

    def _transactional_id(self) -> Iterator[Finding]:
        def take() -> None:
            producer = Producer({**self._settings, "transactional.id": _TRIAL}, logger=QuietLog())
            producer.init_transactions(self._seconds())

        remedy = f"grant Write on transactional ids that begin with {GROUP_PREFIX}"
        yield self._tried("transactions", take, remedy, "Write is allowed on transactional ids")

    def _tried(self, target: str, call: Callable[[], object], remedy: str, found: str) -> Finding:
        try:
            call()
        except KafkaException as error:
            return _refused(target, translate(error.args[0]), remedy)
        except TimeoutError:
            return _refused(target, TimedOut("no answer in time"), remedy)
        return Finding(f"{_PREFIX}{target}", True, found)


def _lacking(allowed: Iterable[Any] | None, needed: Sequence[str]) -> list[str]:
    names = {operation.name for operation in allowed or ()}
    return [it.capitalize() for it in needed if not {it, "ALL"} & names]


def _refused(target: str, error: BrokerError, remedy: str) -> Finding:
    told = remedy if isinstance(error, Forbidden) else error.remedy or remedy
    return Finding(f"{_PREFIX}{target}", False, error.problem, told)


def _words(operations: Sequence[str]) -> str:
    return " and ".join(it.capitalize() for it in operations)
