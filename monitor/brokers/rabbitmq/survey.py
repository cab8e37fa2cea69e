"""What the management API knows, read at a pace of its own beside the cycles.

A full list of queues with their statistics costs the broker a second and more, the depths a twentieth of that. So it is
read by a thread that cycles look in on: in a small cluster it is done within the cycle, in a large one its result is
taken by the next. The costlier it is, the rarer it is taken, but at least once in `_SLOWEST` seconds, and at once when
a queue appears that it does not know.
"""

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from monitor.brokers.rabbitmq.dead_letters import resolve
from monitor.brokers.rabbitmq.facts import NodeFacts, QueueFacts, Routes, by_key
from monitor.brokers.rabbitmq.management_source import ManagementSource, Overview
from monitor.brokers.rabbitmq.policies import with_policies
from monitor.brokers.rabbitmq.readings import QueueKey, Readings
from monitor.clock import Clock
from monitor.errors import BadAnswer, BrokerError, Forbidden, TimedOut

_PATIENCE = 0.25  # seconds of a cycle that may be spent on waiting for a result that is not needed at once
_EAGER_SHARE, _SHARE = 0.2, 0.02  # of the time that the API may be kept busy: for numbers, and without need of any
_SLOWEST = 30.0
# How long one may take: a request that was lost on the way must not keep the next one waiting, nor must a cluster that
# has become slow never be read.
_LONGEST, _SHORTEST = 60.0, 10.0
_TIMES_LONGER, _MORE_PATIENCE = 5.0, 1.5
_MOST_SOURCES = 20  # of one queue that are asked for one by one
_MARGIN = 0.9  # what does not come is told before the deadline


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """One reading of the management API. `taken_at` is when it began, in seconds of `Clock.monotonic`.

    `nodes` is None when this user may not see them, `blocked` counts the connections that wait to publish because of an
    alarm and is None where that is not known, `policies_seen` False when policies are hidden from this user and
    from the list of queues.
    """

    taken_at: float
    overview: Overview
    queues: tuple[QueueFacts, ...]
    readings: Readings
    routes: Routes
    routes_at: float
    nodes: tuple[NodeFacts, ...] | None
    blocked: float | None = None

    @property
    def node_names(self) -> frozenset[str]:
        """Return the nodes that are known of, be it only as the home of a queue."""
        homes = {queue.node for queue in self.queues if queue.node}
        return frozenset(homes | {node.name for node in self.nodes or ()})

    @property
    def policies_seen(self) -> bool:
        """Say whether it is known of every queue what its policies define."""
        return all(queue.definition is not None for queue in self.queues)


class Surveyor:
    """Keeps the latest `survey`. For one thread, that of the cycles; the reading itself is done by another.

    `failure` is what went wrong the last time, None after a success.
    """

    def __init__(self, source: ManagementSource, clock: Clock) -> None:
        self._source, self._clock = source, clock
        self._task: _Task | None = None
        self.survey: Survey | None = None
        self._keys: Collection[QueueKey] = ()
        self._missed: frozenset[QueueKey] = frozenset()
        self._ended, self._cost, self._longest = 0.0, 0.0, _LONGEST
        self.failure: BrokerError | None = None

    def latest(self, keys: Collection[QueueKey], deadline: float, *, eager: bool) -> Survey | None:
        """Return the latest survey, after waiting for a newer one as long as that is worth; None while there is none.

        `keys` are the queues that the cycle has seen, `eager` asks for numbers as fresh as the pace allows.
        """
        now = self._clock.monotonic()
        changed, self._keys = keys is not self._keys, keys
        if self.failure is None and self._lacks(keys):
            self._bring(now + (deadline - now) / 2, begun_after=now)
            self._missed = self._unknown(keys)
        elif self._task is not None or changed or self._due(now, eager):
            patience = _PATIENCE if self._cost <= _PATIENCE else 0.0  # else it would be waited for in vain each time
            self._bring(min(now + patience, deadline), begun_after=None)
        return self.survey

    def fresh(self, deadline: float) -> Survey:
        """Return a survey that is begun now. Raises BrokerError."""
        now = self._clock.monotonic()
        self._bring(now + (deadline - now) * _MARGIN, begun_after=now)
        if self.failure is not None:
            raise self.failure
        if self.survey is None or self._task is not None:
            raise TimedOut("no answer before the deadline", target=self._source.target)
        return self.survey

    def _lacks(self, keys: Collection[QueueKey]) -> bool:
        # What was waited for once and not found (this user does not see its virtual host) is not waited for again.
        return self.survey is None or not self._unknown(keys) <= self._missed

    def _unknown(self, keys: Collection[QueueKey]) -> frozenset[QueueKey]:
        return frozenset(keys).difference(self.survey.readings.keys if self.survey else ())

    def _due(self, now: float, eager: bool) -> bool:
        return now >= self._ended + pause_after(self._cost, eager=eager)

    def _bring(self, until: float, *, begun_after: float | None) -> None:
        """Wait for a survey, which must have begun after a point in time if one is given."""
        while True:
            task = self._task = self._task or _Task(self._source, self._clock, self._longest, self.survey)
            if not task.done.wait(max(0.0, until - self._clock.monotonic())):
                return
            self._task = None
            self._ended, self.failure = self._clock.monotonic(), task.failure
            if task.failure is None:
                self._cost = task.cost
                self._longest = min(max(_TIMES_LONGER * task.cost, _SHORTEST), _LONGEST)
            else:
                self._longest = min(_MORE_PATIENCE * self._longest, _LONGEST)
            self.survey = task.result or self.survey
            if task.failure is not None or begun_after is None or task.began >= begun_after:
                return


class _Task:
    """One reading under way in a thread of its own. `result` or `failure` is there once `done` is set."""

    def __init__(self, source: ManagementSource, clock: Clock, longest: float, previous: Survey | None) -> None:
        self._source, self._clock, self._longest, self._previous = source, clock, longest, previous
        self.began, self.cost = clock.monotonic(), 0.0
        self.result: Survey | None = None
        self.failure: BrokerError | None = None
        self.done = threading.Event()
        # A thread that waits for a broker must not keep the process from ending.
        threading.Thread(target=self._run, name="rabbitmq-survey", daemon=True).start()

    def _run(self) -> None:
        try:
            self.result = take_survey(self._source, self.began, self.began + self._longest, self._previous)
        except BrokerError as error:
            self.failure = error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.failure = BadAnswer(f"an answer lacks what it should have ({error!r})", target=self._source.target)
        finally:
            self.cost = self._clock.monotonic() - self.began
            self.done.set()


def pause_after(cost: float, *, eager: bool) -> float:
    """Return how many seconds the API is left alone after a survey that took `cost` seconds."""
    share = _EAGER_SHARE if eager else _SHARE
    return min(cost * (1 / share - 1), _SLOWEST)


def take_survey(source: ManagementSource, began: float, deadline: float, previous: Survey | None) -> Survey:
    """Read everything. Exchanges and bindings are read again when queues have changed, or once they are old.

    Raises BrokerError.
    """
    overview = source.read_overview(deadline)
    listing = source.read_queues(deadline, overview)
    queues = listing.queues
    if any(queue.definition is None for queue in queues):
        policies = source.read_policies(deadline)
        if policies is not None:
            operators = source.read_operator_policies(deadline)
            queues = tuple(with_policies(queue, policies, operators) for queue in queues)
    if previous is not None and queues == previous.queues:
        queues = previous.queues  # so that all that is derived from them can stay
    routes, routes_at = (previous.routes, previous.routes_at) if previous else (Routes(), 0.0)
    if previous is None or queues is not previous.queues or began >= routes_at + _SLOWEST:
        found = source.read_routes(deadline)
        routes, routes_at = routes if found == routes else found, began
    nodes = _nodes(source, deadline)
    blocked = _count_blocked(source, nodes, deadline)
    return Survey(began, overview, queues, listing.readings, routes, routes_at, nodes, blocked)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What can have to do with one queue: the queues and routes of its virtual host, and queues that were asked for.

    `consumed` are those of its sources, and of what was asked for, that have consumers. `nodes` as in `Survey`.
    """

    queues: Mapping[QueueKey, QueueFacts]
    routes: Routes
    consumed: frozenset[QueueKey]
    nodes: tuple[NodeFacts, ...] | None


def look_around(source: ManagementSource, key: QueueKey, others: Collection[QueueKey], deadline: float) -> Surroundings:
    """Read what can have to do with a queue, and `others` by name. Raises BrokerError.

    Only one list is as long as there are queues, that of the names and arguments in one virtual host: nothing else
    tells all sources of a dead-letter queue, and a plan must not take some for all.
    """
    policies = source.read_policies(deadline)
    queues = by_key(source.read_queues_of(key[0], deadline, frugal=policies is not None))
    if policies is not None:
        operators = source.read_operator_policies(deadline)
        queues = {name: with_policies(queue, policies, operators) for name, queue in queues.items()}
    routes = source.read_routes_of(key[0], deadline)
    sources = resolve(tuple(queues.values()), routes, {}).sources_of(key)
    found = [source.read_queue(name, deadline) for name in {key, *sorted(sources)[:_MOST_SOURCES], *others}]
    consumed = frozenset(queue.key for queue, is_consumed in filter(None, found) if is_consumed)
    # What the broker says of a queue's policies goes before what follows from their patterns.
    queues |= {queue.key: queue for queue, _ in filter(None, found) if queue.definition is not None}
    return Surroundings(queues, routes, consumed, _nodes(source, deadline))


def _nodes(source: ManagementSource, deadline: float) -> tuple[NodeFacts, ...] | None:
    try:
        return source.read_nodes(deadline)
    except Forbidden:
        return None


def _count_blocked(source: ManagementSource, nodes: tuple[NodeFacts, ...] | None, deadline: float) -> float | None:
    """Count blocked publishers. Without an alarm there are none, and nobody need be asked."""
    if nodes is None:
        return None  # and connections of others are hidden from this user as well
    return source.count_blocked(deadline) if alarms_of(nodes) else 0.0


def alarms_of(nodes: Iterable[NodeFacts]) -> list[str]:
    """Return the alarms that are on, in words."""
    return [f"{alarm} alarm of {node.name}" for node in nodes for alarm, on in node.alarms.items() if on]
