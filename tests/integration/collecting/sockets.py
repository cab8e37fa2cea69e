"""A server that accepts and never answers, and fake collectors that hang in a real read from it.

The collectors stand for client libraries that know no deadline: what is real here is the blocking system call in a
thread, which nothing in Python can interrupt but the closing of its socket.
"""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from monitor.config import Cluster, KafkaCluster
from monitor.errors import Unreachable
from monitor.model import Finding, Snapshot
from tests import waiting

PATIENCE = 10.0


class SilentServer:
    """Accepts connections, keeps them, and answers nothing until it is told to."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.talkative = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    @property
    def accepted(self) -> int:
        return len(self._connections)

    def talk(self) -> None:
        """Answer all who wait, and at once whoever comes from now on."""
        self.talkative.set()
        for connection in self._connections:
            _answer(connection)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            if self.talkative.is_set():
                _answer(connection)


def _answer(connection: socket.socket) -> None:
    try:
        connection.sendall(b".")
    except OSError:
        return  # nobody waits for it any more


@contextmanager
def silent_server() -> Iterator[SilentServer]:
    server = SilentServer()
    try:
        yield server
    finally:
        server.talk()
        server.close()


class ReadingCollector:
    """Connects and reads one byte, without any time limit. `deaf` ones do not end their read when they are closed."""

    def __init__(self, section: Cluster, deaf: bool = False) -> None:
        assert isinstance(section, KafkaCluster)
        self._name, self._deaf = section.name, deaf
        host, _, port = section.bootstrap_servers.partition(":")
        self._address = (host, int(port))
        self._socket: socket.socket | None = None

    def collect(self, deadline: float) -> Snapshot:
        try:
            with socket.create_connection(self._address) as connection:
                connection.settimeout(None)
                self._socket = connection
                answer = connection.recv(1)
        except OSError as error:
            raise Unreachable(str(error), target=self._name) from error
        if not answer:
            raise Unreachable("the connection was closed", target=self._name)
        return Snapshot(self._name, "kafka", time.time(), 0.01)

    def check(self, deadline: float) -> Sequence[Finding]:
        raise NotImplementedError

    def close(self) -> None:
        if self._socket and not self._deaf:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it was closed already


def cluster(name: str, address: str, interval: float = 0.2, deadline: float = 0.4) -> KafkaCluster:
    return KafkaCluster(name=name, kind="kafka", bootstrap_servers=address, interval=interval, deadline=deadline)


wait_for = partial(waiting.wait_for, seconds=PATIENCE)
