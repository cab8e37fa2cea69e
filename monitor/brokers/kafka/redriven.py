"""What has been redriven from the dead-letter topics, for the collector: it still lies there, and no longer waits."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from monitor.brokers.kafka.ages import Sound
from monitor.brokers.kafka.client import KafkaClient
from monitor.brokers.kafka.intervals import Intervals
from monitor.brokers.kafka.ledger import Ledger, gone_before
from monitor.brokers.kafka.problems import Problems
from monitor.clock import Clock
from monitor.errors import BrokerError
from monitor.letters import LEDGER_TOPIC
from monitor.model import Floats, Ids

_CLOSE_ENOUGH_SECONDS = 1.0
_MOST_LOOKS = 24

Gone = Mapping[tuple[str, int], Intervals]
"""By topic and partition: the offsets that no longer wait."""


class Redriven:
    """Reads the ledger of one cluster, which most clusters do not have.

    It names all that the cursors do: to ask the groups for these through the admin API is not safe, see `KafkaClient`.
    """

    def __init__(self, client: KafkaClient, settings: Mapping[str, Any], clock: Clock) -> None:
        self._clock = clock
        self._ledger = Ledger(client, settings, clock)

    def read(self, topics: Collection[str], dead: Mapping[str, str | None], seconds: float, problems: Problems) -> Gone:
        """Return what is gone of the dead-letter topics (name to topic id). What cannot be read stays as it was.

        `topics` are all that there are: without a ledger among them nothing is asked.
        """
        if LEDGER_TOPIC not in topics:
            return {}
        try:
            self._ledger.refresh(self._clock.monotonic() + seconds)
        except BrokerError as error:
            problems.add(error, "the ledger of redrives")
        return {
            (topic, number): gone_before(None, rows)
            for topic, topic_id in dead.items()
            for number, rows in self._ledger.rows(topic, topic_id).items()
        }

    def close(self) -> None:
        """Let go of the connection."""
        self._ledger.close()


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
