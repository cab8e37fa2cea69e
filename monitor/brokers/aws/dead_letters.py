"""Who is whose dead-letter queue, and what is wrong with the set-up: pure functions over what the APIs said.

Sources of the rules: the SQS developer guide ("Using dead-letter queues", "Setting up dead-letter queue retention") and
the SNS one ("Amazon SNS dead-letter queues").
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from monitor.brokers.aws.queue_policies import lets_in
from monitor.brokers.aws.queues import Queue, name_of
from monitor.brokers.naming import is_dead_by_name, is_retry_by_name, is_retry_on_cycle, strip_dead_suffix
from monitor.config import DeadLetterMapping, origins_by_place
from monitor.model import FoundBy, Origin, Problem, Role


@dataclass(frozen=True, slots=True)
class TopicSource:
    """An SNS subscription as a source of dead letters; `name` is `topic/endpoint`, `target_arn` its queue for these.

    `delivers_to` is the ARN of the queue that it feeds, None where its endpoint is none.
    """

    name: str
    topic: str
    topic_arn: str
    target_arn: str | None = None
    drops_everything: bool = False
    delivers_to: str | None = None


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """What is known of one dead-letter queue beside its attributes.

    `carried_seconds` is how old a message may have been when it was moved, where its life goes on counting from there.
    """

    found_by: FoundBy
    origins: tuple[Origin, ...] = ()
    problems: tuple[Problem, ...] = ()
    carried_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Relations:
    """What redrive policies, configuration and names say together.

    `roles` has every queue, `targets` the name of the dead-letter queue of each source that has one in its region.
    `source_problems` and `topic_problems` have the sources whose dead letters have no usable queue to go to, and the
    SNS subscriptions that filter everything out or that a queue does not let in.
    """

    roles: Mapping[str, Role]
    targets: Mapping[str, str]
    dead_letters: Mapping[str, DeadLetters]
    source_problems: Mapping[str, tuple[Problem, ...]]
    topic_problems: Mapping[str, tuple[Problem, ...]]


def resolve(
    queues: Mapping[str, Queue],
    topic_sources: Sequence[TopicSource] = (),
    missing: Set[str] = frozenset(),
    mapped: Mapping[str, Sequence[str]] | None = None,
) -> Relations:
    """Resolve all relations of one account and region.

    `missing` holds the ARNs of queues that the service says do not exist; a target that could merely not be read is not
    among them. `mapped` gives the origins of the dead-letter queues that the configuration names.
    """
    mapped = mapped or {}
    targets = {
        name: name_of(queue.dead_letter_arn)
        for name, queue in queues.items()
        if queue.dead_letter_arn and _region_of(queue.dead_letter_arn) == _region_of(queue.arn)
    }
    feeders = _feeders_by_target(queues, targets)
    topics = _topics_by_target(topic_sources)
    circling = _find_circling(targets)
    roles: dict[str, Role] = {}
    dead_letters: dict[str, DeadLetters] = {}
    for name, queue in queues.items():
        roles[name], found_by = judge_role(
            name,
            is_target=name in feeders or name in topics,
            has_target=name in targets,
            is_circling=name in circling,
            is_mapped=name in mapped,
        )
        if found_by is not None:
            sources = feeders.get(name, [])
            origins = _list_origins(name, sources, topics.get(name, []), mapped.get(name, ()), queues)
            dead_letters[name] = DeadLetters(
                found_by, origins, _find_problems(queue, sources), _longest_carried(sources)
            )
    source_problems = {name: _judge_source(queue, roles[name], missing) for name, queue in queues.items()}
    return Relations(
        roles=roles,
        targets=targets,
        dead_letters=dead_letters,
        source_problems={name: problems for name, problems in source_problems.items() if problems},
        topic_problems=_find_topic_problems(topic_sources, missing, {queue.arn: queue for queue in queues.values()}),
    )


def _feeders_by_target(queues: Mapping[str, Queue], targets: Mapping[str, str]) -> Mapping[str, list[Queue]]:
    feeders: defaultdict[str, list[Queue]] = defaultdict(list)
    for source, target in targets.items():
        feeders[target].append(queues[source])
    return feeders


def _topics_by_target(topic_sources: Iterable[TopicSource]) -> Mapping[str, list[str]]:
    topics: defaultdict[str, list[str]] = defaultdict(list)
    for source in topic_sources:
        if source.target_arn and _region_of(source.target_arn) == _region_of(source.topic_arn):
            topics[name_of(source.target_arn)].append(source.topic)
    return topics


def _find_topic_problems(
    topic_sources: Iterable[TopicSource], missing: Set[str], queues: Mapping[str, Queue]
) -> Mapping[str, tuple[Problem, ...]]:
    found: defaultdict[str, set[Problem]] = defaultdict(set)
    for source in topic_sources:
        # two endpoints of one name (in two accounts, say) are told together
        found[source.name].update(_judge_topic_source(source, missing, queues))
    return {name: tuple(sorted(problems)) for name, problems in found.items() if problems}


def mapped_origins(cluster: str, mappings: Iterable[DeadLetterMapping]) -> dict[str, Sequence[str]]:
    """Return the origins that the configuration names, by queue of this cluster."""
    return {queue: origins for (queue, *_), origins in origins_by_place(cluster, mappings).items()}


def find_expiry(now: float, retention: float, oldest_possible: float, carried: float) -> float:
    """Return the earliest time at which the oldest dead letter may be lost, in Unix seconds.

    `oldest_possible` is the longest time that it may have lain there. A standard queue goes on counting from the first
    enqueueing: there it may be older still, by the time that it was allowed to spend in the source, `carried`. Now,
    where so little is known that it might be lost at any moment.
    """
    return max(now, now + retention - oldest_possible - carried)


def _region_of(arn: str) -> str:
    """Return the region in `arn:aws:sqs:region:account:name`."""
    return (arn.split(":") + [""] * 6)[3]


def _find_circling(targets: Mapping[str, str]) -> set[str]:
    """Return the queues whose redrive policies lead back to themselves: from these nothing is dead for good."""
    circling = set()
    for start in targets:
        seen, at = set(), targets.get(start)
        while at is not None and at not in seen and at != start:
            seen.add(at)
            at = targets.get(at)
        if at == start:
            circling.add(start)
    return circling


def judge_role(
    name: str, *, is_target: bool = False, has_target: bool = False, is_circling: bool = False, is_mapped: bool = False
) -> tuple[Role, FoundBy | None]:
    """Return the role of a queue, and for a dead-letter queue what says so. Where nothing is known its name decides."""
    if is_circling:
        return (Role.RETRY if is_retry_on_cycle(name) or is_dead_by_name(name) else Role.WORK), None
    retries = is_retry_by_name(name)
    if is_target and not (retries and has_target):  # a retry stage passes on what it could not do either
        return Role.DEAD_LETTER, FoundBy.TOPOLOGY
    if is_mapped:
        return Role.DEAD_LETTER, FoundBy.CONFIGURATION
    if retries:
        return Role.RETRY, None
    if is_dead_by_name(name):
        return Role.DEAD_LETTER, FoundBy.NAME
    return Role.WORK, None


def _list_origins(
    name: str, feeders: Iterable[Queue], topics: Iterable[str], mapped: Iterable[str], queues: Mapping[str, Queue]
) -> tuple[Origin, ...]:
    found = dict.fromkeys(mapped, FoundBy.CONFIGURATION)
    found |= dict.fromkeys([*(queue.name for queue in feeders), *topics], FoundBy.TOPOLOGY)
    stem = strip_dead_suffix(name)
    if not found and stem in queues and stem is not None:
        found[stem] = FoundBy.NAME
    return tuple(Origin(origin, found[origin]) for origin in sorted(found))


def _find_problems(queue: Queue, feeders: Iterable[Queue]) -> tuple[Problem, ...]:
    problems = set()
    for source in feeders:
        # A FIFO queue gives a moved message a new enqueue time, and so the whole retention of the dead-letter queue.
        if not source.fifo and queue.retention <= source.retention:
            problems.add(Problem.RETENTION_TOO_SHORT)
        if not queue.allow.allows(source.arn):
            problems.add(Problem.NOT_ALLOWED)
    return tuple(sorted(problems))


def _longest_carried(feeders: Iterable[Queue]) -> float:
    return max((source.retention for source in feeders if not source.fifo), default=0.0)


def _judge_source(queue: Queue, role: Role, missing: Set[str]) -> tuple[Problem, ...]:
    if queue.dead_letter_arn is None:
        return (Problem.NONE_CONFIGURED,) if role is Role.WORK else ()
    if _region_of(queue.dead_letter_arn) != _region_of(queue.arn):
        return (Problem.OTHER_REGION,)
    return (Problem.TARGET_MISSING,) if queue.dead_letter_arn in missing else ()


def _judge_topic_source(source: TopicSource, missing: Set[str], queues: Mapping[str, Queue]) -> list[Problem]:
    problems = [Problem.DROPS_EVERYTHING] if source.drops_everything else []
    # What could not be read (a queue of another account, say) is not judged.
    receiving = [queues[arn] for arn in (source.delivers_to, source.target_arn) if arn and arn in queues]
    if not all(lets_in(queue.policy, queue.arn, source.topic_arn) for queue in receiving):
        problems.append(Problem.NOT_ALLOWED)
    if source.target_arn is None:
        problems.append(Problem.NONE_CONFIGURED)
    elif _region_of(source.target_arn) != _region_of(source.topic_arn):
        problems.append(Problem.OTHER_REGION)
    elif source.target_arn in missing:
        problems.append(Problem.TARGET_MISSING)
    return problems
