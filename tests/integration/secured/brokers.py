"""One secured Kafka and one secured RabbitMQ for all tests of a run, started side by side."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from stack.control import Stack
from stack.kafka.broker import KafkaBroker
from stack.ports import reserve_ports
from stack.server import Server
from stack.state import Options, State, read_state
from tests.integration.secured.certificates import LOOPBACK, Authority, Identity
from tests.integration.secured.kafka import LISTENERS, SecuredBroker, SecuredKafka
from tests.integration.secured.rabbitmq import SecuredNode, SecuredRabbitmq
from tests.integration.secured.token_endpoint import TokenEndpoint

_RABBITMQ = ("amqps", "management", "prometheus")


@dataclass(frozen=True)
class Clients:
    """Certificates that clients show, and the file of an authority that has signed none of the brokers'."""

    good: Identity
    locked: Identity  # its key has the password of `KEY_PASSWORD`
    expired: Identity
    foreign: Identity  # signed by that authority
    unknown_authority: Path


KEY_PASSWORD = "of-the-key"


class SecuredBrokers:
    """Both brokers, and everything that is needed to talk to them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = Authority(folder, "the-authority")
        stranger = Authority(folder, "a-stranger")
        self.clients = Clients(
            good=self.authority.sign("certified"),
            locked=self.authority.sign("locked", password=KEY_PASSWORD),
            expired=self.authority.sign("was-certified", expired=True),
            foreign=stranger.sign("foreign"),
            unknown_authority=stranger.certificate,
        )
        self._broker = self.authority.sign("broker", addresses=[LOOPBACK])
        self.expired = self.authority.sign("old-broker", addresses=[LOOPBACK], expired=True)
        self._keys = folder / "keys.json"
        self.tokens = TokenEndpoint(secrets.token_hex(8), self._keys)
        self._ports = reserve_ports([*LISTENERS, *_RABBITMQ], owner=folder)
        self._stack = Stack(folder / "stack", Options(parts=("kafka", "rabbitmq")), make=self._make)
        self.kafka: SecuredKafka
        self.rabbitmq: SecuredRabbitmq

    def start(self) -> None:
        """Start both."""
        self._stack.start()
        state = read_state(self._stack.directory / "state.json")
        assert state is not None
        broker, node = self._make(self._stack.directory, state)
        assert isinstance(broker, SecuredBroker)
        assert isinstance(node, SecuredNode)
        self.kafka = SecuredKafka(broker, self.tokens, self.authority)
        self.kafka.prepare()
        self.kafka.warm_up()
        self.rabbitmq = SecuredRabbitmq(node, self.authority)

    def stop(self) -> None:
        """End both."""
        if hasattr(self, "rabbitmq"):
            self.rabbitmq.close()
        self._stack.stop()
        self.tokens.stop()

    def _make(self, directory: Path, state: State) -> list[Server]:
        authority, ports = self.authority.certificate, self._ports
        broker: KafkaBroker = SecuredBroker(
            directory, state, 1, ports, self._broker, self.expired, authority, self._keys
        )
        return [broker, SecuredNode(directory, state, ports, self._broker, self.expired, authority)]
