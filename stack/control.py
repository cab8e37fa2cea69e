"""A stack in one folder: start it, stop it, look at it, and break it on purpose."""

import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Any

from stack import processes
from stack.aws.standin import AwsStandIn
from stack.cache import locked
from stack.errors import StackError, StackInterrupted
from stack.kafka.broker import KafkaBroker, broker_name, controller_port_name
from stack.ports import reserve_ports
from stack.processes import mark_of
from stack.rabbitmq.node import RabbitmqNode, port_name
from stack.server import Server, Workshop, log_path
from stack.state import (
    Endpoints,
    Options,
    State,
    new_identity,
    new_password,
    read_endpoints,
    read_state,
    write_private,
    write_state,
)

READY_SECONDS = 120.0
GRACE_SECONDS = 6.0
RABBITMQ_PORTS = ("amqp", "management", "prometheus", "distribution", "epmd")

Progress = Callable[[str], None]
Make = Callable[[Path, State], list[Server]]


@dataclass(frozen=True)
class ServerStatus:
    """How one server is: `running`, `frozen`, `crippled` (a process of it is missing) or `stopped`."""

    name: str
    state: str
    pids: tuple[int, ...]
    address: str


class Stack:
    """The stack that lives in one folder; nothing is kept in memory, so any process can take over from another.

    Args:
        directory: the stack's own folder; state, data and logs are in it.
        options: what `start` makes; None takes whatever is up already, else the defaults.
        make: how its servers are made, where they are to differ from the stack's own.
    """

    def __init__(self, directory: Path, options: Options | None = None, make: Make | None = None) -> None:
        self.directory = directory.resolve()
        self.options = options
        self._make = make or servers_of

    @property
    def endpoints(self) -> Endpoints:
        """Where the parts answer.

        Raises:
            StackError: the stack is not ready.
        """
        return read_endpoints(self._endpoints_path)

    @property
    def _endpoints_path(self) -> Path:
        return self.directory / "endpoints.json"

    @property
    def _state_path(self) -> Path:
        return self.directory / "state.json"

    def start(self, progress: Progress = lambda _: None) -> Endpoints:
        """Bring everything up and wait until it serves; a stack that is up already only gets what it lacks.

        Raises:
            StackError: a part did not come up (the end of its log is in the text), or a stack of another make is there.
                Whatever this call started has ended again.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with locked(self.directory / "lock"):
            state = read_state(self._state_path)
            if state is not None and self._endpoints_path.exists():
                self._complete(state, progress)
            else:
                self._start_empty(progress)
        return self.endpoints

    def _complete(self, state: State, progress: Progress) -> None:
        if self.options not in (None, state.options):
            raise StackError(
                f"Another stack is up in {self.directory} ({describe(state.options)}): take it down first."
            )
        lacking = []
        for server in self._make(self.directory, state):
            how = self._look_at(server).state
            progress(f"{server.name}: {how} already" if how == "running" else f"{server.name}: was {how}")
            if how == "frozen":
                processes.send_signal(self._marks([server]), signal.SIGCONT)
            elif how != "running":
                self._end([server])
                lacking.append(server)
        self._launch(lacking, progress, prepare=False)

    def _start_empty(self, progress: Progress) -> None:
        options = self.options or Options()
        self._clear()  # what an earlier start left behind that was killed before it could tidy up
        shutil.rmtree(self.directory / "logs", ignore_errors=True)
        state = State(
            options=options,
            ports=reserve_ports(_port_names(options), owner=self.directory),
            identity=new_identity(),
            password=new_password(),
        )
        write_state(self._state_path, state)
        servers = self._make(self.directory, state)
        try:
            self._launch(servers, progress, prepare=True)
        except BaseException:
            self._clear()
            raise
        write_private(self._endpoints_path, _endpoints_of(servers, state))

    def _launch(self, servers: Sequence[Server], progress: Progress, *, prepare: bool) -> None:
        """Bring servers up side by side; when one fails or somebody interrupts, end them all."""
        if not servers:
            return
        given_up, voice = Event(), Lock()

        def tell(text: str) -> None:
            with voice:  # the servers come up in threads, and lines that are told at once run into each other
                progress(text)

        with ThreadPoolExecutor(len(servers), thread_name_prefix="stack") as pool:
            futures = [pool.submit(self._bring_up, server, tell, given_up, prepare=prepare) for server in servers]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            except BaseException:
                given_up.set()
                wait(futures)  # a thread that is about to start a process has to be through with it before we look
                self._end(servers)
                raise

    def _bring_up(self, server: Server, progress: Progress, given_up: Event, *, prepare: bool) -> None:
        workshop = Workshop(self.directory, server.name, given_up)
        if prepare:
            progress(f"{server.name}: preparing")
            server.prepare(workshop)
        progress(f"{server.name}: starting")
        started = {program.name: workshop.spawn(program) for program in server.programs()}
        self._await(server, started, given_up)
        progress(f"{server.name}: ready at {server.address}")

    def _await(self, server: Server, started: Mapping[str, int], given_up: Event) -> None:
        end = time.monotonic() + READY_SECONDS
        while (missing := server.find_missing()) is not None:
            for program, pid in started.items():
                if (status := processes.exit_status(pid)) is not None:
                    raise StackError(f"{program} ended with status {status} at its start.\n{self._tail(program)}")
            if time.monotonic() > end:
                tails = "\n".join(self._tail(program) for program in started)
                raise StackError(f"{server.name} is not ready after {READY_SECONDS:.0f} s: {missing}.\n{tails}")
            if given_up.wait(processes.POLL_SECONDS):
                raise StackInterrupted(f"{server.name} was given up.")

    def _tail(self, program: str) -> str:
        return processes.log_tail(log_path(self.directory, program))

    def stop(self) -> bool:
        """End every process of the stack and drop its data; logs stay. Give whether there was anything to end."""
        if not self.directory.exists():
            return False
        with locked(self.directory / "lock"):
            return self._clear()

    def _clear(self) -> bool:
        state = read_state(self._state_path)
        # The data goes as well, so nobody needs to close a file properly.
        killed = processes.kill([mark_of(self.directory)])
        self._endpoints_path.unlink(missing_ok=True)
        shutil.rmtree(self.directory / "data", ignore_errors=True)
        self._state_path.unlink(missing_ok=True)
        return state is not None or killed > 0

    def status(self) -> list[ServerStatus]:
        """How every server of the stack is; empty where no stack is."""
        state = read_state(self._state_path)
        return [] if state is None else [self._look_at(server) for server in self._make(self.directory, state)]

    def _look_at(self, server: Server) -> ServerStatus:
        pids = tuple(processes.find_marked(self._marks([server])))
        if not pids:
            how = "stopped"
        elif any(processes.is_stopped(pid) for pid in pids):
            how = "frozen"
        else:
            marks = [mark_of(self.directory, server.name, program.name) for program in server.programs()]
            how = "running" if all(processes.find_marked([mark]) for mark in marks) else "crippled"
        return ServerStatus(server.name, how, pids, server.address)

    def freeze(self, name: str) -> None:
        """Hold every process of a server with SIGSTOP: connections stay open, nothing answers.

        Raises:
            StackError: there is no such server, or it does not run.
        """
        servers = self._find(name)
        if not processes.freeze(self._marks(servers)):
            raise StackError(f"{name} does not run.")

    def thaw(self, name: str) -> None:
        """Let a frozen server go on.

        Raises:
            StackError: there is no such server, or it does not run.
        """
        if not processes.send_signal(self._marks(self._find(name)), signal.SIGCONT):
            raise StackError(f"{name} does not run.")

    def kill(self, name: str) -> None:
        """End a server with SIGKILL, as a crash does; its data stays.

        Raises:
            StackError: there is no such server, or it does not run.
        """
        if not processes.kill(self._marks(self._find(name))):
            raise StackError(f"{name} does not run.")

    def restart(self, name: str, progress: Progress = lambda _: None) -> None:
        """End a server if it runs, start it on its old data and ports, and wait until it serves.

        LocalStack keeps its data in memory: `aws` comes back empty.

        Raises:
            StackError: there is no such server, or it did not come up again; then it has ended.
        """
        with locked(self.directory / "lock"):
            servers = self._find(name)
            self._end(servers)
            self._launch(servers, progress, prepare=False)

    def logs(self, name: str) -> list[Path]:
        """The log files of a server.

        Raises:
            StackError: there is no such server.
        """
        return [log_path(self.directory, program.name) for server in self._find(name) for program in server.programs()]

    def _find(self, name: str) -> list[Server]:
        state = read_state(self._state_path)
        if state is None:
            raise StackError(f"No stack is up in {self.directory}.")
        servers = self._make(self.directory, state)
        found = [server for server in servers if name in (server.name, server.name.partition("-")[0])]
        if not found:
            names = dict.fromkeys(known for s in servers for known in (s.name.partition("-")[0], s.name))
            raise StackError(f"This stack has no {name}; it has {', '.join(names)}.")
        return found

    def _end(self, servers: Sequence[Server]) -> None:
        serving = [mark_of(self.directory, server.name, server.programs()[-1].name) for server in servers]
        processes.stop(serving, GRACE_SECONDS)
        processes.kill(self._marks(servers))

    def _marks(self, servers: Sequence[Server]) -> list[str]:
        return [mark_of(self.directory, server.name) for server in servers]


def servers_of(directory: Path, state: State) -> list[Server]:
    """The servers of a stack, in the order in which they are shown."""
    options = state.options
    servers: list[Server] = []
    if "kafka" in options.parts:
        servers += [KafkaBroker(directory, state, node) for node in range(1, options.kafka_brokers + 1)]
    if "rabbitmq" in options.parts:
        servers.append(RabbitmqNode(directory, state))
    if "aws" in options.parts:
        servers.append(AwsStandIn(directory, state))
    return servers


def describe(options: Options) -> str:
    """A stack's make, in words."""
    brokers = f"{options.kafka_brokers} Kafka broker{'s' if options.kafka_brokers > 1 else ''}"
    rabbitmq = f"RabbitMQ {options.rabbitmq or 'as installed'}"
    words = {"kafka": brokers, "rabbitmq": rabbitmq, "aws": "the AWS stand-in"}
    return ", ".join(words[part] for part in options.parts)


def _port_names(options: Options) -> list[str]:
    nodes = range(1, options.kafka_brokers + 1)
    names = {
        "kafka": [name for node in nodes for name in (broker_name(node), controller_port_name(node))],
        "rabbitmq": [port_name(use) for use in RABBITMQ_PORTS],
        "aws": ["aws"],
    }
    return [name for part in options.parts for name in names[part]]


def _endpoints_of(servers: Sequence[Server], state: State) -> Mapping[str, Any]:
    values: dict[str, Any] = {}
    for server in servers:
        if isinstance(server, RabbitmqNode):
            values["rabbitmq"] = asdict(server.endpoints)
        elif isinstance(server, AwsStandIn):
            values["aws"] = server.endpoint
    brokers = [server.address for server in servers if isinstance(server, KafkaBroker)]
    return {"kafka": ",".join(brokers), **values} if brokers else values
