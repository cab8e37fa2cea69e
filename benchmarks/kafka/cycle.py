"""Times the Kafka collector's cycles on a cluster that `benchmarks.kafka.fixture` has filled.

python -m benchmarks.kafka.cycle --bootstrap HOST:PORT [--cycles 5] [--include 'bench.*']
"""

import argparse
import resource
import time
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from monitor.brokers.kafka.collector import KafkaCollector
from monitor.clock import Clock
from monitor.config import Filter, KafkaCluster
from monitor.model import Snapshot

_DEADLINE = 300.0


def measure(cluster: KafkaCluster, cycles: int) -> Iterator[tuple[Snapshot, float, float]]:
    """Run cycles and yield each snapshot with its wall-clock and processor seconds."""
    collector = KafkaCollector(cluster, (), Clock())
    for _ in range(cycles):
        wall, processor = time.perf_counter(), time.process_time()
        snapshot = collector.collect(time.monotonic() + _DEADLINE)
        yield snapshot, time.perf_counter() - wall, time.process_time() - processor
    collector.close()


def peak_megabytes() -> float:
    """Return the largest resident size that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print a table of cycles."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--cycles", type=int, default=5)
    parser.add_argument("--include", default="bench.*", help="topics and groups to watch (%(default)s)")
    given = parser.parse_args()
    names = Filter(include=[given.include])
    cluster = KafkaCluster(name="bench", kind="kafka", bootstrap_servers=given.bootstrap, topics=names, groups=names)
    table = Table("cycle", "group-partitions", "wall s", "processor s", "peak MB", "errors")
    table.add_row("(imports)", "", "", "", f"{peak_megabytes():.0f}", "")
    for number, (snapshot, wall, processor) in enumerate(measure(cluster, given.cycles), 1):
        rows = len(snapshot.parts.ids) if snapshot.parts else 0
        figures = (f"{rows:,}", f"{wall:.2f}", f"{processor:.2f}", f"{peak_megabytes():.0f}", str(len(snapshot.errors)))
        table.add_row(str(number), *figures)
    Console().print(table)


if __name__ == "__main__":
    main()
