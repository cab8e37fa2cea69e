"""All figures, as tables, on brokers of this run: `make bench`, or `make bench ONLY=kafka,aws`."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stack.control import Stack

GROWTH_PICTURE = "docs/pictures/growth.svg"

Commands = Callable[[Stack], Sequence[Sequence[str]]]


def kafka_at(topics: int, partitions: int, groups: int, clusters: str) -> Commands:
    """Return the commands for one size of the Kafka fixture: fill, collectors alone, whole monitor, remove."""

    def commands(stack: Stack) -> Sequence[Sequence[str]]:
        bootstrap = ("--bootstrap", stack.endpoints.kafka)
        size = ("--topics", str(topics), "--partitions", str(partitions), "--groups", str(groups))
        return [
            ("benchmarks.kafka.fixture", *bootstrap, *size),
            ("benchmarks.kafka.cycle", *bootstrap, *size, "--clusters", clusters),
            ("benchmarks.whole", *bootstrap),
            ("benchmarks.whole", *bootstrap, "--commits", "offsets_topic"),
            # What the others show: the budget for a million is about this family alone.
            ("benchmarks.whole", *bootstrap, "--families", "kafka_consumer_group_lag_messages"),
            ("benchmarks.kafka.fixture", *bootstrap, *size, "--remove"),
        ]

    return commands


def rabbitmq_addresses(stack: Stack) -> Sequence[str]:
    """Return the options that name the three addresses of RabbitMQ."""
    rabbitmq = stack.endpoints.rabbitmq
    return (
        "--amqp",
        rabbitmq.amqp,
        "--management",
        rabbitmq.management,
        "--prometheus",
        rabbitmq.prometheus,
    )


BENCHMARKS: Mapping[str, Commands] = {
    "kafka": kafka_at(topics=100, partitions=20, groups=79, clusters="1,10"),
    "kafka-million": kafka_at(topics=250, partitions=20, groups=200, clusters="1"),
    "ages": lambda stack: [("benchmarks.kafka.ages", "--bootstrap", stack.endpoints.kafka)],
    "rabbitmq": lambda stack: [("benchmarks.rabbitmq.cycle", *rabbitmq_addresses(stack))],
    "aws": lambda stack: [("benchmarks.aws.cycle", "--endpoint", stack.endpoints.aws)],
    "redrive": lambda stack: [
        ("benchmarks.kafka.redrive", "--bootstrap", stack.endpoints.kafka),
        ("benchmarks.rabbitmq.redrive", "--endpoints", str(stack.directory / "endpoints.json")),
        ("benchmarks.aws.redrive", "--endpoint", stack.endpoints.aws),
    ],
    "growth": lambda stack: [
        ("benchmarks.growth", "--endpoints", str(stack.directory / "endpoints.json"), "--picture", GROWTH_PICTURE)
    ],
    "load": lambda stack: [("benchmarks.load", "--stack", str(stack.directory))],
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
        stack.start()
        try:
            for name in chosen:
                for command in BENCHMARKS[name](stack):
                    print(f"\n== {command[0]}", flush=True)
                    failed |= subprocess.run([sys.executable, "-m", *command], check=False).returncode != 0
        finally:
            stack.stop()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
