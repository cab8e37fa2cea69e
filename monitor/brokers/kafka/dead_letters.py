"""Dead-letter topics: how many records they hold, how old the oldest is, when it will be deleted, what has arrived."""

from collections.abc import Mapping, Sequence

import numpy as np

from monitor.brokers.kafka.ages import NOTHING_WAITS, Sound
from monitor.brokers.kafka.facts import TopicFacts
from monitor.brokers.kafka.memory import Memory
from monitor.brokers.kafka.metadata import Partitions
from monitor.brokers.kafka.offsets import Logs
from monitor.brokers.kafka.redriven import Gone, date_offsets
from monitor.brokers.naming import is_dead_by_name, strip_dead_suffix
from monitor.config import DeadLetterMapping, origins_by_place
from monitor.model import Age, AgeMethod, DeadLetterQueue, Floats, FoundBy, Ids, Origin, Problem, System, encode_id


class DeadLetterTopics:
    """The dead-letter topics of one cluster, found by name or by configuration, from cycle to cycle.

    Messages are the records from the log's start to its last stable offset, less what has been redriven: Kafka keeps
    what was read. Gaps and transaction markers among them are counted, so that the number is an upper bound.
    """

    def __init__(self, cluster: str, mappings: Sequence[DeadLetterMapping]) -> None:
        self._cluster = cluster
        self._mapped: Mapping[str, tuple[str, ...]] = {
            topic: origins for (topic, *_), origins in origins_by_place(cluster, mappings).items()
        }
        self._first = Memory(start=np.nan, stamp=np.nan, low=np.nan, waiting=np.nan)
        self._arrivals: dict[int, float] = {}

    def names(self, topics: Sequence[str]) -> list[str]:
        """Return those of the topics that hold dead letters."""
        return [name for name in topics if name in self._mapped or is_dead_by_name(name)]

    def read(
        self,
        partitions: Partitions,
        logs: Logs,
        published: Floats,
        facts: TopicFacts,
        gone: Gone,
        now: float,
        sound: Sound,
    ) -> tuple[DeadLetterQueue, ...]:
        """Return every dead-letter topic.

        `published` is by how much each slot's end has moved since the last cycle, `gone` what has been redriven.
        """
        topics = [t for t, name in enumerate(partitions.topics) if name in self._mapped or is_dead_by_name(name)]
        bounds = [(int(partitions.first[t]), int(partitions.first[t + 1])) for t in topics]
        slots = np.concatenate([np.empty(0, dtype=np.int64), *(np.arange(a, b) for a, b in bounds)])
        self._first.align(partitions.keys[slots])
        stamps = np.full(len(partitions), np.nan)
        stamps[slots] = self._first_stamps(slots, logs, sound)
        depths = logs.stable - logs.start
        self._leave_out(partitions, slots, logs, gone, depths, stamps, now, sound)
        known = self._arrivals
        self._arrivals = {}
        queues = []
        for topic, (begin, end) in zip(topics, bounds, strict=True):
            code = int(partitions.codes[topic])
            self._arrivals[code] = known.get(code, 0.0) + float(published[begin:end].sum())
            depth = depths[begin:end]
            queues.append(self._queue(partitions, topic, depth, stamps[begin:end], facts, self._arrivals[code], now))
        return tuple(queues)

    def _first_stamps(self, slots: Ids, logs: Logs, sound: Sound) -> Floats:
        """Return the time of the first record of each slot; it is asked for when the log's start has moved."""
        first, start = self._first, logs.start[slots]
        holds = logs.stable[slots] > start
        ask = np.flatnonzero(holds & ((first["start"] != start) | np.isnan(first["stamp"])))
        if len(ask):
            _, stamps = sound(slots[ask], np.zeros(len(ask)))
            first["start"][ask], first["stamp"][ask] = start[ask], stamps
        return np.where(holds, first["stamp"], np.nan)

    def _leave_out(
        self,
        partitions: Partitions,
        slots: Ids,
        logs: Logs,
        gone: Gone,
        depths: Floats,
        stamps: Floats,
        now: float,
        sound: Sound,
    ) -> None:
        """Take what was redriven out of the depths, and let the times be those of what still waits."""
        first, moved = self._first, []
        for place, (slot, named) in enumerate(zip(slots.tolist(), partitions.named(slots), strict=True)):
            start, stable = logs.start[slot], logs.stable[slot]
            redriven = gone.get(named)
            # A cursor beyond the log belongs to a topic of this name that has been deleted.
            if redriven is None or not stable > start or redriven.after(int(start)) > stable:
                continue
            depths[slot] -= redriven.count(int(start), int(stable))
            low = redriven.after(int(start))
            if low == stable:
                stamps[slot] = np.nan
            elif low > start:
                moved.append(place)
                if first["low"][place] != low:
                    first["low"][place], first["waiting"][place] = low, np.nan
        again = np.array(moved, dtype=np.int64)
        ask = again[np.isnan(first["waiting"][again]) & np.isfinite(stamps[slots[again]])]
        if len(ask):
            first["waiting"][ask] = date_offsets(slots[ask], first["low"][ask], stamps[slots[ask]], now, sound)
        stamps[slots[again]] = first["waiting"][again]

    def _queue(
        self,
        partitions: Partitions,
        topic: int,
        depth: Floats,
        stamps: Floats,
        facts: TopicFacts,
        arrivals: float,
        now: float,
    ) -> DeadLetterQueue:
        name = partitions.topics[topic]
        retention, origins = facts.of(name).retention_seconds, self._origins(name, frozenset(partitions.topics))
        earliest = float(np.nanmin(stamps)) if np.isfinite(stamps).any() else None
        messages = None if np.isnan(depth).any() else float(depth.sum())
        return DeadLetterQueue(
            id=encode_id(self._cluster, name),
            system=System.KAFKA,
            cluster=self._cluster,
            queue=name,
            found_by=FoundBy.CONFIGURATION if name in self._mapped else FoundBy.NAME,
            messages=messages,
            oldest_age=_age(messages, depth, stamps, now),
            retention_seconds=retention,
            expires_at=None if earliest is None or retention is None else earliest + retention,
            arrivals_total=arrivals,
            origins=origins,
            problems=_problems(retention, [facts.of(it.name).retention_seconds for it in origins]),
            scope={"topic": name},
        )

    def _origins(self, name: str, topics: frozenset[str]) -> tuple[Origin, ...]:
        if name in self._mapped:
            return tuple(Origin(origin, FoundBy.CONFIGURATION) for origin in self._mapped[name])
        origin = strip_dead_suffix(name)
        return (Origin(origin, FoundBy.NAME),) if origin in topics and origin is not None else ()


def _problems(retention: float | None, of_origins: Sequence[float | None]) -> tuple[Problem, ...]:
    """Return what is wrong with the set-up: what died would be gone before the records around it.

    A topic that keeps records for ever is left out; what is compacted says nothing of how long its events matter.
    """
    is_shorter = retention is not None and any(it is not None and retention < it for it in of_origins)
    return (Problem.RETENTION_TOO_SHORT,) if is_shorter else ()


def _age(messages: float | None, depth: Floats, stamps: Floats, now: float) -> Age:
    if messages == 0:
        return NOTHING_WAITS
    if not np.isfinite(stamps).any():
        return Age.unknown()
    told_all = bool(np.isfinite(stamps[~(depth == 0)]).all())
    return Age(max(0.0, now - float(np.nanmin(stamps))), AgeMethod.EXACT if told_all else AgeMethod.LOWER_BOUND)
