"""Fakes for what cannot be provoked in milliseconds: a collector that does as it is told, and a clock that is set."""

import threading
from collections.abc import Callable
from functools import partial

from monitor.clock import Clock
from monitor.config import Cluster, KafkaCluster
from monitor.model import Finding, Snapshot
from tests import waiting

PATIENCE = 5.0


def cluster(name: str = "orders", interval: float = 0.1, deadline: float = PATIENCE) -> KafkaCluster:
    """A cluster that is never connected to. Its cycles may take their time, unless a test is about that."""
    return KafkaCluster(name=name, kind="kafka", bootstrap_servers="127.0.0.1:1", interval=interval, deadline=deadline)


def snapshot(name: str = "orders", taken_at: float = 1e9) -> Snapshot:
    """A snapshot of nothing."""
    return Snapshot(name, "kafka", taken_at, 0.01)


class FakeCollector:
    """Returns what `act` gives. `closed` is set by `close`, which then does `on_close`."""

    def __init__(
        self, act: Callable[["FakeCollector"], Snapshot], on_close: Callable[[], object] = lambda: None
    ) -> None:
        self._act, self._on_close = act, on_close
        self.closed = threading.Event()
        self.deadlines: list[float] = []

    def collect(self, deadline: float) -> Snapshot:
        self.deadlines.append(deadline)
        return self._act(self)

    def check(self, deadline: float) -> list[Finding]:
        raise NotImplementedError

    def close(self) -> None:
        self.closed.set()
        self._on_close()


def hang_until_closed(collector: FakeCollector) -> Snapshot:
    """Hang as a client does whose `close` frees its callers."""
    assert collector.closed.wait(PATIENCE)
    raise ConnectionError("closed")


class Fleet:
    """Opens fake collectors by a script: one action for each that is opened, the last for all further."""

    def __init__(
        self, *actions: Callable[[FakeCollector], Snapshot], on_close: Callable[[], object] = lambda: None
    ) -> None:
        self._actions, self._on_close = actions, on_close
        self.opened: list[FakeCollector] = []

    def open(self, section: Cluster) -> FakeCollector:
        action = self._actions[min(len(self.opened), len(self._actions) - 1)]
        self.opened.append(FakeCollector(action, self._on_close))
        return self.opened[-1]


class SetClock:
    """A clock that stands where it is set."""

    def __init__(self) -> None:
        self.wall, self.steady = 1e9, 100.0

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.wall, monotonic=lambda: self.steady)

    def pass_seconds(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


wait_for = partial(waiting.wait_for, seconds=PATIENCE)
