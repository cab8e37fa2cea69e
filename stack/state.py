"""What a stack remembers between commands: its choices, ports and credentials; and what it tells others."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stack.errors import StackError

PARTS = ("kafka", "rabbitmq", "aws")


@dataclass(frozen=True)
class Options:
    """What a stack is made of. `rabbitmq` is a major version, or None for the one that is installed."""

    kafka_brokers: int = 1
    rabbitmq: int | None = None
    parts: tuple[str, ...] = PARTS

    def __post_init__(self) -> None:
        if self.kafka_brokers not in (1, 3):
            raise StackError(f"There can be 1 or 3 Kafka brokers, not {self.kafka_brokers}.")
        if self.rabbitmq not in (None, 3, 4):
            raise StackError(f"RabbitMQ can be 3 or 4, not {self.rabbitmq}.")
        unknown = set(self.parts) - set(PARTS)
        if unknown or not self.parts:
            raise StackError(f"A stack has {', '.join(PARTS)}, not {', '.join(sorted(unknown)) or 'nothing'}.")


@dataclass(frozen=True)
class State:
    """One stack's identity; written before its first process starts, removed after its last one ended."""

    options: Options
    ports: Mapping[str, int]
    identity: str
    password: str

    def __repr__(self) -> str:
        return f"State(options={self.options}, ports={dict(self.ports)}, identity={self.identity!r})"


@dataclass(frozen=True)
class RabbitmqEndpoints:
    """Addresses of one RabbitMQ node, credentials within."""

    amqp: str
    management: str
    prometheus: str


@dataclass(frozen=True)
class Endpoints:
    """Where the parts of a stack answer; a part that the stack does not have is refused, not empty.

    Raises:
        StackError: on reading a part that this stack was started without.
    """

    values: Mapping[str, Any]

    @property
    def kafka(self) -> str:
        """Bootstrap servers, `host:port[,host:port]`."""
        return str(self._part("kafka"))

    @property
    def rabbitmq(self) -> RabbitmqEndpoints:
        """The three addresses of the RabbitMQ node."""
        return RabbitmqEndpoints(**self._part("rabbitmq"))

    @property
    def aws(self) -> str:
        """The endpoint URL of the AWS stand-in."""
        return str(self._part("aws"))

    def _part(self, name: str) -> Any:
        if name not in self.values:
            raise StackError(f"This stack has no {name}.")
        return self.values[name]


def new_identity() -> str:
    """A name that tells two stacks' nodes apart."""
    return secrets.token_hex(4)


def new_password() -> str:
    """A password for the brokers of one stack; it is made anew with each of them."""
    return secrets.token_hex(12)


def read_state(path: Path) -> State | None:
    """Give what the stack remembers, None where no stack is."""
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    options = document.pop("options")
    return State(options=Options(**{**options, "parts": tuple(options["parts"])}), **document)


def write_state(path: Path, state: State) -> None:
    """Keep what the stack has to remember; only its owner may read it."""
    write_private(path, asdict(state))


def read_endpoints(path: Path) -> Endpoints:
    """Give the addresses that a running stack wrote.

    Raises:
        StackError: there is no such file, so no stack is ready there.
    """
    try:
        return Endpoints(json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise StackError(f"No stack is ready in {path.parent}.") from error


def write_private(path: Path, document: Mapping[str, Any]) -> None:
    """Put a JSON file in its place in one step, readable by its owner alone (it holds credentials)."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}.partial")
    scratch.touch(mode=0o600)
    scratch.write_text(json.dumps(document, indent=2) + "\n")
    scratch.replace(path)
