"""Joins what two sources say of the same queues into one set of rows, and keeps these while the queues are the same."""

from collections.abc import Mapping

import numpy as np

from monitor.brokers.rabbitmq.readings import COUNTERS, HEAD, QueueKey, Readings, align
from monitor.brokers.rabbitmq.survey import Survey
from monitor.model import Floats


class Rows:
    """The queues of a cycle. A queue that the depths do not have can still be one that lives on another node."""

    def __init__(self) -> None:
        self._keys: tuple[QueueKey, ...] = ()
        self._seen: frozenset[QueueKey] = frozenset()
        self._seen_as: tuple[QueueKey, ...] | None = None
        self._vanished: dict[QueueKey, float] = {}

    def join(self, readings: Readings, survey: Survey | None, now: float, *, own_counts: bool, fresh: bool) -> Readings:
        """Return the numbers of all queues that are known of.

        `now` is in seconds of the survey's clock. With `own_counts` the counters are those of `readings`, else the
        survey's, if there is one. What the survey has is used only while it is `fresh`.
        """
        self._note_vanished(readings.keys, now)
        keys = self._all_keys(readings.keys, survey)
        own = align(readings, keys)
        if survey is None:
            return own if own_counts else Readings(keys, _without_counters(own.columns))
        if survey.readings is readings:
            return own
        other = _as_of(align(survey.readings, keys), now - survey.taken_at) if fresh else Readings(keys, {})
        columns = dict(own.columns)
        for name in set(own.columns) | set(other.columns):
            if name not in COUNTERS:
                columns[name] = _filled(own.column(name), other.column(name))
            elif not own_counts:
                columns[name] = other.column(name)
        return Readings(keys, columns)

    def _note_vanished(self, keys: tuple[QueueKey, ...], now: float) -> None:
        if keys is self._seen_as:
            return
        seen = frozenset(keys)
        self._vanished.update(dict.fromkeys(self._seen - seen, now))
        for key in seen & self._vanished.keys():
            del self._vanished[key]
        self._seen, self._seen_as = seen, keys

    def _all_keys(self, keys: tuple[QueueKey, ...], survey: Survey | None) -> tuple[QueueKey, ...]:
        if survey is None:
            self._vanished.clear()
        else:
            # A survey from before a queue vanished is no evidence that it lives on elsewhere.
            known = frozenset(survey.readings.keys)
            self._vanished = {k: at for k, at in self._vanished.items() if at >= survey.taken_at and k in known}
            further = [k for k in survey.readings.keys if k not in self._seen and k not in self._vanished]
            keys = tuple(sorted((*keys, *further))) if further else keys
        if keys != self._keys:
            self._keys = keys
        return self._keys


def _as_of(readings: Readings, seconds: float) -> Readings:
    """Return readings that are so many seconds old, their timestamps moved so that ages are as they were then.

    What was first in the queue then may have gone meanwhile: its timestamp would make the next one look too old.
    """
    return Readings(readings.keys, {**readings.columns, HEAD: readings.column(HEAD) + seconds})


def _without_counters(columns: Mapping[str, Floats]) -> dict[str, Floats]:
    return {name: values for name, values in columns.items() if name not in COUNTERS}


def _filled(values: Floats, others: Floats) -> Floats:
    return np.where(np.isnan(values), others, values)
