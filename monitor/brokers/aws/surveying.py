"""What a redrive of an SQS dead-letter queue would do: found out from attributes alone, since looking hides messages.

Sources of the rules: the SQS developer guide ("Using dead-letter queues", "Learn how to configure a dead-letter queue
redrive", "Message quotas") and the API reference of StartMessageMoveTask.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from monitor.brokers.aws.access import WORKERS, Look, look_at, look_at_url, refuse_own_policy, split_target
from monitor.brokers.aws.client import Clients, Missing, translating
from monitor.brokers.aws.messages import BATCH, MARKER
from monitor.brokers.aws.move_tasks import judge_native, running_task
from monitor.brokers.aws.queues import IN_FLIGHT_QUOTA, Queue, name_of
from monitor.brokers.aws.routing import EACH_ORIGIN
from monitor.brokers.aws.topics import TopicSubscription, TopicWatch
from monitor.brokers.aws.workers import Workers
from monitor.clock import Clock
from monitor.config import AwsCluster
from monitor.errors import BrokerError
from monitor.letters import ARCHIVED, Action, Guarantee, PlanRequest, Survey
from monitor.model import FoundBy
from monitor.words import say_count, say_duration

MOST_DUPLICATES = BATCH * WORKERS

_TOPICS_SECONDS = 30.0

NO_SAMPLES = "No samples: looking at messages of SQS hides them for a moment and raises their receive count."


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a dead-letter queue's messages come from.

    `routes` leads from the ARN of each source (queue or SNS subscription) to the ARN of the queue to deliver to;
    `dead_ends` are sources whose endpoint is no queue. `mapped` are the origins that the configuration names.
    """

    routes: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    dead_ends: tuple[str, ...] = ()
    mapped: tuple[str, ...] = ()
    failures: tuple[BrokerError, ...] = ()

    @property
    def from_topics(self) -> bool:
        """Say whether SNS puts its dead letters here."""
        return bool(self.dead_ends) or any(arn.split(":")[2] != "sqs" for arn in self.routes)

    def evidence(self) -> Iterator[Mapping[str, Any]]:
        """Yield each origin and what says so."""
        for arn, target in self.routes.items():
            yield {"origin": self.names[arn], "found_by": FoundBy.TOPOLOGY.value, "deliver_to": name_of(target)}
        for name in self.dead_ends:
            yield {"origin": name, "found_by": FoundBy.TOPOLOGY.value, "deliver_to": None}
        for name in self.mapped:
            yield {"origin": name, "found_by": FoundBy.CONFIGURATION.value, "deliver_to": name}


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a plan leads: the name, what was read of the queue if it is one and there, and why it cannot be it."""

    name: str | None
    look: Look | None = None
    blocker: str = ""
    also_receives: tuple[str, ...] = ()


class Surveyor:
    """Surveys the dead-letter queues of one account and region."""

    def __init__(
        self, config: AwsCluster, mapped: Mapping[str, Sequence[str]], clients: Clients, workers: Workers, clock: Clock
    ) -> None:
        self._config, self._mapped, self._clients, self._workers, self._clock = config, mapped, clients, workers, clock
        self._topics = TopicWatch(config.topics.model_copy(update={"include": ["*"], "exclude": []}), _TOPICS_SECONDS)

    def survey(self, name: str, request: PlanRequest, deadline: float) -> Survey:
        """Find out what a plan has to say. Raises BrokerError, Missing for an unknown queue."""
        look = self._workers.call(partial(look_at, self._clients, name), deadline)
        sources = self._find_sources(look.queue, deadline)
        destination = self._find_destination(look, sources, request, deadline)
        task = self._workers.call(partial(running_task, self._clients, look.queue.arn), deadline)
        native = judge_native(look.queue, request, from_topics=sources.from_topics) if request.native else None
        blockers = [
            destination.blocker,
            refuse_own_policy(look.queue) and f"{refuse_own_policy(look.queue)}; take that policy off for the time",
            "SQS is moving its messages already (a message move task); wait, or cancel that" if task else "",
            *(native.blockers if native else ()),
        ]
        return Survey(
            count=int(look.queue.visible),
            count_is_exact=False,
            bounds={
                "count": int(look.queue.visible),
                "planned_at": look.at,
                "routes": {} if request.target else dict(sources.routes),
                "target_arn": destination.look.queue.arn if destination.look else None,
            },
            target=destination.name,
            guarantee=Guarantee.AT_LEAST_ONCE,
            max_duplicates_per_interruption=0 if native else MOST_DUPLICATES,
            origin_evidence=tuple(sources.evidence()),
            also_receives=destination.also_receives,
            ordering=_tell_order(look.queue, destination.look),
            warnings=(
                *(native.warnings if native else _warn_engine(look.queue, request)),
                *_warn_queue(look.queue),
                *_warn_target(look.queue, destination.look),
                *(f"{error}; what depends on it is not known" for error in sources.failures),
                NO_SAMPLES,
            ),
            blockers=tuple(blocker for blocker in blockers if blocker),
        )

    def _find_sources(self, queue: Queue, deadline: float) -> Sources:
        feeders = self._workers.call(partial(list_sources, self._clients, queue.url), deadline)
        looks = self._workers.run([partial(look_at_url, self._clients, url) for url in feeders], deadline)
        queues = [look.queue for look in looks if isinstance(look, Look)]
        failures = [it for it in looks if isinstance(it, BrokerError) and not isinstance(it, Missing)]
        reading = self._topics.read(self._clients, self._workers, self._clock.monotonic(), deadline)
        subscriptions = [s for s in reading.subscriptions if s.attributes and s.attributes.dead_letter_arn == queue.arn]
        to_queues = [s for s in subscriptions if s.protocol == "sqs"]
        known = {source.name for source in queues}
        return Sources(
            routes={source.arn: source.arn for source in queues} | {s.arn: s.endpoint for s in to_queues},
            names={source.arn: source.name for source in queues} | {s.arn: s.name for s in to_queues},
            dead_ends=tuple(s.name for s in subscriptions if s.protocol != "sqs"),
            mapped=tuple(name for name in self._mapped.get(queue.name, ()) if name not in known),
            failures=(*failures, *reading.errors),
        )

    def _find_destination(
        self, look: Look, sources: Sources, request: PlanRequest, deadline: float
    ) -> Destination:  # fmt: skip
        if request.action == Action.ARCHIVE:
            return Destination(ARCHIVED)
        if request.target:
            return self._named_destination(look, request.target, deadline)
        targets = sorted({*sources.routes.values(), *sources.mapped})
        if not targets:
            return Destination(None, blocker=_why_no_target(look.queue, sources))
        if len(targets) > 1:
            return Destination(EACH_ORIGIN)
        return self._named_destination(look, targets[0], deadline)

    def _named_destination(self, look: Look, target: str, deadline: float) -> Destination:
        if target.startswith("arn:") and target.split(":")[2] == "sns":
            topic = self._topics.read(self._clients, self._workers, self._clock.monotonic(), deadline)
            receivers = tuple(_tell_receiver(s) for s in topic.subscriptions if s.topic_arn == target)
            blocker = f"{name_of(target)} is an SNS topic: published again it would reach all {len(receivers)} of its"
            remedy = "subscriptions; name the queue of the one that failed"
            return Destination(target, blocker=f"{blocker} {remedy}", also_receives=receivers)
        named = split_target(target, self._config.name, self._config.region)
        if named is None:
            return Destination(target, blocker=f"{target} is no queue of {self._config.region}; name one")
        try:
            found = self._workers.call(partial(look_at, self._clients, *named), deadline)
        except Missing:
            return Destination(named[0], blocker=f"the target {named[0]} does not exist")
        return Destination(found.queue.name, found, _why_not_target(look.queue, found.queue))


def list_sources(clients: Clients, url: str) -> list[str]:
    """Return the URLs of the queues whose redrive policy names this one. Raises BrokerError if any page fails."""
    with translating("sqs:ListDeadLetterSourceQueues"):
        pages = clients.sqs.get_paginator("list_dead_letter_source_queues").paginate(QueueUrl=url)
        return [found for page in pages for found in page.get("queueUrls") or ()]


def _tell_receiver(subscription: TopicSubscription) -> str:
    return f"{subscription.name} ({subscription.protocol})"


def _why_no_target(queue: Queue, sources: Sources) -> str:
    if sources.dead_ends:
        return f"{', '.join(sources.dead_ends)}: the endpoint that failed is no queue; name a target"
    return f"nothing but its name, at most, says where the messages of {queue.name} come from; name a target"


def _why_not_target(queue: Queue, target: Queue) -> str:
    if target.arn == queue.arn:
        return "the target is the dead-letter queue itself; name another"
    if target.fifo and not queue.fifo:
        return f"{target.name} is a FIFO queue, and messages of a standard queue need have no group; name another"
    return ""


def _tell_order(queue: Queue, target: Look | None) -> str:
    if not queue.fifo:
        return "SQS keeps no order in a standard queue; redriven messages arrive after newer ones."
    if target and not target.queue.fifo:
        return f"The order within groups is lost, since {target.queue.name} is a standard queue."
    return (
        "The order within each message group is kept; redriven messages arrive after newer ones of their group. "
        "A message that SQS refuses while it takes a later one of its group stays behind."
    )


def _warn_engine(queue: Queue, request: PlanRequest) -> Iterator[str]:
    yield (
        "The number is approximate. Messages that were sent before this plan and die after it cannot be told from "
        "those that are there now; the job moves as many as were counted, and none that was sent later."
    )
    yield f"Messages with ten attributes of their own are skipped: {MARKER} would be the eleventh."
    if request.selective and queue.fifo:
        yield "In a FIFO queue a message that is not selected holds back its group, once ten of these are in front."
    elif request.selective:
        yield "Messages that are not selected stay hidden until the job ends, and their receive count rises."
        if queue.visible > IN_FLIGHT_QUOTA:
            yield f"SQS lets {say_count(IN_FLIGHT_QUOTA)} messages be in flight: selection reaches no further."


def _warn_queue(queue: Queue) -> Iterator[str]:
    if queue.in_flight:
        yield f"{say_count(queue.in_flight)} more are hidden: somebody else is reading {queue.name}."
    if queue.delayed:
        yield f"{say_count(queue.delayed)} more are delayed, and not part of the plan."
    age = "since they were first sent" if not queue.fifo else "since they died"
    yield f"SQS deletes messages {say_duration(queue.retention)} {age}; some may expire before they are moved."


def _warn_target(queue: Queue, target: Look | None) -> Iterator[str]:
    if target is None:
        return
    if target.queue.fifo and queue.fifo:
        yield "Each message gets a deduplication id of this job's own, so that SQS does not drop it as a duplicate."
    if target.queue.max_receive_count == 1:
        yield f"{target.queue.name} gives each message one receive: the first failure puts it back."
