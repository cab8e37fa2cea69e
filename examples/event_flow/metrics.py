"""What a service tells Prometheus of itself; how it is doing on the buses, the monitor sees from outside."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from examples.event_flow.outcomes import Tally

_LABELS = ("service", "bus")
_STATES = ("closed", "half-open", "open")


class Metrics:
    """The metrics of one process: what the tally has counted, retries, circuit breakers and durations."""

    def __init__(self, tally: Tally) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Outcomes(tally))
        self.retries = Counter(
            "event_flow_retries", "Attempts after the first one, of one message.", _LABELS, registry=self.registry
        )
        self.breaker = Gauge(
            "event_flow_breaker_state",
            "1 for the state of the circuit breaker before the service downstream, 0 for the others.",
            (*_LABELS, "state"),
            registry=self.registry,
        )
        self.handling = Histogram(
            "event_flow_handling_seconds",
            "From a message in hand to its end, with retries and waits for an open circuit.",
            _LABELS,
            registry=self.registry,
        )

    def meter(self, service: str, bus: str) -> "Meter":
        """Return the metrics of one consumer."""
        return Meter(self, service, bus)

    def serve(self, port: int) -> None:
        """Serve them on this machine's loopback, from a thread that ends with the process."""
        start_http_server(port, addr="127.0.0.1", registry=self.registry)


class Meter:
    """The metrics of one service on one bus."""

    def __init__(self, metrics: Metrics, service: str, bus: str) -> None:
        self._retries = metrics.retries.labels(service, bus)
        self._handling = metrics.handling.labels(service, bus)
        self._breaker = {state: metrics.breaker.labels(service, bus, state) for state in _STATES}
        self.note_breaker("closed")

    def count_retry(self) -> None:
        """Count one more attempt."""
        self._retries.inc()

    def note_breaker(self, state: str) -> None:
        """Say that the circuit breaker is `closed`, `half-open` or `open` from now on."""
        for name, gauge in self._breaker.items():
            gauge.set(name == state)

    @contextmanager
    def time(self) -> Iterator[None]:
        """Observe how long the handling of a message takes."""
        began = perf_counter()
        try:
            yield
        finally:
            self._handling.observe(perf_counter() - began)


class _Outcomes(Collector):
    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterable[CounterMetricFamily]:
        family = CounterMetricFamily(
            "event_flow_messages",
            "Messages by what became of them: processed, duplicate, ...",
            labels=(*_LABELS, "outcome"),
        )
        for (worker, outcome), count in self._tally.copy().items():
            service, _, bus = worker.partition("/")
            family.add_metric((service, bus, outcome), count)
        yield family
