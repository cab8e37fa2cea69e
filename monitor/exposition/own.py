"""What the monitor tells about itself, kept by prometheus-client in a registry of its own."""

import platform
from collections.abc import Iterator, Mapping
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from monitor.exposition.families import BY_NAME
from monitor.exposition.text import encode
from monitor.model import Health

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class OwnMetrics:
    """Process, interpreter, build, and the durations of cycles."""

    def __init__(self, version: str) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        build = BY_NAME["build_info"]
        Gauge(build.full_name, build.help, build.labels, registry=self._registry).labels(
            version, platform.python_version()
        ).set(1)
        durations = BY_NAME["collector_duration_seconds"]
        self._durations = Histogram(
            durations.full_name, durations.help, durations.labels, buckets=_BUCKETS, registry=None
        )
        self._registry.register(_WithoutCreated(self._durations))

        jobs = BY_NAME["redrive_jobs"]
        self._jobs = Gauge(jobs.full_name, jobs.help, jobs.labels, registry=self._registry)

        failures = BY_NAME["history_write_errors_total"]
        self._history_failures = Counter(failures.full_name, failures.help, registry=None)
        self._registry.register(_WithoutCreated(self._history_failures))

        reload = BY_NAME["config_last_reload_successful"]
        self._reload = Gauge(reload.full_name, reload.help, registry=self._registry)
        reloaded = BY_NAME["config_last_reload_success_timestamp_seconds"]
        self._reloaded_at = Gauge(reloaded.full_name, reloaded.help, registry=self._registry)

    def tell_reload(self, *, successful: bool, at: float) -> None:
        """Take over how reading the configuration has gone the last time."""
        self._reload.set(successful)
        if successful:
            self._reloaded_at.set(at)

    def tell_jobs(self, states: Mapping[str, int]) -> None:
        """Take over how many redrive jobs are in each state."""
        for state, number in states.items():
            self._jobs.labels(state).set(number)

    def count_history_failure(self) -> None:
        """Count a minute whose history could not be written."""
        self._history_failures.inc()

    def observe_cycle(self, health: Health) -> None:
        """Count the duration of the cycle that has just ended."""
        if health.cycle_seconds is not None:
            cluster = encode(health.cluster).decode()  # the library cannot write a lone surrogate
            self._durations.labels(cluster, health.kind).observe(health.cycle_seconds)

    def forget_cycles(self, cluster: str, kind: str) -> None:
        """Drop the durations of a cluster that is not read here any more."""
        # By the labels that it was observed under, if it ever was; the library raises for what it does not know.
        with suppress(KeyError):
            self._durations.remove(encode(cluster).decode(), kind)

    def text(self) -> bytes:
        """Return the text, without a line feed at its end."""
        return generate_latest(self._registry).rstrip(b"\n")

    def families(self) -> Iterator[tuple[str, str, str]]:
        """Yield name, type and meaning of each family, as `text` names them."""
        for metric in self._registry.collect():
            yield metric.name + ("_total" if metric.type == "counter" else ""), metric.type, metric.documentation


class _WithoutCreated(Collector):
    """Leaves out the `_created` gauges, which the library adds to the text format and no rule uses."""

    def __init__(self, inner: Collector) -> None:
        self._inner = inner

    def collect(self) -> Iterator[Metric]:
        for metric in self._inner.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric
