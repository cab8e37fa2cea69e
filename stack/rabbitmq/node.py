"""A RabbitMQ node of the stack's own: never the machine's service, and its port mapper is its own too."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stack.rabbitmq.versions import enter, fetch_root_folder, needs_root_folder, root_folder
from stack.server import Program, Workshop
from stack.state import RabbitmqEndpoints, State
from stack.web import get

USER = "eventflow"
PLUGINS = ("rabbitmq_management", "rabbitmq_prometheus", "rabbitmq_shovel", "rabbitmq_shovel_management")
# Debian's command in the PATH changes to the service's user; this one runs as whoever calls it.
SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
# The virtual machine spins for work by default, which costs the neighbours of a small machine; and the listener
# between nodes does not follow RabbitMQ's own setting of an address.
ERLANG_ARGUMENTS = (
    "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1} -kernel logger_level notice"
)
# The node is called ...@localhost; that is to mean this address whatever the machine's table of names says.
NAMES = '{host, {127,0,0,1}, ["localhost"]}.\n{lookup, [file, native]}.\n'
AMQP_GREETING = b"AMQP\x00\x00\x09\x01"


@dataclass(frozen=True)
class RabbitmqNode:
    """One node, with an Erlang port mapper (epmd) for itself."""

    directory: Path
    state: State

    @property
    def name(self) -> str:
        """Rabbitmq is one node."""
        return "rabbitmq"

    @property
    def address(self) -> str:
        """Its AMQP listener."""
        return f"127.0.0.1:{self._port('amqp')}"

    @property
    def endpoints(self) -> RabbitmqEndpoints:
        """Where clients reach it, credentials within."""
        login = f"{USER}:{self.state.password}@127.0.0.1"
        return RabbitmqEndpoints(
            amqp=f"amqp://{login}:{self._port('amqp')}/%2F",
            management=f"http://{login}:{self._port('management')}",
            prometheus=f"http://127.0.0.1:{self._port('prometheus')}",
        )

    @property
    def _folder(self) -> Path:
        return self.directory / "data" / "rabbitmq"

    def _port(self, use: str) -> int:
        return self.state.ports[port_name(use)]

    def prepare(self, workshop: Workshop) -> None:
        """Fetch RabbitMQ where it is not installed, and write the node's configuration into an empty folder."""
        if self._has_root_folder:
            fetch_root_folder(workshop)
        self._folder.mkdir(parents=True)
        settings = [f"{key} = {value}" for key, value in self.settings().items()]
        (self._folder / "rabbitmq.conf").touch(mode=0o600)
        (self._folder / "rabbitmq.conf").write_text("\n".join(settings) + "\n")
        (self._folder / "enabled_plugins").write_text(f"[{','.join(self.plugins())}].\n")
        (self._folder / "env.conf").write_text("")
        (self._folder / "inetrc").write_text(NAMES)

    def plugins(self) -> Sequence[str]:
        """What is enabled; what these need comes along."""
        return PLUGINS

    def settings(self) -> Mapping[str, str]:
        """The node's rabbitmq.conf."""
        return {
            "listeners.tcp.local": f"127.0.0.1:{self._port('amqp')}",
            "management.tcp.ip": "127.0.0.1",
            "management.tcp.port": str(self._port("management")),
            "prometheus.tcp.ip": "127.0.0.1",
            "prometheus.tcp.port": str(self._port("prometheus")),
            "default_user": USER,
            "default_pass": self.state.password,
            "log.console": "true",
            "log.console.level": "info",
            "log.file": "false",
            # The management interface shows a queue's numbers this often; 5 s by default, which tests would wait for.
            "collect_statistics_interval": "1000",
            "disk_free_limit.absolute": "100MB",
        }

    def programs(self) -> Sequence[Program]:
        """The port mapper in the foreground, so that it is ours to end, and the node that finds it running."""
        epmd = self._command("epmd", "-address", "127.0.0.1", "-port", str(self._port("epmd")))
        environment = self._environment()
        return [Program("rabbitmq-epmd", epmd, environment), Program("rabbitmq", self._command(SERVER), environment)]

    @property
    def _has_root_folder(self) -> bool:
        return needs_root_folder(self.state.options.rabbitmq)

    def _command(self, program: str, *arguments: str) -> Sequence[str]:
        if self._has_root_folder:
            return enter(root_folder(), self._folder, program, *arguments)
        return (program, *arguments)

    def _environment(self) -> Mapping[str, str]:
        folder = "/mnt" if self._has_root_folder else str(self._folder)
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("RABBITMQ", "ERL_"))}
        return {
            **inherited,
            "HOME": folder,  # where Erlang keeps the node's cookie
            "ERL_EPMD_PORT": str(self._port("epmd")),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_INETRC": f"{folder}/inetrc",
            "ERL_CRASH_DUMP": f"{folder}/erl_crash.dump",
            "RABBITMQ_NODENAME": f"eventflow-{self.state.identity}@localhost",
            "RABBITMQ_DIST_PORT": str(self._port("distribution")),
            "RABBITMQ_MNESIA_BASE": folder,
            "RABBITMQ_LOG_BASE": folder,
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced.config",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/env.conf",  # instead of the machine's /etc/rabbitmq/rabbitmq-env.conf
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_PID_FILE": f"{folder}/node.pid",
            # Without this a shell stays above the node to translate signals, and answers them by rabbitmqctl, slowly.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_ARGUMENTS,
        }

    def find_missing(self) -> str | None:
        """It serves when it speaks AMQP, its vhosts run and its metrics are there."""
        try:
            _greet(self._port("amqp"))
            vhosts, _ = get(
                self._port("management"), "/api/health/checks/virtual-hosts", user=USER, password=self.state.password
            )
            metrics, _ = get(self._port("prometheus"), "/metrics")
        except OSError as error:
            return f"it does not answer yet ({error})"
        return None if (vhosts, metrics) == (200, 200) else f"management says {vhosts}, prometheus says {metrics}"


def _greet(port: int) -> None:
    """Open AMQP 0-9-1 as a client does; the broker answers with connection.start, a method frame (type 1)."""
    with socket.create_connection(("127.0.0.1", port), timeout=2.0) as connection:
        connection.sendall(AMQP_GREETING)
        if connection.recv(1) != b"\x01":
            raise ConnectionResetError("it does not speak AMQP")


def port_name(use: str) -> str:
    """Under which name the state keeps one of the node's ports."""
    return f"rabbitmq-{use}"
