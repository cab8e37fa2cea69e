"""What rendering the metrics costs: processor time of one cycle, memory, sizes, and serving the page.

`python -m benchmarks.exposition` prints a table; each case runs in a process of its own, so that peaks do not mix.
"""

import argparse
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from monitor.exposition.page import MetricsPage
from monitor.model import (
    Age,
    AgeMethod,
    ClusterView,
    Codes,
    Floats,
    Health,
    Labels,
    Snapshot,
    Status,
    Subscription,
    System,
    Table,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Case:
    """A Kafka cluster: every group has committed on every partition; `changing` is the share of rows that move."""

    groups: int
    topics: int
    partitions: int
    families: tuple[str, ...]
    changing: float

    @property
    def rows(self) -> int:
        """Group-partitions."""
        return self.groups * self.topics * self.partitions


_LAG = "kafka_consumer_group_lag_messages"
_THREE = (_LAG, "kafka_consumer_group_lag_seconds", "kafka_consumer_group_committed_offset")
CASES = {
    "158,000, everything moves": Case(79, 100, 20, _THREE, 1.0),
    "158,000, one row in 100 moves": Case(79, 100, 20, _THREE, 0.01),
    "958,000 lag alone, everything moves": Case(179, 107, 50, (_LAG,), 1.0),
    "958,000 lag alone, one row in 100 moves": Case(179, 107, 50, (_LAG,), 0.01),
    "one small cluster beside 958,000": Case(179, 107, 50, (_LAG,), 1.0),
}


class Cluster:
    """Makes one view after another of the same cluster, its numbers moving on."""

    def __init__(self, case: Case, name: str) -> None:
        self._case, self._name = case, name
        self._random = np.random.default_rng(1)
        self._labels = _labels(case)
        self._columns = {family: self._start(family) for family in case.families}

    def _start(self, family: str) -> Floats:
        if family.endswith("_seconds"):
            return np.round(self._random.random(self._case.rows) * 100, 3)
        high = 10**9 if family.endswith("_offset") else 5000
        return self._random.integers(0, high, self._case.rows).astype(np.float64)

    def move(self) -> ClusterView:
        """Return the view after the next cycle."""
        self._columns = {family: self._moved(values) for family, values in self._columns.items()}
        subscriptions, verdicts = _subscriptions(self._case, self._name, self._random)
        tables = {"group_partitions": Table(self._labels, self._columns)}
        snapshot = Snapshot(self._name, "kafka", 0.0, 1.0, subscriptions, (), tables)
        return ClusterView(Health(self._name, "kafka", 15.0, True, 1.0, 1.0), snapshot, verdicts)

    def _moved(self, values: Floats) -> Floats:
        # What moves in a real cluster are whole topics, so the rows that move lie together.
        moved = values.copy()
        several = int(len(values) * self._case.changing)
        start = int(self._random.integers(0, len(values) - several + 1))
        moved[start : start + several] += self._random.integers(1, 50, several)
        return moved


def _labels(case: Case) -> tuple[Labels, ...]:
    def codes(number: int, inner: int, outer: int) -> Codes:
        return np.tile(np.repeat(np.arange(number, dtype=np.int32), inner), outer)

    return (
        Labels(
            "group",
            tuple(f"service-{i}-group" for i in range(case.groups)),
            codes(case.groups, case.topics * case.partitions, 1),
        ),
        Labels(
            "topic",
            tuple(f"team-{i}.order-events" for i in range(case.topics)),
            codes(case.topics, case.partitions, case.groups),
        ),
        Labels(
            "partition", tuple(map(str, range(case.partitions))), codes(case.partitions, 1, case.groups * case.topics)
        ),
    )


def _subscriptions(
    case: Case, name: str, random: np.random.Generator
) -> tuple[tuple[Subscription, ...], tuple[Verdict, ...]]:
    numbers = iter(random.integers(0, 10**6, 2 * case.groups * case.topics).tolist())
    subscriptions = tuple(
        Subscription(
            id=f"{name}/service-{g}-group/team-{t}.order-events",
            system=System.KAFKA,
            cluster=name,
            destination=f"team-{t}.order-events",
            subscriber=f"service-{g}-group",
            backlog_messages=next(numbers),
            oldest_age=Age(12.5, AgeMethod.INTERPOLATED),
            consumers=3,
            published_messages_total=next(numbers),
            consumed_messages_total=12.0,
        )
        for g in range(case.groups)
        for t in range(case.topics)
    )
    return subscriptions, (Verdict(Status.LAGGING, "", 0.0, 10.0, 10.0, 100.0, "team"),) * len(subscriptions)


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.thread_time()
    call()
    return time.perf_counter() - wall, time.thread_time() - processor


def measure(name: str, cycles: int) -> None:
    """Run one case and print its row."""
    page = MetricsPage()
    cluster = Cluster(CASES[name], "orders")
    page.update(cluster.move(), cycle_ended=True)
    if name.startswith("one small"):
        cluster = Cluster(Case(2, 5, 4, _THREE, 1.0), "small")
        page.update(cluster.move(), cycle_ended=True)
    walls, processors = [], []
    for _ in range(cycles):
        # Memory of the snapshots themselves is the collector's: what counts is the peak above it.
        view = cluster.move()
        before = _memory()
        wall, processor = _timed(lambda view=view: page.update(view, cycle_ended=True))  # type: ignore[misc]
        walls.append(wall)
        processors.append(processor)
    text = page.page()
    inflate, _ = _timed(lambda: sum(map(len, text.read_plain())))
    p50, p99 = _served_while_updating(page, cluster)
    print(
        f"| {name} | {min(processors):.3f} | {np.median(walls):.3f} | {_memory() - before:.0f} / {_memory():.0f} "
        f"| {text.size / 1e6:.1f} | {len(text.gzip) / 1e6:.2f} | {inflate:.3f} | {p50 * 1e3:.2f} | {p99 * 1e3:.2f} |"
    )


def _served_while_updating(page: MetricsPage, cluster: Cluster) -> tuple[float, float]:
    """Return median and 99th percentile of the time until another thread has the page in hand, while cycles run."""
    view, ended = cluster.move(), threading.Event()

    def work() -> None:
        page.update(view, cycle_ended=True)
        ended.set()

    updater = threading.Thread(target=work)
    updater.start()
    waits = []
    for _ in count():
        started = time.perf_counter()
        time.sleep(0)  # gives the interpreter away, as a server does between two requests
        bytes(memoryview(page.page().gzip)[:1024])
        waits.append(time.perf_counter() - started)
        if ended.is_set():
            break
    updater.join()
    return float(np.median(waits)), float(np.percentile(waits, 99))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--cycles", type=int, default=5)
    options = parser.parse_args(arguments)
    if options.case:
        measure(options.case, options.cycles)
        return
    print("| case | processor s | wall s | MB above / peak | plain MB | gzip MB | inflate s | page p50 ms | p99 ms |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for name in CASES:
        command = [sys.executable, "-m", "benchmarks.exposition", "--case", name, "--cycles", str(options.cycles)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
