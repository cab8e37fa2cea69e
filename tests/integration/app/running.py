"""A monitor as a process of its own, and servers that hang or that nobody trusts."""

import json
import os
import re
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.waiting import wait_for

ROOT = Path(__file__).parents[3]
UNTRUSTED = Path(__file__).with_name("untrusted.pem")
PATIENCE_SECONDS = 60.0
ENDS_WITHIN_SECONDS = 20.0
"""It is 5 s on a machine that is not busy; what hangs in these tests would hold it up for longer than this."""
# No AWS credentials of the machine, and answers in English.
_ENVIRONMENT = {"PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent"}


def wait_until(what: str, holds: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """Return the first true value of `holds`."""
    return wait_for(holds, what, seconds)


@dataclass
class Process:
    """`eventflow serve` with logs for machines."""

    popen: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stderr
        for line in self.popen.stderr:
            self.lines.append(line)

    @property
    def url(self) -> str:
        def listening() -> str | None:
            assert self.popen.poll() is None, f"it has ended: {self.lines}"
            found = re.search(r'"listening on (http://[^"]+)"', "".join(self.lines))
            return found[1] if found else None

        return str(wait_until("it listens", listening))

    def get(self, path: str, **more: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=PATIENCE_SECONDS, trust_env=False, **more)

    def wait_until_ready(self) -> dict[str, Any]:
        return dict(
            wait_until("it is ready", lambda: (answer := self.get("/readyz")).status_code == 200 and answer.json())
        )

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal; return the exit code and how many seconds it took."""
        begun = time.monotonic()
        self.popen.send_signal(number)
        code = self.popen.wait(PATIENCE_SECONDS)
        seconds = time.monotonic() - begun
        self.join()
        return code, seconds

    def join(self) -> None:
        """Wait until everything that it has said is read."""
        self._reader.join(PATIENCE_SECONDS)

    def close(self) -> None:
        self._reader.join(PATIENCE_SECONDS)
        assert self.popen.stderr
        self.popen.stderr.close()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@contextmanager
def serving(folder: Path, config: str, environment: Mapping[str, str] | None = None) -> Iterator[Process]:
    """Run the monitor over a configuration on a free port; end it at last, whatever happened."""
    file = folder / "monitor.yml"
    own = "" if "database_url:" in config else f"database_url: sqlite:///{folder}/eventflow.db\n"
    file.write_text(own + config, encoding="utf-8")
    command = [sys.executable, "-m", "monitor", "serve", "--config", str(file)]
    with subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0", "--log-format", "json"],
        cwd=ROOT,
        env={**_ENVIRONMENT, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as popen:
        process = Process(popen)
        try:
            yield process
        finally:
            popen.kill()
            process.join()  # the pipe is closed next, and somebody may still read from it


def eventflow(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "monitor", *arguments],
        cwd=ROOT,
        env={**_ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class BlackHole:
    """A server that takes connections and never says anything: what a broker that hangs looks like."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._taken: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._taken.append(connection)

    @property
    def reached(self) -> bool:
        return bool(self._taken)

    def close(self) -> None:
        # Closing alone leaves the thread in `accept`.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._taken:
            connection.close()


@contextmanager
def black_holes(*names: str) -> Iterator[dict[str, BlackHole]]:
    holes = {name: BlackHole() for name in names}
    try:
        yield holes
    finally:
        for hole in holes.values():
            hole.close()


class _Handshake(socketserver.BaseRequestHandler):
    certificate: Path

    def handle(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        with suppress(OSError, ssl.SSLError):  # the client has seen the certificate and goes, as it should
            context.wrap_socket(self.request, server_side=True).close()


class _TlsServer(socketserver.ThreadingTCPServer):
    daemon_threads = True


def untrusted_tls_server() -> AbstractContextManager[int]:
    """Run a server with a certificate that nobody has signed; yield its port."""
    return tls_server(UNTRUSTED)


@contextmanager
def tls_server(certificate: Path) -> Iterator[int]:
    """Run a server that shakes hands with this certificate (and key), and does nothing else; yield its port."""
    handler = type("Handshake", (_Handshake,), {"certificate": certificate})
    with _TlsServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
