"""Times the Kafka collector's cycles, in each way to read commits, on a cluster that `benchmarks.kafka.fixture` filled.

    python -m benchmarks.kafka.cycle --bootstrap HOST:PORT [--topics 100] [--partitions 20] [--groups 79]
                                     [--cycles 5] [--commits admin,offsets_topic] [--clusters 1,10]

With several clusters, as many collectors watch the same brokers at once, all of the fixture each. Between two cycles
some groups commit everywhere, outside of what is measured. Each way has a process of its own, so that its peak memory
is its own; libraries are in it.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.kafka.fixture import PREFIX, add_size_options, size_of
from monitor.brokers.kafka.collector import KafkaCollector
from monitor.clock import Clock
from monitor.config import Filter, KafkaCluster
from monitor.model import Snapshot

MODES = ("admin", "offsets_topic")
COLUMNS = (
    "commits",
    "clusters",
    "group-partitions",
    "first, s",
    "later, s",
    "first, cpu s",
    "later, cpu s",
    "peak MB",
    "errors",
)
_DEADLINE = 300.0
_WIDTH = 130
_WATCHED = Filter(include=[f"{PREFIX}.*"])


def run_cycles(bootstrap: str, mode: Any, clusters: int, cycles: int, between: Sequence[str]) -> Mapping[str, Any]:
    """Run cycles of all clusters at once, and `between` them a command; return the figures of this process."""
    collectors = [
        KafkaCollector(
            KafkaCluster(
                name=f"bench-{number}",
                kind="kafka",
                bootstrap_servers=bootstrap,
                topics=_WATCHED,
                groups=_WATCHED,
                commits=mode,
            ),
            (),
            Clock(),
        )
        for number in range(clusters)
    ]
    walls, processors, snapshots = [], [], []
    with ThreadPoolExecutor(clusters) as pool:
        for _ in range(cycles):
            wall, processor = time.perf_counter(), time.process_time()
            snapshots = list(pool.map(_collect, collectors))
            walls.append(time.perf_counter() - wall)
            processors.append(time.process_time() - processor)
            subprocess.run(between, check=True, stdout=subprocess.DEVNULL)
    for collector in collectors:
        collector.close()
    return {
        "rows": sum(len(it.parts.ids) for it in snapshots if it.parts),
        "measured": sum(subscription.measured for it in snapshots for subscription in it.subscriptions),
        "walls": walls,
        "processors": processors,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "errors": sum(len(it.errors) for it in snapshots),
    }


def _collect(collector: KafkaCollector) -> Snapshot:
    return collector.collect(time.monotonic() + _DEADLINE)


def tell(mode: str, clusters: int, figures: Mapping[str, Any]) -> Sequence[str]:
    """Return a row of the table."""
    walls, processors = figures["walls"], figures["processors"]
    return (
        mode,
        str(clusters),
        f"{figures['measured']:,} of {figures['rows']:,}",
        f"{walls[0]:.2f}",
        f"{statistics.median(walls[1:]):.2f}",
        f"{processors[0]:.2f}",
        f"{statistics.median(processors[1:]):.2f}",
        f"{figures['peak']:.0f}",
        str(figures["errors"]),
    )


def main() -> None:
    """Print a table, a row for each way and number of clusters."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bootstrap", required=True)
    add_size_options(parser)
    parser.add_argument("--cycles", type=int, default=6, help="how many, the first one included (%(default)s)")
    parser.add_argument("--commits", default=",".join(MODES), help="ways to read commits (%(default)s)")
    parser.add_argument("--clusters", default="1", help="how many at once; several after commas (%(default)s)")
    parser.add_argument("--again", type=int, default=5, help="groups that commit between two cycles (%(default)s)")
    parser.add_argument("--figures", action="store_true", help="run one combination here, and print JSON")
    given = parser.parse_args()
    if given.figures:
        size = size_of(given)
        again = ["--again", str(given.again), *size.options]
        between = [sys.executable, "-m", "benchmarks.kafka.fixture", "--bootstrap", given.bootstrap, *again]
        print(json.dumps(run_cycles(given.bootstrap, given.commits, int(given.clusters), given.cycles, between)))
        return
    table = Table(*COLUMNS, title="Cycles of Kafka collectors: the first, and the median of the others")
    for clusters in given.clusters.split(","):
        for mode in given.commits.split(","):
            options = ["--commits", mode, "--clusters", clusters, "--cycles", str(given.cycles), "--figures"]
            command = [sys.executable, "-m", "benchmarks.kafka.cycle", "--bootstrap", given.bootstrap, *options]
            command += ["--again", str(given.again), *size_of(given).options]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            table.add_row(*tell(mode, int(clusters), json.loads(done.stdout)))
    Console(width=_WIDTH).print(table)


if __name__ == "__main__":
    main()
