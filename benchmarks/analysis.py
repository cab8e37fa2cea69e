"""What judging costs: processor time a cycle and memory, for 158,000 and for a million parts. Prints a table."""

import sys
import time
import tracemalloc

import numpy as np
from rich.console import Console
from rich.table import Table

from monitor.analysis.assessment import History, Rules, assess
from monitor.config import Objective, Owner
from monitor.model import Age, AgeMethod, Floats, Parts, Snapshot, Subscription, System, encode_id

_PARTS_EACH = 20
_CYCLES = 12
_INTERVAL = 15.0


def made_up_snapshot(subscriptions: int, cycle: int, arriving: int = 0) -> Snapshot:
    """Return a cluster in which a tenth of the parts has a backlog; `arriving` parts have other ids every cycle."""
    generator = np.random.default_rng(cycle)
    size = subscriptions * _PARTS_EACH
    ids = np.arange(size)
    ids[:arriving] += (cycle + 1) * size
    published = np.arange(size, dtype=np.float64) + (1e6 + cycle * 100.0)
    backlog: Floats = np.where(generator.random(size) < 0.1, generator.integers(1, 500, size).astype(np.float64), 0.0)
    of = np.repeat(np.arange(subscriptions, dtype=np.int32), _PARTS_EACH)
    backlogs = np.bincount(of, weights=backlog).tolist()
    return Snapshot(
        "orders",
        "kafka",
        taken_at=1e9 + cycle * _INTERVAL,
        duration=1.0,
        subscriptions=tuple(
            Subscription(
                encode_id("orders", f"group-{i % 79}", f"topic-{i // 79}"),
                System.KAFKA,
                "orders",
                f"topic-{i // 79}",
                f"group-{i % 79}",
                backlog_messages=backlog_messages,
                oldest_age=Age(backlog_messages / 100, AgeMethod.INTERPOLATED),
                consumers=3,
                published_messages_total=1e6 + cycle * 2000.0,
                consumed_messages_total=1e6 + cycle * 2000.0 - backlog_messages,
                expected=_PARTS_EACH,
                measured=_PARTS_EACH,
            )
            for i, backlog_messages in enumerate(backlogs)
        ),
        parts=Parts(ids, of, backlog, published - backlog, published),
    )


def measure(subscriptions: int, arriving_share: float) -> tuple[float, float, float]:
    """Return the median processor seconds of a cycle, the bytes that a history keeps, and the peak while judging."""
    rules = Rules.of(
        _INTERVAL,
        [Owner(match=f"orders/group-{i}/*", team=f"team-{i}") for i in range(10)],
        [Objective(subscription="orders/group-7/*", max_age=30.0)],
    )
    arriving = int(arriving_share * subscriptions * _PARTS_EACH)
    history: History | None = None
    taken = []
    for cycle in range(_CYCLES):
        snapshot = made_up_snapshot(subscriptions, cycle, arriving)
        begun = time.process_time()
        _, history = assess(snapshot, history, rules, cycle * _INTERVAL)
        taken.append(time.process_time() - begun)
    snapshot = made_up_snapshot(subscriptions, _CYCLES, arriving)
    tracemalloc.start()
    verdicts, history = assess(snapshot, history, rules, _CYCLES * _INTERVAL)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del verdicts
    return sorted(taken[1:])[len(taken) // 2], kept, peak


def main() -> None:
    """Measure all sizes and print them."""
    table = Table("parts", "subscriptions", "parts that change", "processor s a cycle", "kept MB", "peak MB")
    for subscriptions in (7_900, 50_000):
        for share in (0.0, 0.05):
            seconds, kept, peak = measure(subscriptions, share)
            table.add_row(
                f"{subscriptions * _PARTS_EACH:,}",
                f"{subscriptions:,}",
                f"{share:.0%}",
                f"{seconds:.3f}",
                f"{kept / 1e6:.0f}",
                f"{peak / 1e6:.0f}",
            )
    Console(file=sys.stdout).print(table)


if __name__ == "__main__":
    main()
