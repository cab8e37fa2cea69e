"""What a server of the stack is: the common shape of a Kafka broker, a RabbitMQ node and the AWS stand-in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

from stack.processes import mark_of, run, spawn


@dataclass(frozen=True)
class Program:
    """One process of a server; its log is `logs/<name>.log`."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]


class Server(Protocol):
    """One server: it may be several processes that are started, held and ended together."""

    @property
    def name(self) -> str:
        """What commands call it."""

    @property
    def address(self) -> str:
        """Where it answers, for people; without credentials."""

    def prepare(self, workshop: "Workshop") -> None:
        """Fetch what it runs on and lay out its empty data folder."""

    def programs(self) -> Sequence[Program]:
        """Its processes in the order in which they are started; the last one serves, those before it help."""

    def find_missing(self) -> str | None:
        """What still keeps it from serving, or None when it serves."""


@dataclass(frozen=True)
class Workshop:
    """Starts the processes of one server in one stack's folder, so that nobody can forget to mark them."""

    directory: Path
    server: str
    given_up: Event

    def run(self, program: Program) -> None:
        """Run a program to its end; see `stack.processes.run`."""
        run(program.argv, program.env, self._log(program), self._mark(program), self.given_up)

    def spawn(self, program: Program) -> int:
        """Start a program that stays."""
        return spawn(program.argv, program.env, self._log(program), self._mark(program))

    def _log(self, program: Program) -> Path:
        return log_path(self.directory, program.name)

    def _mark(self, program: Program) -> str:
        return mark_of(self.directory, self.server, program.name)


def log_path(directory: Path, program: str) -> Path:
    """Where a program of the stack writes its log."""
    return directory / "logs" / f"{program}.log"
