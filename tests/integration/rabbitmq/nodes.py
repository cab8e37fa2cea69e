"""Nodes of RabbitMQ that a test may command, and a second one that joins the first."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stack.control import Stack
from stack.rabbitmq.node import RabbitmqNode
from stack.server import Program, Server, Workshop
from stack.state import Options, State, read_state

CONTROL = "/usr/lib/rabbitmq/bin"


class ControlledNode(RabbitmqNode):
    """A node that does what a test says by RabbitMQ's own commands, each of which takes a second or two."""

    @property
    def node(self) -> str:
        """What RabbitMQ calls it."""
        return self._environment()["RABBITMQ_NODENAME"]

    def control(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `rabbitmqctl` or one of its like on this node, whatever becomes of it."""
        command = self._command(f"{CONTROL}/{program}", "--node", self.node, *arguments)
        environment = self._environment()
        return subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=100)

    def evaluate(self, *expressions: str) -> None:
        """Have it evaluate Erlang expressions."""
        self.control("rabbitmqctl", "eval", f"{', '.join(expressions)}.").check_returncode()


@dataclass(frozen=True)
class JoinedNode(ControlledNode):
    """A node that joins `first` as soon as it starts, and uses that one's port mapper."""

    first: ControlledNode

    def prepare(self, workshop: Workshop) -> None:
        """Lay out its folder, with the cookie by which nodes of a cluster know each other."""
        super().prepare(workshop)
        own, others = (server.directory / "data" / "rabbitmq" / ".erlang.cookie" for server in (self, self.first))
        shutil.copy(others, own)
        own.chmod(0o400)

    def settings(self) -> Mapping[str, str]:
        """The node's rabbitmq.conf."""
        discovery = {
            "peer_discovery_backend": "classic_config",
            "classic_config.nodes.1": self.first.node,
            "classic_config.nodes.2": self.node,
        }
        return {**super().settings(), **{f"cluster_formation.{key}": value for key, value in discovery.items()}}

    def programs(self) -> Sequence[Program]:
        """The node alone."""
        return super().programs()[-1:]

    def _environment(self) -> Mapping[str, str]:
        return {**super()._environment(), "ERL_EPMD_PORT": self.first._environment()["ERL_EPMD_PORT"]}


def node_of(stack: Stack) -> ControlledNode:
    """Return the first node of a stack that is up."""
    state = read_state(stack.directory / "state.json")
    assert state is not None
    return ControlledNode(stack.directory, state)


def joining(first: ControlledNode, directory: Path) -> Stack:
    """Return a stack of one node that joins `first`; it is not started yet."""

    def make(folder: Path, state: State) -> list[Server]:
        return [JoinedNode(folder, replace(state, password=first.state.password), first)]

    return Stack(directory, Options(rabbitmq=first.state.options.rabbitmq, parts=("rabbitmq",)), make)
