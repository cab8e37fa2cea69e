"""Redrives dead letters while the broker, the network or the database fails; counts at the target.

    python -m benchmarks.soak redrive-faults-rabbitmq    (or -sqs, or -kafka)

The broker hangs, dies and comes back; the network takes what is sent and loses the answers; the database takes no more
writes. Nothing may be lost, no more may be doubled than the plan said for each interruption, and the report adds up.
"""

import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.soak.grounds import ENVIRONMENT, Ground, own_ground
from stack.control import Stack
from tests.integration.app.running import wait_until
from tests.integration.redrive.server import ENDED, Server, running

MESSAGES, PER_SECOND = 20_000, 400.0
_FROZEN_SECONDS, _DEAF_SECONDS, _FULL_SECONDS = 30.0, 1.0, 10.0
_PATIENCE_SECONDS = 300.0
_KILLED = "broker killed and restarted"
_FULL_BYTES = 4096  # what no database's file is too small for

Fault = Callable[[Server], None]


@dataclass(frozen=True, slots=True)
class Proof:
    """What was counted: `unique` of the messages at the target, `doubled` beyond these, `stayed` in the queue.

    `told` are the messages of the monitor's log.
    """

    faults: int
    messages: int
    unique: int
    doubled: int
    allowed: int
    stayed: int
    interruptions: int
    state: str
    adds_up: bool
    seconds: float
    told: Sequence[str]

    @property
    def holds(self) -> bool:
        """Say whether nothing was lost, no more doubled than the plan said, and the report adds up."""
        complete = self.unique == self.messages and not self.stayed and self.state == "completed"
        return complete and self.doubled <= self.allowed and self.adds_up


def prove(
    ground: Ground,
    folder: Path,
    faults: Sequence[Fault],
    messages: int,
    rate: float | None,
    database: str | None = None,
    *,
    is_forgetful: bool = False,
) -> Proof:
    """Redrive so many messages with these faults, spread over the job, and count.

    A broker that `is_forgetful` may give all of them back at each fault, although they were removed.
    """
    before = ground.arrived()  # Kafka keeps what an earlier proof has sent
    ground.fill(messages)
    began = time.monotonic()
    with running(Server(folder, ground.clusters, ENVIRONMENT, database=database)) as server:
        server.wait_for_queue(ground.queue)
        plan = server.client.plan_redrive(ground.queue, rate=rate)
        assert plan["blockers"] == [], plan["blockers"]
        job = server.client.start_redrive(plan["id"], plan["hash"])["id"]
        for number, fault in enumerate(faults):
            goal = messages * (number + 1) // (len(faults) + 2)
            wait_until(f"{goal} are sent", partial(has_sent, server, job, goal), _PATIENCE_SECONDS)
            fault(server)
        ended = server.wait_for_job(job, seconds=_PATIENCE_SECONDS)
        report = server.client.redrive_report(job)
        told = [str(event["message"]) for event in server.events()]
    arrived = ground.arrived() - before
    allowed = len(faults) * (messages if is_forgetful else int(plan["max_duplicates_per_interruption"]))
    return Proof(
        faults=len(faults),
        messages=messages,
        unique=len(arrived),
        doubled=arrived.total() - len(arrived),
        allowed=allowed,
        stayed=ground.waiting(),
        interruptions=int(report["interruptions"]),
        state=ended["state"],
        adds_up=report["adds_up"],
        seconds=time.monotonic() - began,
        told=told,
    )


def has_sent(server: Server, job: str, goal: int) -> bool:
    """Say whether a job has sent so many; it must not have ended."""
    told = server.client.redrive(job)
    assert told["state"] not in ENDED, f"it was over before the fault came: {told['state']} {told['reason']}"
    return told["counts"]["sent"] >= goal


# -- faults -----------------------------------------------------------------------------------------------------------


def freeze(stack: Stack, name: str, seconds: float) -> Fault:
    """The broker hangs for a time."""

    def fault(_: Server) -> None:
        stack.freeze(name)
        time.sleep(seconds)
        stack.thaw(name)

    return fault


def kill(stack: Stack, name: str) -> Fault:
    """The broker dies, and is started again."""

    def fault(_: Server) -> None:
        stack.kill(name)
        stack.restart(name)

    return fault


def lose_answers(ground: Ground, seconds: float = _DEAF_SECONDS) -> Fault:
    """Messages arrive at the broker, what it answers is lost, and then all connections are."""
    link = ground.link
    assert link is not None

    def fault(_: Server) -> None:
        link.deafening = ground.mark
        assert link.is_deaf.wait(_PATIENCE_SECONDS)
        time.sleep(seconds)
        link.deafening = None
        link.reset()
        link.is_deaf.clear()

    return fault


def fill_database(seconds: float) -> Fault:
    """The files of the database take nothing more for a time, as on a disk that is full."""

    def fault(server: Server) -> None:
        with limited_files(server.pid):
            time.sleep(seconds)

    return fault


@contextmanager
def limited_files(pid: int) -> Iterator[None]:
    """Have a process write nothing into files beyond their first page."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (_FULL_BYTES, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


# -- the proofs -------------------------------------------------------------------------------------------------------


def proofs(bus: str, ground: Ground, stack: Stack) -> Mapping[str, Sequence[Fault]]:
    """Return which faults are tried; the stand-in for AWS keeps its queues in memory, so that it is not killed."""
    name = {"sqs": "aws"}.get(bus, bus)
    faults: dict[str, Sequence[Fault]] = {
        f"broker frozen for {_FROZEN_SECONDS:.0f} s": [freeze(stack, name, _FROZEN_SECONDS)],
        "answers lost, then the connections": [lose_answers(ground)] * 5,
        "database full": [fill_database(_FULL_SECONDS)] * 2,
    }
    if bus != "sqs":
        faults[_KILLED] = [kill(stack, name)] * 2
    return faults


def main(bus: str) -> int:
    """Run all proofs of a bus and print their table; return 1 when one does not hold."""
    headings = ("messages", "faults", "interruptions", "lost", "doubled", "allowed", "stayed", "state", "seconds")
    table = Table("fault", *headings, "holds", title=f"Redrive on {bus} with faults")
    failed = False
    with tempfile.TemporaryDirectory() as made, own_ground({"sqs": "aws"}.get(bus, bus), Path(made)) as (ground, stack):
        for number, (name, faults) in enumerate(proofs(bus, ground, stack).items()):
            folder = Path(made) / f"monitor{number}"
            folder.mkdir()
            # A classic queue of RabbitMQ forgets acknowledgements when its node is killed; the plan says so.
            is_forgetful = bus == "rabbitmq" and name == _KILLED
            it = prove(ground, folder, faults, MESSAGES, PER_SECOND, is_forgetful=is_forgetful)
            cells = (it.messages, it.faults, it.interruptions, it.messages - it.unique, it.doubled, it.allowed)
            told = (*(f"{cell:,}" for cell in cells), str(it.stayed), it.state, f"{it.seconds:.0f}", str(it.holds))
            table.add_row(name, *told)
            failed |= not it.holds
    Console(width=140).print(table)
    return int(failed)
