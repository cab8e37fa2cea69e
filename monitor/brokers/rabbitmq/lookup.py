"""What each queue is and is for, worked out again only when something of that has changed."""

from collections.abc import Mapping, Sequence

import numpy as np

from monitor.brokers.rabbitmq.dead_letters import Configured, Topology, resolve
from monitor.brokers.rabbitmq.facts import QueueFacts, Routes, by_key
from monitor.brokers.rabbitmq.readings import CONSUMERS, QueueKey, Readings
from monitor.brokers.rabbitmq.survey import Survey
from monitor.config import DeadLetterMapping, origins_by_place

UNKNOWN_TYPE = "unknown"


class Lookup:
    """Keeps facts and topology; both stay the same objects while nothing changes."""

    def __init__(self, cluster: str, mappings: Sequence[DeadLetterMapping]) -> None:
        self._cluster, self._mappings = cluster, mappings
        self._consumed: frozenset[QueueKey] = frozenset()
        self._basis: tuple[object, ...] = ()
        self._facts: Mapping[QueueKey, QueueFacts] = {}
        self._topology = Topology()

    def see(
        self, readings: Readings, survey: Survey | None, types: Mapping[QueueKey, str]
    ) -> tuple[Mapping[QueueKey, QueueFacts], Topology]:
        """Return what the queues of `readings` are. `types` are what is known of them without a survey."""
        self._note_consumers(readings)
        queues, routes = (survey.queues, survey.routes) if survey else ((), Routes())
        basis = (readings.keys, queues, routes, types, self._consumed)
        if len(basis) != len(self._basis) or any(a is not b for a, b in zip(basis, self._basis, strict=True)):
            self._basis = basis
            known = by_key(queues)
            self._facts = {key: known.get(key) or _unknown(key, types) for key in readings.keys}
            configured = configured_queues(self._cluster, self._mappings, readings.keys)
            self._topology = resolve(list(self._facts.values()), routes, configured, self._consumed)
        return self._facts, self._topology

    def _note_consumers(self, readings: Readings) -> None:
        keys = readings.keys
        consumed = {keys[row] for row in np.flatnonzero(readings.column(CONSUMERS) > 0).tolist()}
        if not consumed <= self._consumed:
            self._consumed = (self._consumed | consumed) & frozenset(keys)


def configured_queues(
    cluster: str, mappings: Sequence[DeadLetterMapping], keys: Sequence[QueueKey]
) -> dict[QueueKey, Configured]:
    """Return which queues the configuration calls dead-letter queues."""
    mapped = origins_by_place(cluster, mappings)
    places = {key: key[1:] if key[0] == "/" else key for key in keys} if mapped else {}
    return {key: Configured(mapped[place]) for key, place in places.items() if place in mapped}


def _unknown(key: QueueKey, types: Mapping[QueueKey, str]) -> QueueFacts:
    # nothing is said of the set-up of a queue whose set-up cannot be seen
    return QueueFacts(key, types.get(key, UNKNOWN_TYPE), definition=None)
