"""A network that can be cut: a port that leads to another one, as long as it is open."""

import select
import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

_JOIN_SECONDS = 5


class Forwarder:
    """Forwards a port of this machine to another one, as long as it is open."""

    def __init__(self, port: int, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._listener = socket.create_server(("127.0.0.1", port))
        self._ends: list[socket.socket] = []
        self._pumps: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self) -> None:
        with suppress(OSError):  # when the listener is shut down
            while True:
                self._connect(self._listener.accept()[0])

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self._target)
        except OSError:  # as while nobody listens there: this one is turned away, and not those that come after it
            near.close()
            return
        self._ends += [near, far]
        self._pumps.append(threading.Thread(target=self._pump, args=(near, far), daemon=True))
        self._pumps[-1].start()

    @staticmethod
    def _pump(near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        near.shutdown(socket.SHUT_RDWR)
                        far.shutdown(socket.SHUT_RDWR)
                        return
                    (far if ready is near else near).sendall(data)

    def close(self) -> None:
        """Cut all connections, and take no more."""
        _shut_down(self._listener)
        self._acceptor.join(_JOIN_SECONDS)  # first, so that no connection is added meanwhile
        ends, pumps = [*self._ends], [*self._pumps]
        for end in ends:
            _shut_down(end)
        for pump in pumps:
            pump.join(_JOIN_SECONDS)
        for end in [self._listener, *ends]:
            end.close()


def _shut_down(end: socket.socket) -> None:
    with suppress(OSError):  # where the other side has gone already
        end.shutdown(socket.SHUT_RDWR)


def through(port: int, url: str) -> str:
    """Return an address with another port of this machine in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}").geturl()
