"""What `eventflow check` finds out about a Kafka cluster: what can be reached and read, and which right is missing."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from confluent_kafka import KafkaError, TopicPartition

from monitor.brokers.kafka.admin import LATEST
from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.committed import Committed
from monitor.brokers.kafka.metadata import INTERNAL_TOPICS, NO_LEADER, OFFSETS_TOPIC, Listing, read_listing
from monitor.brokers.kafka.offsets_topic import REMEDY, try_reading
from monitor.brokers.kafka.settings import library_settings
from monitor.brokers.kafka.translation import translate
from monitor.config import KafkaCluster
from monitor.errors import BrokerError, Forbidden, Unreachable
from monitor.letters import GROUP_PREFIX, LEDGER_TOPIC
from monitor.model import Finding
from monitor.words import say_names

_SHARE = 0.25
_MOST_TOPICS = 200
_GRANT_CLUSTER = "grant Describe on the cluster"
_GRANT_TOPICS = "grant Describe on these topics"
_GRANT_GROUPS = "grant Describe on these groups"
_GRANT_LEDGER = f"grant Read on the topic {LEDGER_TOPIC}; without it redriven messages still count as dead letters"
_GRANT_CONFIGS = "grant DescribeConfigs on these topics"


def check_cluster(client: KafkaClient, cluster: KafkaCluster, deadline: float) -> Sequence[Finding]:
    """Ask once for everything that a cycle needs."""
    try:
        listing = read_listing(client.list_topics(client.until(deadline, 0.5)))
    except BrokerError as error:
        return [
            _refused(
                error.target or cluster.bootstrap_servers, error, "check bootstrap_servers, and that the brokers run"
            )
        ]
    check = _Check(client, cluster, listing, deadline)
    return [finding for part in check.parts() for finding in part()]


class _Check:
    """One run of all questions, on a cluster that answers."""

    def __init__(self, client: KafkaClient, cluster: KafkaCluster, listing: Listing, deadline: float) -> None:
        self._client, self._cluster, self._listing, self._deadline = client, cluster, listing, deadline
        self._topics = sorted(
            name for name in listing.topics if name not in INTERNAL_TOPICS and cluster.topics.matches(name)
        )

    def parts(self) -> Sequence[Callable[[], Iterator[Finding]]]:
        """Return the questions in the order in which the answers are told."""
        parts = [
            self._reached,
            self._rights,
            self._seen_topics,
            self._leaders,
            self._groups,
            self._configs,
            self._records,
        ]
        if self._cluster.commits == "offsets_topic":
            parts.append(self._commits)
        if LEDGER_TOPIC in self._listing.topics:
            parts.append(self._ledger)
        return parts

    def _seconds(self) -> float:
        return max(0.0, self._client.remaining(self._deadline) * _SHARE)

    def _reached(self) -> Iterator[Finding]:
        brokers = len(self._listing.brokers)
        yield Finding(self._cluster.bootstrap_servers, True, f"answers; the cluster has {_count(brokers, 'broker')}")

    def _rights(self) -> Iterator[Finding]:
        target = "describing the cluster"
        try:
            described = self._client.describe_cluster(self._seconds())
        except BrokerError as error:
            yield _refused(target, error, _GRANT_CLUSTER, required=False)
            return
        allowed = {operation.name for operation in described.authorized_operations or ()}
        if not {"DESCRIBE", "ALL"} & allowed:
            # Without it the broker lists just the groups that these credentials may describe, and tells no error.
            remedy = f"{_GRANT_CLUSTER}, or Describe on each group that is to be watched"
            yield Finding(target, False, "Describe on the cluster is missing: groups may be hidden", remedy, False)
        else:
            yield Finding(target, True, "allowed")

    def _seen_topics(self) -> Iterator[Finding]:
        if self._topics:
            yield Finding("listing topics", True, f"{_count(len(self._topics), 'topic')} to watch")
        else:
            # A broker leaves out what may not be described, so this cannot be told from a cluster without topics.
            remedy = f"if the cluster has topics, {_GRANT_TOPICS}, and check topics.include"
            yield Finding("listing topics", False, "no topic can be seen", remedy, required=False)

    def _leaders(self) -> Iterator[Finding]:
        """Ask each leader about one partition: brokers are found by the addresses that they advertise."""
        asked: dict[int, TopicPartition] = {}
        for topic in self._topics:
            for number, (leader, _, _) in enumerate(self._listing.topics[topic]):
                asked.setdefault(leader, TopicPartition(topic, number, LATEST))
        for leader, partition in sorted(asked.items()):
            target = f"offsets from broker {leader}"
            if leader == NO_LEADER:
                problem = Unreachable(f"partition {partition.partition} of {partition.topic} has no leader")
                yield _refused("offsets", problem, "bring the brokers back that hold its replicas", required=False)
                continue
            calls = self._client.run({leader: [self._client.offsets(target, [partition])]}, self._seconds())
            for _, result in calls:
                error = result if isinstance(result, BrokerError) else next(iter(result.errors.values()), None)
                if error is None:
                    yield Finding(target, True, "read")
                else:
                    remedy = "check that the address which this broker advertises can be reached from here"
                    yield _refused(target, error, _GRANT_TOPICS if isinstance(error, Forbidden) else remedy)

    def _groups(self) -> Iterator[Finding]:
        try:
            listing = self._client.wait(self._client.list_groups(self._seconds()), self._seconds())
        except BrokerError as error:
            yield _refused("listing groups", error, _GRANT_CLUSTER)
            return
        for failed in listing.errors:
            yield _refused("listing groups", translate(failed), _GRANT_CLUSTER)
        groups = self._cluster.watched_groups
        names = sorted(group.group_id for group in listing.valid if groups.matches(group.group_id))
        yield Finding("listing groups", True, f"{_count(len(names), 'group')} to watch")
        if names:
            yield from self._offsets_of(names[0])

    def _offsets_of(self, group: str) -> Iterator[Finding]:
        calls: dict[str, Any] = {
            "members of groups": self._client.descriptions(None, [group]),
            "committed offsets": self._client.committed(None, group, None),
        }
        for target, call in calls.items():
            for _, result in self._client.run({target: [call]}, self._seconds()):
                error = _first_error(result)
                if error is None:
                    yield Finding(target, True, f"read, for example of {group}")
                else:
                    yield _refused(target, error, _GRANT_GROUPS)

    def _commits(self) -> Iterator[Finding]:
        target = f"reading {OFFSETS_TOPIC}"
        try:
            try_reading(library_settings(self._cluster), self._listing.coordinators, self._seconds())
        except BrokerError as error:
            remedy = REMEDY if isinstance(error, Forbidden) else "check that its partitions' leaders can be reached"
            yield _refused(target, error, remedy, required=bool(self._listing.coordinators))
        else:
            yield Finding(target, True, f"{_count(len(self._listing.coordinators), 'partition')} can be read")

    def _configs(self) -> Iterator[Finding]:
        target = "retention of topics"
        for topic, config in self._client.describe_topic_configs(self._topics[:1], self._seconds()).items():
            if isinstance(config, BrokerError):
                yield _refused(target, config, _GRANT_CONFIGS, required=False)
            else:
                yield Finding(target, True, f"read, for example of {topic}", required=False)

    def _records(self) -> Iterator[Finding]:
        """Ask whether the ends of quiet logs may be read, which many do not grant, and need not."""
        target = "records at the end of logs"
        described = self._client.describe_topics(self._topics[:_MOST_TOPICS], self._seconds(), operations=True)
        without = [name for name, topic in described.items() if not _may_read(topic)]
        if without:
            told = f"Read is missing on {say_names(without)}: offsets there without a record may count as backlog"
            yield Finding(target, True, f"{told} (markers of transactions)", required=False)
        elif described:
            yield Finding(target, True, "Read is allowed: offsets without a record are told apart", required=False)

    def _ledger(self) -> Iterator[Finding]:
        """Ask for what tells which dead letters have been redriven: reading one topic, and naming a group for it."""
        target = "the ledger of redrives"
        for topic in self._client.describe_topics([LEDGER_TOPIC], self._seconds(), operations=True).values():
            if isinstance(topic, BrokerError):
                yield _refused(target, topic, _GRANT_LEDGER, required=False)
            elif not _may_read(topic):
                yield Finding(target, False, f"Read is missing on {LEDGER_TOPIC}", _GRANT_LEDGER, required=False)
            else:
                yield from self._ledger_group(target)

    def _ledger_group(self, target: str) -> Iterator[Finding]:
        try:
            self._client.describe_group_rights(LEDGER_TOPIC, self._seconds())
        except BrokerError as error:
            yield _refused(target, error, f"grant Describe on groups that begin with {GROUP_PREFIX}", required=False)
        else:
            yield Finding(target, True, "read", required=False)


def _may_read(topic: Any) -> bool:
    """Say whether a topic's description, or the error in its place, says that these credentials may read it."""
    if isinstance(topic, BrokerError):
        return False
    return bool({"READ", "ALL"} & {operation.name for operation in topic.authorized_operations or ()})


def _first_error(result: Any) -> BrokerError | None:
    if isinstance(result, BrokerError):
        return result
    if isinstance(result, Committed):
        return next(map(translate, result.errors.values()), None)
    for item in result:
        if isinstance(item, KafkaError):
            return translate(item)
    return None


def _refused(target: str, error: BrokerError, remedy: str, *, required: bool = True) -> Finding:
    told = remedy if isinstance(error, Forbidden) else error.remedy or remedy
    return Finding(target, False, error.problem, told, required)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
