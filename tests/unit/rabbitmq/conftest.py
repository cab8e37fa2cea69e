"""A mock of the broker's HTTP interfaces, for what a real one cannot be made to do: it answers as it is told to."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from monitor.brokers.rabbitmq.addresses import Address
from monitor.brokers.rabbitmq.client import HttpClient
from monitor.clock import Clock

Answer = tuple[int, bytes]


@dataclass
class MockBroker:
    """Answers by path. `asked` has each path with its query; a path without an answer is 404."""

    port: int = 0
    answers: dict[str, Answer | Callable[[Mapping[str, list[str]]], Answer]] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, list[str]]]] = field(default_factory=list)

    def answer(self, path: str) -> Answer:
        """Return status and body for a path with its query."""
        parts = urlsplit(path)
        query = parse_qs(parts.query)
        self.asked.append((parts.path, query))
        found = self.answers.get(parts.path, (404, b"{}"))
        return found(query) if callable(found) else found

    def client(self, *, username: str | None = None, password: str | None = None) -> HttpClient:
        """Return a client for it."""
        address = Address("http", "127.0.0.1", self.port, "", username, password)
        return HttpClient(address, Clock(), target="mock")


@pytest.fixture
def mock_broker() -> Iterator[MockBroker]:
    """A broker that answers as the test tells it to."""
    broker = MockBroker()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = broker.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    broker.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield broker
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class MutePort:
    """A port that takes connections. `say` is sent to each that asks something; then it hangs, or goes on saying it."""

    listener: socket.socket
    say: bytes = b""
    again: float | None = None
    connected: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        """Return where it listens."""
        return int(self.listener.getsockname()[1])

    def run(self) -> None:
        """Serve until the test is over."""
        self.listener.settimeout(0.05)
        held = []
        while not self.done.is_set():
            try:
                connection, _ = self.listener.accept()
            except TimeoutError:
                continue
            held.append(connection)
            self.connected.set()
            self._talk(connection)
        for connection in held:
            connection.close()

    def _talk(self, connection: socket.socket) -> None:
        if not self.say:
            return
        connection.recv(65_536)
        try:
            connection.sendall(self.say)
            while self.again is not None and not self.done.wait(self.again):
                connection.sendall(b"x")
        except OSError:
            return  # the client has had enough


@pytest.fixture
def mute_port() -> Iterator[MutePort]:
    """A port as of a frozen process: the kernel takes the connection, and no one answers."""
    mute = MutePort(socket.create_server(("127.0.0.1", 0)))
    thread = threading.Thread(target=mute.run)
    thread.start()
    yield mute
    mute.done.set()
    thread.join()
    mute.listener.close()
