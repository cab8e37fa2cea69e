"""Clusters are checked at once and for a bounded time."""

import threading
import time
from collections.abc import Sequence

from monitor.brokers.registry import Collector
from monitor.checks import check_clusters
from monitor.clock import Clock
from monitor.config import Cluster, KafkaCluster
from monitor.model import Finding, Snapshot

OK = Finding("x", ok=True, message="fine")


class Stub:
    """A collector whose check is given. It stands for a broker that hangs, which cannot be had in milliseconds."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.gate, self.closed = gate, False

    def collect(self, deadline: float) -> Snapshot:
        raise NotImplementedError

    def check(self, deadline: float) -> Sequence[Finding]:
        if self.gate:
            self.gate.wait(30)
        return [OK]

    def close(self) -> None:
        self.closed = True


def clusters(*names: str) -> list[Cluster]:
    return [KafkaCluster(name=name, kind="kafka", bootstrap_servers="127.0.0.1:1") for name in names]


def test_a_check_that_hangs_is_reported_and_keeps_no_other_waiting() -> None:
    gate = threading.Event()
    stubs: dict[str, Collector] = {"hanging": Stub(gate), "fine": Stub()}
    begun = time.monotonic()
    hanging, fine = check_clusters(clusters("hanging", "fine"), lambda it: stubs[it.name], Clock(), 0.25, grace=0.0)
    gate.set()
    assert time.monotonic() - begun < 10  # far less than the check would hang
    assert fine.findings == (OK,)
    assert fine.ok
    assert not hanging.ok
    assert [(it.target, it.message) for it in hanging.findings] == [("hanging", "no answer within 0.25 s")]


def test_clusters_are_checked_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)

    class Meeting(Stub):
        def check(self, deadline: float) -> Sequence[Finding]:
            both.wait()  # passes only when the other check has begun as well
            return [OK]

    reports = check_clusters(clusters("a", "b"), lambda _: Meeting(), Clock(), within=10.0)
    assert [report.ok for report in reports] == [True, True]


def test_every_collector_is_closed_after_its_check() -> None:
    stub = Stub()
    check_clusters(clusters("a"), lambda _: stub, Clock(), within=10.0)
    assert stub.closed
