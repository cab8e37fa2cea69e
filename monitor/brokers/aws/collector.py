"""Reads an AWS account in a region: SQS queues every cycle, SNS topics and CloudWatch at their own, slower pace."""

import itertools
import math
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from monitor.brokers.aws.checks import check_permissions
from monitor.brokers.aws.client import CONNECTIONS, Calls, Clients, open_clients
from monitor.brokers.aws.cloudwatch import (
    QUEUE_AGE,
    QUEUE_SUMS,
    TOPIC_FILTERED,
    TOPIC_SUMS,
    CloudWatch,
    Series,
    queue_series,
    topic_series,
)
from monitor.brokers.aws.costs import Costs, of_service, queues_a_month, topics_a_month
from monitor.brokers.aws.dead_letters import Relations, TopicSource, judge_role, mapped_origins, resolve
from monitor.brokers.aws.depths import DepthHistory, tell_age
from monitor.brokers.aws.queues import QueueWatch, Reading, look_beyond
from monitor.brokers.aws.snapshots import (
    Sight,
    Tables,
    build_api_tables,
    build_dead_letters,
    build_parts,
    build_queue_tables,
    build_subscriptions,
    build_topic_tables,
)
from monitor.brokers.aws.topics import TopicReading, TopicWatch
from monitor.brokers.aws.workers import Workers
from monitor.clock import Clock
from monitor.config import AwsCluster, DeadLetterMapping
from monitor.errors import AuthenticationFailed, BrokerError, Unreachable
from monitor.memory import FORGETFUL, Memory
from monitor.model import Age, CollectionError, Finding, Snapshot

# of a cycle's time, for putting together what was read
_MARGIN = 0.1
_LONGEST_MARGIN_SECONDS = 2.0

_NAMED = 3


class AwsCollector:
    """Watches SQS, SNS and CloudWatch of one account and region."""

    def __init__(
        self,
        config: AwsCluster,
        dead_letters: Sequence[DeadLetterMapping],
        clock: Clock,
        memory: Memory = FORGETFUL,
    ) -> None:
        self._config, self._clock = config, clock
        self._mapped = mapped_origins(config.name, dead_letters)
        self._calls = Calls()
        self._workers = Workers(CONNECTIONS, clock)
        self._lock = threading.Lock()
        self._clients: Clients | None = None
        self._closed = False
        self._queues = QueueWatch(config.queues)
        self._topics = TopicWatch(config.topics, config.topics_interval)
        self._cloudwatch = CloudWatch(config.cloudwatch, memory)
        self._depths = DepthHistory(memory)
        self._tables = Tables()
        self._ids: dict[tuple[str, float], int] = {}
        self._next_id = itertools.count()

    def collect(self, deadline: float) -> Snapshot:
        """Read everything that is due. Raises BrokerError when the queues cannot be read, before `deadline`."""
        now, began = self._clock.now(), self._clock.monotonic()
        limit = deadline - min(_LONGEST_MARGIN_SECONDS, _MARGIN * (deadline - began))
        clients = self._open(limit)
        try:
            reading = self._queues.read(clients, self._workers, limit)
        except AuthenticationFailed:
            self._let_go(clients)
            raise
        topics = self._topics.read(clients, self._workers, began, limit)
        sources = [source for subscription in topics.subscriptions if (source := subscription.as_source())]
        beyond = look_beyond(clients, self._workers, reading.last, _list_targets(reading, sources), limit)
        relations = resolve({**beyond.queues, **reading.last}, sources, beyond.missing, self._mapped)
        self._follow_depths(reading, now)
        self._read_cloudwatch(clients, reading, topics, now, limit)
        sights = self._see(reading, relations, now)
        costs = self._estimate_costs(reading, topics)
        others = [*reading.errors, *beyond.errors, *topics.errors, *self._cloudwatch.errors]
        if any(isinstance(error, AuthenticationFailed) for error in (*others, *reading.failures.values())):
            self._let_go(clients)
        return Snapshot(
            cluster=self._config.name,
            kind=self._config.kind,
            taken_at=now,
            duration=self._clock.monotonic() - began,
            subscriptions=build_subscriptions(self._config.name, sights),
            dead_letters=build_dead_letters(self._config.name, sights, relations, now),
            tables={
                **build_queue_tables(self._tables, sights, relations),
                **build_topic_tables(self._tables, topics.topics, topics.subscriptions, self._cloudwatch),
                **build_api_tables(self._tables, self._calls.totals(), costs, self._cloudwatch),
            },
            parts=build_parts(sights, self._part_ids(sights), tells_progress=self._cloudwatch.tells_progress),
            expected=len(reading.names),
            measured=len(reading.queues),
            errors=_group_failures(reading.failures, others),
            notes=self._notes(clients, costs, now),
        )

    def check(self, deadline: float) -> Sequence[Finding]:
        """Try every call that `collect` makes."""
        try:
            clients = self._open(deadline)
            return check_permissions(clients, self._workers, self._clock.now(), deadline)
        except BrokerError as error:
            return [Finding(error.target or "aws", False, error.problem, error.remedy or "look at the endpoint")]

    def close(self) -> None:
        """Let go of all connections; a call under way ends at once for who waits for it."""
        self._calls.close()
        self._workers.close()
        with self._lock:
            self._closed = True
            clients, self._clients = self._clients, None
        if clients:
            clients.close()

    def _let_go(self, clients: Clients) -> None:
        """Drop clients whose credentials are refused: the next ones read what may have been renewed meanwhile."""
        with self._lock:
            if self._clients is clients:
                self._clients = None
        clients.close()

    def _open(self, deadline: float) -> Clients:
        with self._lock:
            if self._closed:
                raise Unreachable("the connection was closed", target=self._config.name)
            if self._clients:
                return self._clients
        # in a worker, as looking for credentials may ask a service that does not answer
        clients = self._workers.call(lambda: open_clients(self._config, self._calls), deadline)
        with self._lock:
            if not self._closed:
                self._clients = clients
                return clients
        clients.close()
        raise Unreachable("the connection was closed", target=self._config.name)

    def _follow_depths(self, reading: Reading, now: float) -> None:
        for queue in reading.queues.values():
            self._depths.observe(queue, now)
        self._depths.settle(frozenset(reading.names))

    def _read_cloudwatch(
        self, clients: Clients, reading: Reading, topics: TopicReading, now: float, limit: float
    ) -> None:
        monotonic = self._clock.monotonic()
        if not self._cloudwatch.is_due(monotonic):
            return
        series = _list_series(reading, topics)
        self._cloudwatch.forget(series)
        self._cloudwatch.read(clients, self._workers, series, now, monotonic, limit)

    def _see(self, reading: Reading, relations: Relations, now: float) -> list[Sight]:
        sights = []
        for name in reading.names:
            queue, last = reading.queues.get(name), reading.last.get(name)
            reported = self._cloudwatch.age_of(name, now, not_before=self._depths.emptied_at(name))
            age = tell_age(queue, reported and reported.seconds) if queue else Age.unknown()
            oldest_possible = self._depths.oldest_possible(queue, now) if queue else math.inf
            if reported:
                oldest_possible = min(oldest_possible, reported.seconds + now - reported.when)
            sight = Sight(
                name=name,
                role=relations.roles.get(name) or judge_role(name, is_mapped=name in self._mapped)[0],
                queue=queue,
                last=last,
                age=age,
                oldest_possible=oldest_possible,
                arrivals=self._depths.arrivals_of(name),
                sums={family: self._cloudwatch.total_of(queue_series(name, m)) for family, m in QUEUE_SUMS.items()},
            )
            sights.append(sight)
        return sights

    def _part_ids(self, sights: Iterable[Sight]) -> Mapping[str, int]:
        """Number the queues; one that was deleted and made again is another one."""
        known = {sight.name: sight.queue or sight.last for sight in sights}
        keys = {name: (name, queue.created_at if queue else 0.0) for name, queue in known.items()}
        self._ids = {key: self._ids[key] if key in self._ids else next(self._next_id) for key in keys.values()}
        return {name: self._ids[key] for name, key in keys.items()}

    def _notes(self, clients: Clients, costs: Costs, now: float) -> tuple[str, ...]:
        notes = [
            "SQS counts are approximate; who polls a queue is not known to SQS.",
            "Arrivals in dead-letter queues are how far these grew: CloudWatch does not count what SQS moves there.",
        ]
        if clients.stand_in:
            notes.append("No AWS credentials were found; dummy ones are in use, as the endpoint is on loopback.")
        return (*notes, self._tell_cloudwatch(now), _tell_costs(costs))

    def _tell_cloudwatch(self, now: float) -> str:
        if not self._config.cloudwatch.enabled:
            return "CloudWatch is not asked: there are no counters, and ages are not known."
        watch = self._cloudwatch
        slowed = ", slowed down by its budget" if watch.pace > self._config.cloudwatch.interval else ""
        newest = "has no datapoint yet" if watch.newest is None else f"is {max(0.0, now - watch.newest):.0f} s behind"
        unjudged = "" if watch.tells_progress else " That is too seldom to judge consumers by what they delete."
        gaps = " Counters leave out what is over three hours old when it is asked for." if watch.leaves_gaps else ""
        return f"CloudWatch is asked every {watch.pace:.0f} s{slowed}, and {newest}.{unjudged}{gaps}"

    def _estimate_costs(self, reading: Reading, topics: TopicReading) -> Costs:
        return {
            ("cloudwatch", "GetMetricData"): self._cloudwatch.monthly_dollars,
            **queues_a_month(len(reading.names), self._config.interval),
            **topics_a_month(len(topics.topics), len(topics.subscriptions), self._config.topics_interval),
        }


def _tell_costs(costs: Costs) -> str:
    watch, sqs, sns = (of_service(costs, service) for service in ("cloudwatch", "sqs", "sns"))
    return f"In 30 days the calls cost about ${watch:.2f} for CloudWatch, ${sqs:.2f} for SQS, ${sns:.2f} for SNS."


def _list_targets(reading: Reading, sources: Iterable[TopicSource]) -> Iterator[str]:
    """Name the dead-letter queues that anything points to, by ARN."""
    yield from (queue.dead_letter_arn for queue in reading.last.values() if queue.dead_letter_arn)
    yield from (source.target_arn for source in sources if source.target_arn)


def _list_series(reading: Reading, topics: TopicReading) -> list[Series]:
    """Return what to ask: no age of a queue that is known to be empty, since each metric asked costs."""
    empty = {name for name, queue in reading.queues.items() if not queue.depth}
    return [
        *(queue_series(name, QUEUE_AGE) for name in reading.names if name not in empty),
        *(queue_series(name, metric) for name in reading.names for metric in QUEUE_SUMS.values()),
        *(
            topic_series(topic, metric)
            for topic in topics.topics
            for metric in (*TOPIC_SUMS.values(), *TOPIC_FILTERED.values())
        ),
    ]


def _group_failures(failures: Mapping[str, BrokerError], others: Iterable[BrokerError]) -> tuple[CollectionError, ...]:
    """Tell the errors of one reason and call together, so that 1,000 queues that failed alike are one sentence."""
    groups: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for name, error in failures.items():
        groups[error.reason, error.target or "sqs:GetQueueAttributes"].append((name, error.problem))
    for error in others:
        groups[error.reason, error.target or "aws"].append(("", error.problem))
    return tuple(CollectionError(reason, target, _tell(found)) for (reason, target), found in groups.items())


def _tell(found: Sequence[tuple[str, str]]) -> str:
    names = [name for name, _ in found if name]
    if not names:
        return found[0][1] if len(found) == 1 else f"{len(found)} calls: {found[0][1]}"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}: {found[0][1]}"
