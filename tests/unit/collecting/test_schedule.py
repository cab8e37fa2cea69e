import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo

import apscheduler.schedulers.base
import pytest

from monitor.analysis.assessment import Rules
from monitor.clock import Clock
from monitor.collecting.schedule import Schedule
from monitor.collecting.store import Occasion, Store
from monitor.config import Cluster, KafkaCluster
from monitor.model import ClusterView, Snapshot
from tests.unit.collecting.fakes import FakeCollector, cluster, hang_until_closed, snapshot, wait_for


class Stage:
    """A schedule over fake collectors, and what happened when."""

    def __init__(self, sections: list[KafkaCluster], act: dict[str, str]) -> None:
        self.act = act
        self.store = Store(sections, Clock())
        self.told: list[tuple[float, str, Occasion]] = []
        self.opened: Counter[str] = Counter()
        self.store.subscribe(self._listen)
        self.schedule = Schedule(sections, self._open, self.store, lambda it: Rules.of(it.interval), Clock())

    def times(self, name: str, occasion: Occasion) -> list[float]:
        return [at for at, cluster_name, what in self.told if (cluster_name, what) == (name, occasion)]

    def _listen(self, view: ClusterView, occasion: Occasion) -> None:
        self.told.append((time.monotonic(), view.health.cluster, occasion))

    def _open(self, section: Cluster) -> FakeCollector:
        self.opened[section.name] += 1

        def collect(collector: FakeCollector) -> Snapshot:
            if self.act.get(section.name) == "hang":
                return hang_until_closed(collector)
            return snapshot(section.name)

        return FakeCollector(collect)


@pytest.fixture
def stages() -> Iterator[list[Stage]]:
    begun: list[Stage] = []
    yield begun
    for stage in begun:
        stage.schedule.stop()


def start(stages: list[Stage], sections: list[KafkaCluster], **act: str) -> Stage:
    stage = Stage(sections, act)
    stages.append(stage)
    stage.schedule.start()
    return stage


def test_every_cluster_is_read_at_once_and_then_on_its_own_interval(stages: list[Stage]) -> None:
    begun = time.monotonic()
    stage = start(stages, [cluster("quick", interval=0.1), cluster("slow", interval=60.0)])
    wait_for(lambda: len(stage.times("quick", Occasion.SUCCESS)) >= 5, "five cycles")
    times = stage.times("quick", Occasion.SUCCESS)
    assert times[4] - begun >= 0.4
    wait_for(lambda: len(stage.times("slow", Occasion.SUCCESS)) == 1, "the one cycle of the slow one")


def test_a_cluster_that_hangs_costs_the_others_nothing(stages: list[Stage]) -> None:
    names = [f"well-{i}" for i in range(8)]
    sections = [cluster(name, interval=0.2) for name in names]
    stage = start(stages, [cluster("sick", interval=0.2), *sections], sick="hang")
    wait_for(lambda: all(len(stage.times(name, Occasion.SUCCESS)) >= 4 for name in names), "four cycles of each")
    assert not stage.times("sick", Occasion.SUCCESS)
    assert stage.store.view("sick").health.up is None


def test_runs_that_were_due_while_one_hung_are_missed(stages: list[Stage]) -> None:
    stage = start(stages, [cluster("sick", interval=0.1)], sick="hang")
    wait_for(lambda: stage.store.view("sick").health.missed_runs_total >= 3, "three missed runs")
    assert Counter(what for _, _, what in stage.told).keys() == {Occasion.MISSED}


def test_values_go_by_time_alone(stages: list[Stage]) -> None:
    stage = start(stages, [cluster("sick", interval=0.2)])
    wait_for(lambda: stage.times("sick", Occasion.SUCCESS), "the first success")
    stage.act["sick"] = "hang"
    wait_for(lambda: stage.store.view("sick").snapshot is None, "the end of the old values")
    last = stage.times("sick", Occasion.SUCCESS)[-1]
    assert time.monotonic() - last >= 0.6


def test_it_recovers_by_itself(stages: list[Stage]) -> None:
    stage = start(stages, [cluster("sick", interval=0.1, deadline=0.3)], sick="hang")
    wait_for(lambda: stage.times("sick", Occasion.FAILURE), "the first failure")
    stage.act.clear()
    wait_for(lambda: stage.store.view("sick").health.up, "the recovery")


def test_a_wall_clock_that_is_set_back_does_not_stop_it(stages: list[Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's clock cannot be set in a test, so the scheduler is shown another one."""
    back = threading.Event()

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Jumping":
            return super().now(tz) - timedelta(hours=1) * back.is_set()

    monkeypatch.setattr(apscheduler.schedulers.base, "datetime", Jumping)
    monkeypatch.setattr("monitor.collecting.schedule.datetime", Jumping)
    stage = start(stages, [cluster("orders", interval=0.1)])
    wait_for(lambda: len(stage.times("orders", Occasion.SUCCESS)) >= 2, "two cycles")
    back.set()
    before = len(stage.times("orders", Occasion.SUCCESS))
    wait_for(lambda: len(stage.times("orders", Occasion.SUCCESS)) >= before + 5, "five cycles more")


def test_it_stops_while_a_call_hangs_and_begins_nothing_more(stages: list[Stage]) -> None:
    stage = start(stages, [cluster("sick", interval=0.1, deadline=60.0), cluster("well", interval=0.1)], sick="hang")
    wait_for(lambda: stage.times("well", Occasion.SUCCESS), "a cycle")
    begun = time.monotonic()
    stage.schedule.stop()
    assert time.monotonic() - begun < 1.0
    told = len(stage.told)
    threading.Event().wait(0.3)
    assert len(stage.told) <= told + 1


def test_without_clusters_it_runs_and_stops(stages: list[Stage]) -> None:
    start(stages, [])


def test_a_cluster_that_stays_as_it_is_is_not_disturbed_by_another_configuration(stages: list[Stage]) -> None:
    stays, goes = cluster("stays", interval=0.1), cluster("goes", interval=0.1)
    stage = start(stages, [stays, goes])
    wait_for(lambda: all(stage.times(name, Occasion.SUCCESS) for name in ("stays", "goes")), "first cycles")
    comes = cluster("comes", interval=0.1)
    stage.store.replace([stays, comes])
    stage.schedule.replace([stays, comes], anew=lambda _: False)
    wait_for(lambda: len(stage.times("comes", Occasion.SUCCESS)) >= 2, "cycles of the new one")
    assert stage.opened == Counter(stays=1, goes=1, comes=1)
    left = stage.times("goes", Occasion.LEFT)[0]
    assert [at for at in stage.times("goes", Occasion.SUCCESS) if at > left] == []


def test_a_cluster_whose_section_has_changed_is_read_anew_at_once_and_keeps_its_view(stages: list[Stage]) -> None:
    stage = start(stages, [cluster("orders", interval=60.0)])
    wait_for(lambda: bool(stage.times("orders", Occasion.SUCCESS)), "the first cycle")
    changed = cluster("orders", interval=0.2)
    stage.store.replace([changed])
    assert stage.store.view("orders").snapshot
    stage.schedule.replace([changed], anew=lambda _: False)
    wait_for(lambda: len(stage.times("orders", Occasion.SUCCESS)) >= 4, "cycles at the new interval")
    assert stage.opened == Counter(orders=2)


def test_where_collectors_are_needed_anew_every_cluster_is_opened_again(stages: list[Stage]) -> None:
    orders = cluster("orders", interval=0.1)
    stage = start(stages, [orders])
    wait_for(lambda: bool(stage.times("orders", Occasion.SUCCESS)), "the first cycle")
    stage.schedule.replace([orders], anew=lambda _: True)
    wait_for(lambda: stage.opened == Counter(orders=2), "another collector")
