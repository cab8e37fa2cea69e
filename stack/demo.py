"""The demo: brokers, reference flow, monitor and dashboard on this machine, started in turn and ended together."""

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack import processes
from stack.control import Stack
from stack.errors import StackError
from stack.interrupts import interrupt_once
from stack.ports import can_listen
from stack.state import Endpoints
from stack.web import get

MONITOR_PORT = 9610
DASHBOARD_PORT = 8501
FLOW_PORT = 9620
READY_SECONDS = 60.0
GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.1
_PORTS_TRIED = 100

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Program:
    """One program of ours, and the loopback address that says that it serves (None: it need not say so)."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    port: int | None = None
    path: str = "/"


class Demo:
    """The demo that lives in one stack's folder."""

    def __init__(self, stack: Stack, progress: Progress) -> None:
        self._stack, self._progress = stack, progress
        self._running: dict[str, int] = {}
        # Written while the brokers are the demo's own, so that a demo that was killed is tidied up by the next one.
        self._owner_mark = stack.directory / "started-by-demo"
        # Where the demo answers, for whoever runs a scenario against it.
        self._addresses = stack.directory / "demo.json"

    def run(self) -> None:
        """Bring everything up, tell the addresses, and watch until a KeyboardInterrupt; then end what was started.

        Raises:
            StackError: something did not come up, or ended by itself; the end of its log is in the text.
        """
        with only_one(self._stack.directory):
            try:
                self._end_programs()  # what a demo that was killed left behind
                endpoints = self._start_brokers()
                self._start_programs(endpoints)
                self._watch()
            finally:
                self._progress("Stopping what the demo started")
                self._addresses.unlink(missing_ok=True)
                self._end_programs()
                if self._owner_mark.exists():
                    self._stack.stop()
                    self._owner_mark.unlink(missing_ok=True)

    def _start_brokers(self) -> Endpoints:
        if not self._stack.status():
            self._owner_mark.touch()
        self._progress("1/4 Brokers: Kafka, RabbitMQ, and LocalStack for SNS, SQS and CloudWatch")
        return self._stack.start(lambda text: self._progress(f"      {text}"))

    def _start_programs(self, endpoints: Endpoints) -> None:
        monitor, dashboard, flow = (next_free_port(it) for it in (MONITOR_PORT, DASHBOARD_PORT, FLOW_PORT))
        self._progress("2/4 Reference flow: Orders and Payment publish, Notification and Inventory consume")
        self._launch(reference_flow(self._stack.directory, flow))
        self._progress(f"3/4 Monitor on port {monitor}{_instead_of(MONITOR_PORT, monitor)}")
        self._launch(monitor_program(endpoints, monitor))
        self._progress(f"4/4 Dashboard on port {dashboard}{_instead_of(DASHBOARD_PORT, dashboard)}")
        self._launch(dashboard_program(dashboard, monitor))
        self._addresses.write_text(json.dumps({"monitor": f"http://127.0.0.1:{monitor}"}), encoding="utf-8")
        self._progress(addresses(endpoints, monitor, dashboard, flow))

    def _launch(self, program: Program) -> None:
        argv = [sys.executable, "-m", *program.arguments]
        environment = {**os.environ, **program.environment}
        log = self._log(program.name)
        log.unlink(missing_ok=True)
        self._running[program.name] = processes.spawn(argv, environment, log, self._mark(program.name))
        give_up = time.monotonic() + READY_SECONDS
        while program.port is not None and not _serves(program.port, program.path):
            self._look()
            if time.monotonic() > give_up:
                raise StackError(
                    f"{program.name} does not serve after {READY_SECONDS:.0f} s.\n{self._tail(program.name)}"
                )

    def _watch(self) -> None:
        while True:
            self._look()

    def _look(self) -> None:
        """Wait a moment; raise when a program has ended by itself."""
        time.sleep(_LOOK_SECONDS)
        for name, pid in self._running.items():
            status = processes.exit_status(pid)
            if status is not None:
                del self._running[name]
                raise StackError(f"{name} ended with status {status}.\n{self._tail(name)}")

    def _end_programs(self) -> None:
        processes.stop([self._mark(name) for name in PROGRAMS], GRACE_SECONDS)
        for pid in self._running.values():
            processes.exit_status(pid)
        self._running.clear()

    def _mark(self, name: str) -> str:
        return processes.mark_of(self._stack.directory, f"demo-{name}")

    def _log(self, name: str) -> Path:
        return self._stack.directory / "logs" / f"{name}.log"

    def _tail(self, name: str) -> str:
        return processes.log_tail(self._log(name))


PROGRAMS = ("flow", "monitor", "dashboard")


def reference_flow(directory: Path, metrics_port: int) -> Program:
    """Return the services that publish and consume on all three buses."""
    endpoints = str(directory / "endpoints.json")
    return Program(
        "flow",
        ("examples.event_flow", "--endpoints", endpoints, "--metrics-port", str(metrics_port)),
        {},
        metrics_port,
        "/metrics",
    )


def monitor_program(endpoints: Endpoints, port: int) -> Program:
    """Return the monitor, watching the stack's brokers."""
    environment = {
        "KAFKA_BOOTSTRAP": endpoints.kafka,
        "RABBITMQ_AMQP_URL": endpoints.rabbitmq.amqp,
        "RABBITMQ_MANAGEMENT_URL": endpoints.rabbitmq.management,
        "RABBITMQ_PROMETHEUS_URL": endpoints.rabbitmq.prometheus,
        "AWS_ENDPOINT_URL": endpoints.aws,
    }
    arguments = ("monitor", "serve", "--config", "config/demo.yml", "--listen", f"127.0.0.1:{port}")
    return Program("monitor", arguments, environment, port, "/readyz")


def dashboard_program(port: int, monitor_port: int) -> Program:
    """Return the dashboard, asking the monitor on `monitor_port`."""
    arguments = ("monitor", "dashboard", "--port", str(port), "--url", f"http://127.0.0.1:{monitor_port}")
    return Program("dashboard", arguments, {}, port, "/_stcore/health")


def addresses(endpoints: Endpoints, monitor: int, dashboard: int, flow: int) -> str:
    """Return what a person needs to know once everything is up."""
    return "\n".join(
        [
            "",
            f"  Dashboard    http://127.0.0.1:{dashboard}",
            f"  Metrics      http://127.0.0.1:{monitor}/metrics, of the services http://127.0.0.1:{flow}/metrics",
            f"  API          http://127.0.0.1:{monitor}/docs",
            f"  Kafka        {endpoints.kafka}",
            f"  RabbitMQ     {_without_credentials(endpoints.rabbitmq.management)}",
            f"  AWS          {endpoints.aws}",
            "",
            f"  EVENTFLOW_URL=http://127.0.0.1:{monitor} .venv/bin/eventflow status",
            "  .venv/bin/eventflow demo scenario list      what can be broken on purpose",
            "",
            "Ctrl-C stops all of it.",
        ]
    )


def next_free_port(preferred: int) -> int:
    """Return the preferred port, or the next one that nobody listens on.

    Raises:
        StackError: none of the hundred ports from there is free.
    """
    for port in range(preferred, preferred + _PORTS_TRIED):
        if can_listen(port):
            return port
    raise StackError(f"No port from {preferred} to {preferred + _PORTS_TRIED - 1} is free on 127.0.0.1.")


@contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Hold the folder for one demo; the lock goes with the process, however it ends.

    Raises:
        StackError: another demo runs in this folder.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError("A demo runs here already; stop it with Ctrl-C where it was started.") from error
        yield


def _serves(port: int, path: str) -> bool:
    try:
        return get(port, path)[0] == 200
    except OSError:
        return False


def _instead_of(preferred: int, port: int) -> str:
    return "" if port == preferred else f", since {preferred} is taken"


def _without_credentials(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def main() -> int:
    """Run the demo until Ctrl-C; give the exit code: 0 when it was told to end, 1 when something failed."""
    interrupt_once(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    began = time.monotonic()

    def progress(text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)

    stack = Stack(Path(os.environ.get("EVENTFLOW_STACK_DIR", ".stack")))
    try:
        Demo(stack, progress).run()
    except KeyboardInterrupt:
        return 0
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
