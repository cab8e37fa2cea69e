"""What has been redriven from the dead-letter topics, for the collector: it still lies there, and no longer waits."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from confluent_kafka import TopicPartition

from monitor.brokers.kafka.ages import Sound
from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.intervals import Intervals
from monitor.brokers.kafka.ledger import Ledger, gone_before, group_of
from monitor.brokers.kafka.problems import Problems
from monitor.clock import Clock
from monitor.errors import BrokerError
from monitor.letters import GROUP_PREFIX, LEDGER_TOPIC
from monitor.model import Floats, Ids

_CLOSE_ENOUGH_SECONDS = 1.0
_MOST_LOOKS = 24

Gone = Mapping[tuple[str, int], Intervals]
"""By topic and partition: the offsets that no longer wait."""


class Redriven:
    """Reads the cursors and the ledger of one cluster, of which most clusters have none."""

    def __init__(self, client: KafkaClient, settings: Mapping[str, Any], clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._ledger = Ledger(settings, clock)
        self._groups: frozenset[str] = frozenset()
        self._has_ledger = False
        self._known: dict[tuple[str, int], Intervals] = {}

    def note(self, topics: Sequence[str], groups: Sequence[str] | None) -> None:
        """Take note of what there is on the cluster, so that nothing is asked where nothing was redriven."""
        self._has_ledger = LEDGER_TOPIC in topics
        if groups is not None:
            self._groups = frozenset(group for group in groups if group.startswith(GROUP_PREFIX))

    def read(self, topics: Mapping[str, str | None], seconds: float, problems: Problems) -> Gone:
        """Return what is gone of these topics (name to topic id). What cannot be read stays as it was.

        The ledger comes first: its ranges are taken out when the cursor has passed them, never the other way about.
        """
        asked = {group_of(topic): topic for topic in topics if group_of(topic) in self._groups}
        if not asked and not self._has_ledger:
            return {}
        deadline = self._clock.monotonic() + seconds
        if self._has_ledger:
            try:
                self._ledger.refresh(deadline)
            except BrokerError as error:
                problems.add(error, "the ledger of redrives")
        cursors = self._read_cursors(asked, seconds, problems)
        gone: dict[tuple[str, int], Intervals] = {}
        for topic, topic_id in topics.items():
            rows = self._ledger.rows(topic, topic_id)
            for number in rows.keys() | {partition for name, partition in cursors if name == topic}:
                gone[topic, number] = gone_before(cursors.get((topic, number)), rows.get(number, {}))
        return gone

    def close(self) -> None:
        """Let go of the connection."""
        self._ledger.close()

    def _read_cursors(self, asked: Mapping[str, str], seconds: float, problems: Problems) -> dict[tuple[str, int], int]:
        calls = [self._client.committed(topic, group, None) for group, topic in asked.items()]
        cursors: dict[tuple[str, int], int] = {}
        for call, result in self._client.run({0: calls}, seconds):
            if isinstance(result, BrokerError):
                problems.add(result, f"what has been redriven from {call.key}")
                continue
            found: Sequence[TopicPartition] = result
            cursors.update({(it.topic, it.partition): it.offset for it in found if it.offset >= 0})
        return cursors


def date_offsets(slots: Ids, offsets: Floats, oldest: Floats, now: float, sound: Sound) -> Floats:
    """Return about when the records at these offsets were written (Unix seconds), by the time index alone.

    Times are halved between that of the log's first record and now, until a second is left: reading the record would
    need a right that a collector does not have.
    """
    begin, end = oldest.copy(), np.full(len(slots), now)
    for _ in range(_MOST_LOOKS):
        wide = np.flatnonzero(end - begin > _CLOSE_ENOUGH_SECONDS)
        if not len(wide):
            break
        middle = (begin[wide] + end[wide]) / 2
        found, _stamps = sound(slots[wide], middle)
        later = found > offsets[wide]
        end[wide] = np.where(later, middle, end[wide])
        begin[wide] = np.where(later, begin[wide], middle)
    return begin
