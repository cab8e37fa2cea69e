"""Which queues hold dead letters, whose, and which only make messages wait before another try. Pure.

A queue's dead-letter exchange (argument before policy) is followed through its bindings to queues: these are its
*targets*. What a target is for then follows, in this order:

1. Configured as a dead-letter queue: dead letters.
2. Named `-retry-N`: retry.
3. On a cycle, so that its messages come back to where they were: a queue whose messages expire, or whose name ends in
   `retry`, is a retry queue, unless every queue of the cycle is such; then, and where none is, those are retry queues
   that nothing but dead-lettering feeds and that never had a consumer. If that would leave no work queue at all, all
   are work queues: nothing is hidden on a guess. A queue named as dead, whose messages do not expire, stays one: its
   way back is taken by hand.
4. A target of another kind holds dead letters, unless all its sources are *waiting rooms*: queues where messages wait
   for their time to live and then move on to the queue where the work is done (delayed delivery). Those are retry
   queues, and their target is a work queue.
5. Not a target, but named as dead: dead letters that the application itself puts there.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from monitor.brokers.naming import is_dead_by_name, is_retry_by_name, is_retry_on_cycle, strip_dead_suffix
from monitor.brokers.rabbitmq.facts import QueueFacts, Routes, by_key
from monitor.brokers.rabbitmq.readings import QueueKey, label_of
from monitor.brokers.rabbitmq.routing import Keys, Router, RoutingKey, keys_of
from monitor.model import FoundBy, Origin, Problem, Role

DEFAULT_EXCHANGE = "amq.default"
"""How the default exchange, which has no name, is shown; the management API takes it for an alias as well."""

_STREAM = "stream"
_DROPS = "drop-head"
_WAITING_NAME = re.compile(r"(^|[.\-_/])(retry|retries|delay|delayed|wait|waiting|hold)([.\-_/]|\d|$)", re.IGNORECASE)
_MILLISECONDS = 1000.0
_AGE = re.compile(r"(\d+)([YMDhms])")
_AGE_SECONDS = {"Y": 31_536_000, "M": 2_592_000, "D": 86_400, "h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True, slots=True)
class Configured:
    """What the configuration says of a dead-letter queue that discovery cannot know. Names as in labels."""

    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """A queue with dead letters, or a queue whose dead letters have nowhere to go (`role` of it is not DEAD_LETTER)."""

    found_by: FoundBy
    origins: tuple[Origin, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Topology:
    """What each queue is for. `targets` are where its dead letters go, `dead_letters` what is said of the queue."""

    roles: Mapping[QueueKey, Role] = field(default_factory=dict)
    targets: Mapping[QueueKey, frozenset[QueueKey]] = field(default_factory=dict)
    dead_letters: Mapping[QueueKey, DeadLetters] = field(default_factory=dict)

    def sources_of(self, key: QueueKey) -> frozenset[QueueKey]:
        """Return the queues whose dead letters go to this one."""
        return frozenset(source for source, targets in self.targets.items() if key in targets)


def dead_letter_exchange(queue: QueueFacts) -> str | None:
    """Return the exchange that a queue's dead letters go to; None when they are dropped. Streams have none."""
    found = queue.chosen("dead-letter-exchange")
    return found if isinstance(found, str) and queue.type != _STREAM else None


def message_ttl(queue: QueueFacts) -> float | None:
    """Return after how many seconds the queue's messages expire; for a stream, the age at which they are removed."""
    if queue.type == _STREAM:
        return _stream_age(queue.chosen("max-age"))
    found = queue.least("message-ttl")
    return None if found is None else found / _MILLISECONDS


def _stream_age(text: object) -> float | None:
    parts = _AGE.fullmatch(text) if isinstance(text, str) else None
    return float(int(parts[1]) * _AGE_SECONDS[parts[2]]) if parts else None


def resolve(
    queues: Sequence[QueueFacts],
    routes: Routes,
    configured: Mapping[QueueKey, Configured],
    consumed: Collection[QueueKey] = frozenset(),
) -> Topology:
    """Work out what each queue is for.

    `configured` are the dead-letter queues that the configuration names, `consumed` the queues that have ever been seen
    with a consumer: a queue that loses its consumers does not thereby become something else.
    """
    return _Resolution(queues, routes, configured, consumed).topology()


class _Resolution:
    def __init__(
        self,
        queues: Sequence[QueueFacts],
        routes: Routes,
        configured: Mapping[QueueKey, Configured],
        consumed: Collection[QueueKey],
    ) -> None:
        self._queues, self._configured, self._consumed = by_key(queues), configured, consumed
        self._router = Router(self._queues, routes)
        self._types = {(exchange.vhost, exchange.name): exchange.type for exchange in routes.exchanges}
        self._feeding = defaultdict(list)
        for binding in routes.bindings:
            if binding.to_queue:
                self._feeding[binding.vhost, binding.destination].append(binding)
        self._missing: set[QueueKey] = set()
        self._targets = {key: self._targets_of(queue) for key, queue in self._queues.items()}
        self._sources: dict[QueueKey, set[QueueKey]] = defaultdict(set)
        for source, targets in self._targets.items():
            for target in targets - {source}:
                self._sources[target].add(source)

    def topology(self) -> Topology:
        roles: dict[QueueKey, Role] = {}
        for members in cycles(self._targets):
            roles.update(self._roles_on_cycle(members))
        roles.update({key: self._role_off_cycle(key) for key in self._queues if key not in roles})
        return Topology(roles, self._targets, self._dead_letters(roles))

    # where dead letters go

    def _targets_of(self, queue: QueueFacts) -> frozenset[QueueKey]:
        exchange = dead_letter_exchange(queue)
        if exchange is None:
            return frozenset()
        vhost = queue.key[0]
        exchange = "" if exchange == DEFAULT_EXCHANGE else exchange
        chosen = queue.chosen("dead-letter-routing-key")
        keys: Keys = frozenset({RoutingKey(chosen)}) if isinstance(chosen, str) else self._keys_of(queue.key)
        found = self._router.queues_behind(vhost, exchange, keys)
        if not found and not isinstance(chosen, str) and exchange:
            # Messages keep their own routing keys, and not all of these can be known from here.
            found = self._router.queues_behind(vhost, exchange, None)
        if not found and (exchange or isinstance(chosen, str)):
            self._missing.add(queue.key)
        return found

    def _keys_of(self, key: QueueKey) -> Keys:
        known = keys_of(self._feeding[key], self._types)
        # by way of the default exchange every queue is fed under its own name
        return None if known is None else known | {RoutingKey(key[1])}

    # what queues are for

    def _roles_on_cycle(self, members: frozenset[QueueKey]) -> dict[QueueKey, Role]:
        dead = {key for key in members if key in self._configured or (self._named_dead(key) and not self._waits(key))}
        retry = {key for key in members - dead if is_retry_on_cycle(key[1])}
        others = members - dead - retry
        waiting = {key for key in others if self._waits(key)}
        if waiting == others or not (waiting or retry):
            waiting = {key for key in others if self._only_dead_lettered_into(key)}
        if waiting == others:
            waiting = set()
        roles = dict.fromkeys(members, Role.WORK)
        return roles | dict.fromkeys(retry | waiting, Role.RETRY) | dict.fromkeys(dead, Role.DEAD_LETTER)

    def _role_off_cycle(self, key: QueueKey) -> Role:
        if key in self._configured:
            return Role.DEAD_LETTER
        if is_retry_by_name(key[1]):
            return Role.RETRY
        if self._named_dead(key):
            return Role.DEAD_LETTER
        sources = self._sources[key]
        if sources and not all(self._is_waiting_room(source, key) for source in sources):
            return Role.DEAD_LETTER
        if any(self._is_waiting_room(key, target) for target in self._targets[key] - {key}):
            return Role.RETRY
        return Role.WORK

    def _waits(self, key: QueueKey) -> bool:
        return message_ttl(self._queues[key]) is not None

    def _named_dead(self, key: QueueKey) -> bool:
        return key in self._configured or is_dead_by_name(key[1])

    def _only_dead_lettered_into(self, key: QueueKey) -> bool:
        exchanges = {dead_letter_exchange(self._queues[source]) for source in self._sources[key]}
        fed_otherwise = any(binding.source not in exchanges for binding in self._feeding[key])
        return not fed_otherwise and key not in self._consumed

    def _is_waiting_room(self, key: QueueKey, target: QueueKey) -> bool:
        if not self._waits(key) or key in self._consumed or self._named_dead(target):
            return False
        if _WAITING_NAME.search(key[1]):
            return True
        return target in self._consumed or dead_letter_exchange(self._queues[target]) is not None

    # what is said of them

    def _dead_letters(self, roles: Mapping[QueueKey, Role]) -> dict[QueueKey, DeadLetters]:
        found = {}
        for key, queue in self._queues.items():
            problems = self._problems(queue, roles[key])
            if roles[key] is Role.DEAD_LETTER:
                found[key] = DeadLetters(self._found_by(key), self._origins(key), problems)
            elif problems:
                found[key] = DeadLetters(FoundBy.TOPOLOGY, (Origin(label_of(key), FoundBy.TOPOLOGY),), problems)
        return found

    def _found_by(self, key: QueueKey) -> FoundBy:
        if self._sources[key]:
            return FoundBy.TOPOLOGY
        return FoundBy.CONFIGURATION if key in self._configured else FoundBy.NAME

    def _origins(self, key: QueueKey) -> tuple[Origin, ...]:
        origins = {label_of(source): FoundBy.TOPOLOGY for source in sorted(self._sources[key])}
        if key in self._configured:
            for name in self._configured[key].origins:
                origins.setdefault(name, FoundBy.CONFIGURATION)
        stem = strip_dead_suffix(key[1])
        if not origins and stem is not None and (key[0], stem) in self._queues:
            origins[label_of((key[0], stem))] = FoundBy.NAME
        return tuple(Origin(name, found_by) for name, found_by in origins.items())

    def _problems(self, queue: QueueFacts, role: Role) -> tuple[Problem, ...]:
        if queue.key in self._missing:
            return (Problem.TARGET_MISSING,)
        if role is Role.DEAD_LETTER:
            return (Problem.RETENTION_TOO_SHORT,) if self._expires_before_its_sources(queue) else ()
        lasting = queue.durable and not queue.temporary and queue.type != _STREAM and queue.definition is not None
        nowhere = lasting and role is Role.WORK and dead_letter_exchange(queue) is None
        return (Problem.NONE_CONFIGURED,) if nowhere else ()

    def _expires_before_its_sources(self, queue: QueueFacts) -> bool:
        own = message_ttl(queue)
        if own is None:
            return False
        return any(
            theirs is not None and own <= theirs
            for theirs in (message_ttl(self._queues[source]) for source in self._sources[queue.key])
        )


def cycles(targets: Mapping[QueueKey, frozenset[QueueKey]]) -> list[frozenset[QueueKey]]:
    """Return the sets of two and more queues that can all be reached from one another (Kosaraju's algorithm)."""
    backwards: dict[QueueKey, list[QueueKey]] = defaultdict(list)
    for source, reached in targets.items():
        for target in reached:
            backwards[target].append(source)
    seen: set[QueueKey] = set()
    order = [key for root in targets if targets[root] for key in _reach(root, targets, seen)]
    seen = set()
    found = [frozenset(_reach(root, backwards, seen)) for root in reversed(order)]
    return [members for members in found if len(members) > 1]


def _reach(root: QueueKey, ahead: Mapping[QueueKey, Iterable[QueueKey]], seen: set[QueueKey]) -> list[QueueKey]:
    """Return what can be reached and was not `seen`, each after all that it leads to."""
    if root in seen:
        return []
    seen.add(root)
    done: list[QueueKey] = []
    walk = [(root, iter(ahead.get(root, ())))]
    while walk:
        following = walk[-1][1]
        new = next((other for other in following if other not in seen), None)
        if new is None:
            done.append(walk.pop()[0])
        else:
            seen.add(new)
            walk.append((new, iter(ahead.get(new, ()))))
    return done
