"""What the monitor costs the brokers: their processor time with and without it, while the reference flow drives them.

python -m benchmarks.load --stack DIR [--orders 1500] [--rounds 2]

The flow publishes and consumes as fast as the machine lets it; the monitor watches at the intervals of the demo, which
are shorter than anybody's in production. Rounds without and with it take turns, so that both see the same machine.
"""

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from examples.event_flow.buses.base import BusAway
from examples.event_flow.flow import BUSES, remove
from examples.event_flow.names import Endpoints, Names
from stack.control import Stack
from stack.demo import monitor_program, next_free_port
from stack.web import get
from tests.waiting import wait_for

ROOT = Path(__file__).parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE_SECONDS = 120.0
EVENTS_PER_ORDER = 2


@dataclass
class Sums:
    """What rounds of one kind took: processor seconds by broker, and seconds."""

    processor: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    seconds: float = 0.0


def main() -> None:
    """Drive the brokers, with and without a monitor, and print what each of them needed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stack", type=Path, required=True)
    parser.add_argument("--orders", type=int, default=1500, help="of each round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="of each kind (%(default)s)")
    given = parser.parse_args()
    stack, without, with_monitor = Stack(given.stack), Sums(), Sums()
    _drive(stack, given.orders // 10, Sums())  # brokers compile and cache at first
    for _ in range(given.rounds):
        _drive(stack, given.orders, without)
        with _monitor(stack):
            _drive(stack, given.orders, with_monitor)
    Console().print(_table(without, with_monitor, given.orders * given.rounds * EVENTS_PER_ORDER))


def _drive(stack: Stack, orders: int, sums: Sums) -> None:
    names = Names(f"load-{secrets.token_hex(3)}-")
    with tempfile.TemporaryDirectory() as store:
        endpoints = stack.directory / "endpoints.json"
        where = ["--endpoints", str(endpoints), "--prefix", names.prefix, "--store", store]
        calm = ["--poison", "0", "--flaky", "0", "--work", "0"]
        before, began = _processor_seconds(stack), time.monotonic()
        argv = [sys.executable, "-m", "examples.event_flow", *where, *calm, "--count", str(orders)]
        subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, timeout=_PATIENCE_SECONDS)
        sums.seconds += time.monotonic() - began
        for name, seconds in _processor_seconds(stack).items():
            sums.processor[name] += seconds - before[name]
    for bus in BUSES:
        wait_for(lambda bus=bus: _removed(bus, Endpoints.load(endpoints), names), bus)  # type: ignore[misc]


def _removed(bus: str, endpoints: Endpoints, names: Names) -> bool:
    try:
        remove(bus, endpoints, names)
    except BusAway:
        return False
    return True


def _processor_seconds(stack: Stack) -> Mapping[str, float]:
    # What the stand-in for AWS needs says nothing about AWS.
    return {server.name: sum(_of(pid) for pid in server.pids) for server in stack.status() if server.name != "aws"}


def _of(pid: int) -> float:
    # After the name in brackets, which may hold anything: state, parent, ... and as 12th and 13th the time.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def _monitor(stack: Stack) -> Iterator[None]:
    port = next_free_port(9700)
    program = monitor_program(stack.endpoints, port)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "load.yml"
        shipped = (ROOT / "config" / "demo.yml").read_text(encoding="utf-8")
        config.write_text(f"database_url: sqlite:///{folder}/eventflow.db\n{shipped}", encoding="utf-8")
        arguments = [str(config) if it == "config/demo.yml" else it for it in program.arguments]
        running = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env={**os.environ, **program.environment},
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(lambda: _is_ready(port), "the monitor", _PATIENCE_SECONDS)
            yield
        finally:
            running.terminate()
            running.wait(20)


def _is_ready(port: int) -> bool:
    try:
        return get(port, "/readyz")[0] == 200
    except OSError:
        return False


def _table(without: Sums, with_monitor: Sums, events: int) -> Table:
    table = Table("processor seconds", "without the monitor", "with it", "more")
    for name, alone in sorted(without.processor.items()):
        watched = with_monitor.processor[name]
        table.add_row(name, f"{alone:.2f}", f"{watched:.2f}", f"{100 * (watched / alone - 1):+.0f} %")
    rates = [f"{events / sums.seconds:.0f}" for sums in (without, with_monitor)]
    table.add_row("events a second on each bus", *rates, "")
    return table


if __name__ == "__main__":
    main()
