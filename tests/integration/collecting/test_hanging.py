import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from monitor.analysis.assessment import Rules
from monitor.clock import Clock
from monitor.collecting.schedule import Schedule
from monitor.collecting.store import Occasion, Store
from monitor.config import KafkaCluster
from monitor.model import ClusterView
from tests.integration.collecting.sockets import (
    PATIENCE,
    ReadingCollector,
    SilentServer,
    cluster,
    silent_server,
    wait_for,
)


@pytest.fixture
def silent() -> Iterator[SilentServer]:
    with silent_server() as server:
        yield server


@pytest.fixture
def well() -> Iterator[SilentServer]:
    with silent_server() as server:
        server.talk()
        yield server


class Watching:
    """A schedule over collectors that read from sockets, and when each cluster told what."""

    def __init__(self, clusters: list[KafkaCluster], deaf: bool) -> None:
        self.store = Store(clusters, Clock())
        self.told: dict[str, list[tuple[float, Occasion]]] = {it.name: [] for it in clusters}
        self.store.subscribe(self._listen)
        self.schedule = Schedule(
            clusters,
            lambda section: ReadingCollector(section, deaf=deaf),
            self.store,
            lambda it: Rules.of(it.interval),
            Clock(),
        )
        self.schedule.start()

    def times(self, name: str, occasion: Occasion) -> list[float]:
        return [at for at, what in self.told[name] if what is occasion]

    def _listen(self, view: ClusterView, occasion: Occasion) -> None:
        self.told[view.health.cluster].append((time.monotonic(), occasion))


@pytest.fixture(params=[False, True], ids=["freed by close", "deaf to close"])
def watching(request: pytest.FixtureRequest, silent: SilentServer, well: SilentServer) -> Iterator[Watching]:
    clusters = [cluster("sick", silent.address), *(cluster(f"well-{i}", well.address) for i in range(3))]
    stage = Watching(clusters, deaf=request.param)
    yield stage
    stage.schedule.stop()


def threads_of(name: str) -> int:
    return sum(thread.name == f"cycle {name}" for thread in threading.enumerate())


def test_a_call_that_hangs_fails_at_its_deadline_and_costs_no_other_cluster_its_pace(watching: Watching) -> None:
    wait_for(lambda: len(watching.times("sick", Occasion.FAILURE)) >= 2, "two failures")
    view = watching.store.view("sick")
    assert (view.health.up, view.health.errors[0].reason) == (False, "timeout")
    assert view.snapshot is None
    assert view.health.missed_runs_total >= 2
    for name in ("well-0", "well-1", "well-2"):
        assert len(watching.times(name, Occasion.SUCCESS)) >= 3
        assert not watching.times(name, Occasion.FAILURE)


def test_never_more_than_one_thread_of_a_cluster_is_lost(watching: Watching) -> None:
    seen = 0
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        seen = max(seen, threads_of("sick"))
        time.sleep(0.02)
    assert 1 <= seen <= 2  # the one that is lost, and the one that is at work


def test_it_recovers_by_itself_when_answers_come_again(watching: Watching, silent: SilentServer) -> None:
    wait_for(lambda: len(watching.times("sick", Occasion.FAILURE)) >= 2, "two failures")
    silent.talk()
    talking_since = time.monotonic()
    wait_for(lambda: watching.store.view("sick").health.up, "the recovery")
    assert watching.times("sick", Occasion.SUCCESS)[0] >= talking_since
    wait_for(lambda: threads_of("sick") <= 1, "the end of the threads that hung")


def test_an_answer_after_the_deadline_is_discarded(silent: SilentServer) -> None:
    watching = Watching([cluster("sick", silent.address, interval=60.0, deadline=0.3)], deaf=True)
    try:
        wait_for(lambda: watching.times("sick", Occasion.FAILURE), "the failure")
        silent.talk()
        wait_for(lambda: threads_of("sick") == 0, "the late end of the call")
        assert [what for _, what in watching.told["sick"]] == [Occasion.FAILURE]
        assert watching.store.view("sick").snapshot is None
    finally:
        watching.schedule.stop()


def test_a_process_whose_calls_and_closings_all_hang_ends_within_five_seconds(silent: SilentServer) -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.integration.collecting.hanging_monitor", silent.address],
        stderr=subprocess.PIPE,
    )
    try:
        wait_for(lambda: silent.accepted >= 3 or process.poll() is not None, "three calls that hang")
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
        assert time.monotonic() - begun < 5.0
        assert (process.returncode, errors) == (0, b"")
    finally:
        process.kill()
        process.wait(PATIENCE)
