"""Compares the told age of the oldest unread record with its true age, for the ways in which producers write.

    python -m benchmarks.kafka.ages --bootstrap HOST:PORT [--seconds 30] [--interval 2]

First logs that are there already, as a monitor finds them at its start; then flows that go on while it looks, with
groups that stay some seconds behind.
"""

import argparse
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.integration.kafka.flows import FLOWS, offsets_of, true_ages
from tests.integration.kafka.playground import Playground, Watcher

SECONDS, COMMITTED = "kafka_consumer_group_lag_seconds", "kafka_consumer_group_committed_offset"
_LOOKS = 3
_BEHIND_SECONDS = 3.0
_STEP_SECONDS = 0.05


def steady(elapsed: float, total: float) -> int:
    """Return how many records a second there are: always as many."""
    return 40


def bursty(elapsed: float, total: float) -> int:
    """A burst every seven seconds, nothing in between."""
    return 400 if elapsed % 7.0 < 0.5 else 0


def idle(elapsed: float, total: float) -> int:
    """Some at the beginning, then nothing."""
    return 40 if elapsed < 2.0 else 0


def restarted(elapsed: float, total: float) -> int:
    """Away for the middle third."""
    return 0 if total / 3 < elapsed < total * 2 / 3 else 40


LIVE: Sequence[Callable[[float, float], int]] = (steady, bursty, idle, restarted)


class LiveFlow:
    """One topic that is written to, and a group that commits what is older than a few seconds."""

    def __init__(self, kafka: Playground, pace: Callable[[float, float], int], total: float) -> None:
        self._kafka, self._pace, self._total = kafka, pace, total
        self.topic, self.group = kafka.topic(f"live-{pace.__name__}"), kafka.name(f"reads-{pace.__name__}")
        self.stamps: list[float] = []
        kafka.commit(self.group, self.topic, 0)

    def step(self, elapsed: float) -> None:
        """Write what is due, and commit."""
        for _ in range(round(self._pace(elapsed, self._total) * _STEP_SECONDS)):
            stamp = time.time()
            self._kafka.produce(self.topic, 1, timestamp=lambda _, stamp=stamp: stamp)  # type: ignore[misc]
            self.stamps.append(stamp)
        # An idle producer's readers stand still as well.
        until = time.time() - _BEHIND_SECONDS if self._pace is not idle else 0.0
        self._kafka.commit(self.group, self.topic, int(np.searchsorted(self.stamps, until)))


def seed(kafka: Playground, table: Table) -> None:
    """Compare on logs that are there already."""
    for name, flow in FLOWS.items():
        stamps = flow(time.time())
        topic = kafka.topic(name)
        kafka.produce(topic, len(stamps), timestamp=lambda number, stamps=stamps: float(stamps[number]))  # type: ignore[misc]
        groups = {offset: kafka.name(f"{name}-{offset}") for offset in offsets_of(len(stamps))}
        for offset, group in groups.items():
            kafka.commit(group, topic, offset)
        watcher = Watcher(kafka.collector())
        for look in range(_LOOKS):
            now = watcher.look().taken_at
            told = {offset: watcher.rows("group_partitions", group=group)[0] for offset, group in groups.items()}
            true = true_ages(stamps, now)
            errors = [abs(told[offset][SECONDS] - true[offset]) for offset in groups]
            _add(table, f"{name}, found at the start", f"look {look + 1}", errors, list(true.values()))
        watcher.collector.close()


def follow(kafka: Playground, table: Table, seconds: float, interval: float) -> None:
    """Compare while records come in."""
    flows = [LiveFlow(kafka, pace, seconds) for pace in LIVE]
    over = threading.Event()
    began = time.monotonic()

    def write() -> None:
        while not over.wait(_STEP_SECONDS):
            for flow in flows:
                flow.step(time.monotonic() - began)

    writer = threading.Thread(target=write)
    writer.start()
    watcher = Watcher(kafka.collector())
    errors: dict[str, list[float]] = {flow.topic: [] for flow in flows}
    ages: dict[str, list[float]] = {flow.topic: [] for flow in flows}
    while time.monotonic() - began < seconds:
        now = watcher.look().taken_at
        for flow in flows:
            (row,) = watcher.rows("group_partitions", group=flow.group)
            if row[SECONDS] > 0:
                true = now - flow.stamps[int(row[COMMITTED])]
                errors[flow.topic].append(abs(row[SECONDS] - true))
                ages[flow.topic].append(true)
        over.wait(interval)
    over.set()
    writer.join()
    watcher.collector.close()
    for flow in flows:
        name = flow.topic.removeprefix(f"{kafka.prefix}-live-")
        looks = f"a look every {interval:g} s"
        _add(table, f"{name}, while it goes on", looks, errors[flow.topic], ages[flow.topic])


def _add(table: Table, flow: str, looks: str, errors: Sequence[float], ages: Sequence[float]) -> None:
    if not errors:
        table.add_row(flow, looks, "", "", "", "")
        return
    share = max(error / max(age, 1.0) for error, age in zip(errors, ages, strict=True))
    told = (f"{np.median(ages):,.1f}", f"{np.median(errors):.2f}", f"{max(errors):.2f}", f"{share:.1%}")
    table.add_row(flow, looks, *told)


def main() -> None:
    """Print a table of errors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long live flows are followed (%(default)s)")
    parser.add_argument("--interval", type=float, default=2.0, help="between two looks (%(default)s)")
    given = parser.parse_args()
    kafka = Playground(given.bootstrap)
    table = Table("flow", "looks", "true age, median s", "error, median s", "error, largest s", "largest share of age")
    try:
        seed(kafka, table)
        follow(kafka, table, given.seconds, given.interval)
    finally:
        kafka.clean()
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
