"""Redrives Kafka dead letters while the monitor that does it is killed again and again; counts at the target.

    python -m benchmarks.soak redrive-kafka
    python -m benchmarks.soak redrive-kafka-faults    (the broker is killed and frozen instead of the monitor)
    python -m benchmarks.soak redrive-kafka-elsewhere (to another cluster, the monitor killed)

The whole monitor runs as its users run it, over one database, and is killed with -9. A reader of committed data must
see every message exactly once; at another cluster, each at least once, with no more duplicates than the plan said.
EVENTFLOW_TEST_ENDPOINTS names the brokers of a running stack, if they are to be used.
"""

import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stack.control import Stack
from stack.state import Options, read_endpoints
from tests.integration.app.running import wait_until
from tests.integration.kafka.playground import Playground
from tests.integration.redrive.kafka.yard import Yard, spring_headers
from tests.integration.redrive.server import ENDED, Server

MESSAGES, KILLS, PER_SECOND = 20_000, 10, 500.0
_PATIENCE_SECONDS = 300.0

Fault = Callable[[Server], None]


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a job sends to: what its plan asks for, if anything, and the topic with where it can be read."""

    asked: str | None
    yard: Yard
    topic: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What was counted: `committed` by a reader of committed data, `written` by one that sees everything."""

    messages: int
    kills: int
    committed: int
    unique: int
    written: int
    waiting: int
    state: str
    adds_up: bool
    interruptions: int
    may_be_doubled: int
    seconds: float

    @property
    def holds(self) -> bool:
        """Say whether each message was seen as promised, none waits any more, and the report adds up."""
        once = self.unique == self.messages and self.committed - self.unique <= self.may_be_doubled
        return once and self.waiting == 0 and self.state == "completed" and self.adds_up


def main() -> int:
    """Run the proof in which the monitor is killed, and print its table."""
    with brokers() as bootstrap, tempfile.TemporaryDirectory() as folder:
        proof = prove(bootstrap, Path(folder), MESSAGES, KILLS, PER_SECOND)
    return tell("Kafka redrive, the monitor killed with -9", proof)


def main_elsewhere() -> int:
    """Run the proof with a target on another cluster, and print its table."""
    with tempfile.TemporaryDirectory() as folder:
        stacks = [Stack(Path(folder) / name, Options(parts=("kafka",))) for name in ("here", "there")]
        try:
            here, there = (stack.start().kafka for stack in stacks)
            proof = prove_elsewhere(here, there, Path(folder), MESSAGES, KILLS, PER_SECOND)
        finally:
            for stack in stacks:
                stack.stop()
    return tell("Kafka redrive to another cluster, the monitor killed with -9", proof)


def main_faults() -> int:
    """Run the proof in which the broker is killed and frozen, and print its table."""
    with tempfile.TemporaryDirectory() as folder:
        proof = prove_faults(Path(folder), MESSAGES, PER_SECOND / 2, frozen_seconds=30.0, kills_after=1)
    return tell("Kafka redrive, the broker killed, frozen for 30 s and killed again", proof)


def tell(title: str, proof: Proof) -> int:
    """Print the table; return the exit code."""
    table = Table(title=title)
    cells = {
        "messages": f"{proof.messages:,}",
        "faults": str(proof.kills),
        "seen": f"{proof.committed:,}",
        "lost": f"{proof.messages - proof.unique:,}",
        "doubled": f"{proof.committed - proof.unique:,}",
        "allowed": f"{proof.may_be_doubled:,}",
        "written": f"{proof.written:,}",
        "waiting": str(proof.waiting),
        "interruptions": str(proof.interruptions),
        "state": proof.state,
        "seconds": f"{proof.seconds:.0f}",
        "holds": str(proof.holds),
    }
    for name in cells:
        table.add_column(name, justify="right")
    table.add_row(*cells.values())
    Console(width=140).print(table)
    return 0 if proof.holds else 1


@contextmanager
def brokers() -> Iterator[str]:
    """Give the address of Kafka: of the stack that runs, or of one for this proof."""
    running = os.environ.get("EVENTFLOW_TEST_ENDPOINTS")
    if running:
        yield read_endpoints(Path(running)).kafka
        return
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack", Options(parts=("kafka",)))
        stack.start()
        try:
            yield stack.endpoints.kafka
        finally:
            stack.stop()


def prove(bootstrap: str, folder: Path, messages: int, kills: int, per_second: float) -> Proof:
    """Fill a dead-letter topic, redrive it while the monitor is killed so many times, and count."""
    return _prove(bootstrap, folder, messages, [kill_monitor] * kills, per_second)


def kill_monitor(server: Server) -> None:
    """Kill the monitor, and start it again."""
    server.kill()
    server.start()


def prove_elsewhere(here: str, there: str, folder: Path, messages: int, kills: int, per_second: float) -> Proof:
    """Do the same with a target on another cluster."""
    near, far = Playground(here), Playground(there)
    clusters = "".join(f"  - {{{_about(*it)}, redrive: {{}}}}\n" for it in (("k", near), ("far", far)))
    server = Server(folder, clusters, {"PATH": os.environ["PATH"]})
    yard, faults = Yard(near), [kill_monitor] * kills
    try:
        origin, dead = yard.pair(4)
        target = far.topic("orders", 4)
        yard.fill(dead, messages, spring_headers(origin))
        server.start()
        return _redrive(yard, server, Aim(f"far/{target}", Yard(far), target), dead, faults, per_second)
    finally:
        server.kill()
        near.clean()
        far.clean()


def prove_faults(
    folder: Path, messages: int, per_second: float, frozen_seconds: float, kills_after: int = 0
) -> Proof:  # fmt: skip
    """Do the same while a broker of its own is killed, frozen for a time, and killed again so many times."""
    stack = Stack(folder / "stack", Options(parts=("kafka",)))
    stack.start()

    def kill(_: Server) -> None:
        stack.kill("kafka")
        stack.restart("kafka")

    def freeze(_: Server) -> None:
        stack.freeze("kafka")
        time.sleep(frozen_seconds)
        stack.thaw("kafka")

    try:
        return _prove(stack.endpoints.kafka, folder, messages, [kill, freeze, *[kill] * kills_after], per_second)
    finally:
        stack.stop()


def _prove(bootstrap: str, folder: Path, messages: int, faults: Sequence[Fault], per_second: float) -> Proof:
    kafka = Playground(bootstrap)
    yard = Yard(kafka)
    server = Server(folder, f"  - {{{_about('k', kafka)}, redrive: {{}}}}\n", {"PATH": os.environ["PATH"]})
    try:
        target, dead = yard.pair(4)
        yard.fill(dead, messages, spring_headers(target))
        server.start()
        return _redrive(yard, server, Aim(None, yard, target), dead, faults, per_second)
    finally:
        server.kill()
        kafka.clean()


def _about(name: str, kafka: Playground) -> str:
    names = f'{{include: ["{kafka.prefix}*"]}}'
    return (
        f'name: {name}, kind: kafka, bootstrap_servers: "{kafka.bootstrap}", interval: 500ms, '
        f"topics: {names}, groups: {names}"
    )


def _redrive(yard: Yard, server: Server, aim: Aim, dead: str, faults: Sequence[Fault], per_second: float) -> Proof:
    began, moments = time.monotonic(), random.Random(7)
    queue = f"k/{dead}"
    server.wait_for_queue(queue)
    planned = server.client.plan_redrive(queue, rate=per_second, **({"target": aim.asked} if aim.asked else {}))
    job = server.client.start_redrive(planned["id"], planned["hash"])["id"]
    messages = planned["count"]
    for number, fault in enumerate(faults):
        goal = int(messages * (number + moments.random()) / (len(faults) + 1))
        wait_until(f"{goal} are sent", partial(_has_sent, server, job, goal), _PATIENCE_SECONDS)
        fault(server)
    ended = server.wait_for_job(job, seconds=_PATIENCE_SECONDS)
    report = server.client.redrive_report(job)
    waiting = server.client.plan_redrive(queue, target=aim.topic if aim.yard is yard else aim.asked)["count"]
    seen = Counter(json.loads(message.value() or b"")["id"] for message in aim.yard.read(aim.topic))
    return Proof(
        messages=messages,
        kills=len(faults),
        committed=seen.total(),
        unique=len(seen),
        written=len(aim.yard.read(aim.topic, "read_uncommitted")),
        waiting=waiting,
        state=ended["state"],
        adds_up=report["adds_up"] and ended["counts"]["sent"] == messages,
        interruptions=report["interruptions"],
        may_be_doubled=report["at_most_duplicates"],
        seconds=time.monotonic() - began,
    )


def _has_sent(server: Server, job: str, goal: int) -> bool:
    told = server.client.redrive(job)
    assert told["state"] not in ENDED, "it was over before the fault came"
    return told["counts"]["sent"] >= goal
