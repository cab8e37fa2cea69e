"""All figures, as tables, on brokers of this run: `make bench`, or `make bench ONLY=kafka,aws`."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stack.control import Stack
from stack.state import Endpoints

Commands = Callable[[Endpoints], Sequence[Sequence[str]]]


def kafka_at(topics: int, partitions: int, groups: int) -> Commands:
    """Return the commands for one size of the Kafka fixture: fill, collector alone, whole monitor, remove."""

    def commands(endpoints: Endpoints) -> Sequence[Sequence[str]]:
        bootstrap = ("--bootstrap", endpoints.kafka)
        size = ("--topics", str(topics), "--partitions", str(partitions), "--groups", str(groups))
        return [
            ("benchmarks.kafka.fixture", *bootstrap, *size),
            ("benchmarks.kafka.cycle", *bootstrap),
            ("benchmarks.whole", *bootstrap),
            ("benchmarks.kafka.fixture", *bootstrap, *size, "--remove"),
        ]

    return commands


BENCHMARKS: Mapping[str, Commands] = {
    "kafka": kafka_at(topics=100, partitions=20, groups=79),
    "aws": lambda endpoints: [("benchmarks.aws.cycle", "--endpoint", endpoints.aws)],
    "analysis": lambda _: [("benchmarks.analysis",)],
    "exposition": lambda _: [("benchmarks.exposition",)],
    "demo": lambda _: [("benchmarks.demo",)],
}


def main() -> int:
    """Run the benchmarks that ONLY names, or all; return 1 when one of them failed."""
    chosen = [name for name in os.environ.get("ONLY", "").split(",") if name] or list(BENCHMARKS)
    unknown = set(chosen) - set(BENCHMARKS)
    if unknown:
        print(f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}.")
        return 2
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder))
        endpoints = stack.start()
        try:
            for name in chosen:
                for command in BENCHMARKS[name](endpoints):
                    print(f"\n== {' '.join(command)}", flush=True)
                    failed |= subprocess.run([sys.executable, "-m", *command], check=False).returncode != 0
        finally:
            stack.stop()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
