"""History from a Prometheus that scrapes the monitor, by its query_range API, in the shape of the database's."""

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import httpx

from monitor.clock import Clock
from monitor.errors import StorageError
from monitor.model import ClusterView
from monitor.storage.history import (
    CLUSTER,
    DEAD_LETTERS,
    FINE_SECONDS,
    MOST_POINTS,
    SUBSCRIPTION,
    Curve,
    Point,
    moments,
    worst,
)

_TIMEOUT_SECONDS = 10.0
_LEAST_WINDOW_SECONDS = 120
_LEAST_RATE_WINDOW_SECONDS = 240
"""A rate needs two samples, and a gauge one, also where Prometheus scrapes once a minute."""

_SUBSCRIPTION_VALUES = {
    "messages": "max(max_over_time(eventflow_subscription_backlog_messages{{{labels}}}[{window}s]))",
    "oldest_age_seconds": "max(max_over_time(eventflow_subscription_oldest_age_seconds{{{labels}}}[{window}s]))",
    "published_per_second": "max(rate(eventflow_subscription_published_messages_total{{{labels}}}[{rate_window}s]))",
    "consumed_per_second": "max(rate(eventflow_subscription_consumed_messages_total{{{labels}}}[{rate_window}s]))",
    "consumers": "max(avg_over_time(eventflow_subscription_consumers{{{labels}}}[{window}s]))",
}
_STATUS = "max by (status) (max_over_time(eventflow_subscription_status{{{labels}}}[{window}s])) > 0"
_CLUSTER_VALUES = {
    name: query.replace("max(rate(", "sum(rate(") if name.endswith("second") else query.replace("max(", "sum(", 1)
    for name, query in _SUBSCRIPTION_VALUES.items()
    if name != "oldest_age_seconds"
} | {"oldest_age_seconds": _SUBSCRIPTION_VALUES["oldest_age_seconds"]}
_DEAD_LETTER_VALUES = {
    "messages": "max(max_over_time(eventflow_dead_letter_messages{{{labels}}}[{window}s]))",
    "oldest_age_seconds": "max(max_over_time(eventflow_dead_letter_oldest_age_seconds{{{labels}}}[{window}s]))",
}
_VALUES = {SUBSCRIPTION: _SUBSCRIPTION_VALUES, DEAD_LETTERS: _DEAD_LETTER_VALUES, CLUSTER: _CLUSTER_VALUES}
_EVERY = (*_SUBSCRIPTION_VALUES, "status")

Series = list[tuple[Mapping[str, str], dict[int, float]]]


class PrometheusHistory:
    """Curves from Prometheus. `kinds` tells the kind of each cluster, by which ids become labels. Thread-safe."""

    def __init__(
        self, url: str, kinds: Mapping[str, str], clock: Clock, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._kinds, self._clock = kinds, clock
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1/", timeout=_TIMEOUT_SECONDS, trust_env=False, transport=transport
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def write(self, views: Iterable[ClusterView]) -> None:
        """Do nothing: Prometheus has scraped it."""

    def read(self, subject: str, start: float, end: float, step: float | None) -> Curve:
        """Return a curve; see `history.Curves`. Raises StorageError when Prometheus cannot be asked."""
        return self.read_many([subject], start, end, step)[subject]

    def read_many(
        self, subjects: Sequence[str], start: float, end: float, step: float | None, values: Collection[str] = _EVERY
    ) -> Mapping[str, Curve]:
        """Return the curves of several subjects, one after the other; see `history.Curves`."""
        least = max(step or 0.0, (end - start) / MOST_POINTS, 1.0)
        width = int(-(-least // FINE_SECONDS)) * FINE_SECONDS
        steps = moments(int(start // width * width), end, width)
        return {subject: Curve(width, self._points(subject, steps, width, values)) for subject in subjects}

    def _points(self, subject: str, steps: range, width: int, values: Collection[str]) -> list[Point]:
        windows = {"window": max(width, _LEAST_WINDOW_SECONDS), "rate_window": max(width, _LEAST_RATE_WINDOW_SECONDS)}
        queries = next(queries for kind, queries in _VALUES.items() if subject.startswith(kind))
        given = {"labels": self._labels(subject), **windows}
        found = {
            name: _only(self._ask(query.format(**given), steps, width))
            for name, query in queries.items()
            if name in values
        }
        judged = "status" in values and not subject.startswith(DEAD_LETTERS)
        statuses = self._ask(_STATUS.format(**given), steps, width) if judged else []
        return [
            Point(at, **{name: known.get(at) for name, known in found.items()}, status=_status_at(statuses, at))
            for at in steps
        ]

    def _labels(self, subject: str) -> str:
        id_ = subject.partition(":")[2]
        cluster, *names = (unquote(part) for part in id_.split("/"))
        if subject.startswith(CLUSTER):
            labels = {"cluster": cluster}
        elif not subject.startswith(SUBSCRIPTION):
            labels = {"cluster": cluster, "queue": "/".join(names)}
        elif self._kinds.get(cluster) == "kafka" and len(names) == 2:
            labels = {"cluster": cluster, "subscriber": names[0], "destination": names[1]}
        else:
            labels = {"cluster": cluster, "subscriber": "/".join(names), "destination": "/".join(names)}
        return ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items())

    def _ask(self, query: str, steps: range, width: int) -> Series:
        if not steps:
            return []
        # A point stands for what follows it, and a window for what precedes it.
        asked = {"query": query, "start": steps[0] + width, "end": steps[-1] + width, "step": width}
        try:
            answer = self._http.post("query_range", data=asked)
            body = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise StorageError(f"Prometheus (history.prometheus_url) cannot be read: {type(error).__name__}") from error
        if not isinstance(body, dict) or body.get("status") != "success":
            told = body.get("error") if isinstance(body, dict) else None
            raise StorageError(f"Prometheus (history.prometheus_url) refused: {told or answer.status_code}")
        return [(it["metric"], dict(_points(it["values"], width))) for it in body["data"]["result"]]


def _points(values: Iterable[Any], width: int) -> Iterable[tuple[int, float]]:
    numbers = ((int(at) - width, float(value)) for at, value in values)
    return ((at, value) for at, value in numbers if math.isfinite(value))


def _only(series: Series) -> Mapping[int, float]:
    return series[0][1] if series else {}


def _status_at(statuses: Series, at: int) -> str | None:
    return worst(labels["status"] for labels, found in statuses if at in found)
