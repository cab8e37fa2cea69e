"""Coordinators that move again and again, under processes that ask in a tight loop: do they live, and tell the truth?

python -m benchmarks.soak coordinators
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from confluent_kafka import ElectionType
from rich.console import Console
from rich.table import Table

from stack.control import Stack
from stack.state import Options
from tests.integration.kafka.playground import Playground
from tests.waiting import wait_for

ROUNDS = 12
_FROZEN_SECONDS = 8.0  # long enough for others to take over
_PATIENCE_SECONDS = 120.0
_BACKLOG = 6
# The library keeps eleven coordinators in mind: with fewer groups it asks stale ones, with more it looks them up.
_WATCHERS = (("few", 4, "admin"), ("many", 40, "admin"), ("many", 40, "offsets_topic"))


class Watcher:
    """A process that looks at the groups of one prefix as often as it can."""

    def __init__(self, kafka: Playground, name: str, groups: int, mode: str, folder: Path) -> None:
        self.title, self._groups = f"{groups} groups, {mode}", groups
        self._output = folder / f"{name}-{mode}"
        command = [sys.executable, "-m", "tests.integration.kafka.polling", kafka.bootstrap, kafka.name(name), mode]
        with self._output.open("w") as file:
            self.process = subprocess.Popen(command, stdout=file)

    def looks(self) -> list[dict[str, Any]]:
        """Return what it has seen so far. Exits when it has died."""
        if self.process.poll() is not None:
            raise SystemExit(f"the process of {self.title} has died: {self.process.returncode}")
        return [json.loads(line) for line in self._output.read_text().splitlines()[:-1]]

    def tells_truth(self, since: int) -> bool:
        """Say whether the last look, one after the first `since`, has every backlog."""
        looks = self.looks()
        return len(looks) > since and looks[-1]["backlogs"] == [_BACKLOG] * self._groups

    def megabytes(self) -> float:
        """Return its resident size."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def main() -> int:
    """Move coordinators in every way, in turn and at random, and print how long the truth took to come back."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as cleared:
        stack = Stack(Path(folder) / "stack", Options(kafka_brokers=3, parts=("kafka",)))
        stack.start()
        cleared.callback(stack.stop)
        kafka = Playground(stack.endpoints.kafka)
        _fill(kafka)
        watchers = [Watcher(kafka, name, groups, mode, Path(folder)) for name, groups, mode in _WATCHERS]
        for watcher in watchers:
            cleared.callback(watcher.stop)
            wait_for(lambda watcher=watcher: watcher.tells_truth(0), "a first look", _PATIENCE_SECONDS)  # type: ignore[misc]
        _move(stack, kafka, watchers)
    return 0


def _move(stack: Stack, kafka: Playground, watchers: Sequence[Watcher]) -> None:
    ways: Mapping[str, Callable[[str], None]] = {
        "restarted": stack.restart,
        "killed, started": lambda broker: _kill(stack, broker),
        "frozen, thawed": lambda broker: _freeze(stack, broker),
        "leaders elected": lambda _: None,
    }
    table = Table("moved by", "broker", *(f"{it.title}: truth after s" for it in watchers))
    before, chance = [it.megabytes() for it in watchers], random.Random(1)
    for number in range(ROUNDS):
        way, broker = list(ways)[number % len(ways)], f"kafka-{chance.randint(1, 3)}"
        ways[way](broker)
        kafka.admin.elect_leaders(ElectionType.PREFERRED).result(30)
        table.add_row(way, broker, *_await_truth(watchers))
    Console(width=140).print(table)
    facts = Table("process", "looks", "wrong ones", "denials", "MB before", "MB after")
    for watcher, size in zip(watchers, before, strict=True):
        looks = watcher.looks()
        denials = sum("ot coordinator" in look["said"] for look in looks)
        wrong = sum(not set(look["backlogs"]) <= {_BACKLOG, None} for look in looks)
        sizes = (f"{size:.0f}", f"{watcher.megabytes():.0f}")
        facts.add_row(watcher.title, f"{len(looks):,}", str(wrong), str(denials), *sizes)
    Console(width=140).print(facts)


def _await_truth(watchers: Sequence[Watcher]) -> list[str]:
    began, seen = time.monotonic(), [len(watcher.looks()) for watcher in watchers]
    taken: dict[int, float] = {}

    def all_true() -> bool:
        for number, watcher in enumerate(watchers):
            if number not in taken and watcher.tells_truth(seen[number]):
                taken[number] = time.monotonic() - began
        return len(taken) == len(watchers)

    wait_for(all_true, "the truth", _PATIENCE_SECONDS)
    return [f"{taken[number]:.1f}" for number in range(len(watchers))]


def _kill(stack: Stack, broker: str) -> None:
    stack.kill(broker)
    stack.restart(broker)


def _freeze(stack: Stack, broker: str) -> None:
    stack.freeze(broker)
    time.sleep(_FROZEN_SECONDS)
    stack.thaw(broker)


def _fill(kafka: Playground) -> None:
    for name, groups in {name: groups for name, groups, _ in _WATCHERS}.items():
        topic = kafka.topic(name, replicas=3)
        kafka.produce(topic, 10)
        for number in range(groups):
            kafka.commit(kafka.name(f"{name}-{number}"), topic, 10 - _BACKLOG)


if __name__ == "__main__":
    sys.exit(main())
