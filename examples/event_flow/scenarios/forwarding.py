"""A network that can be cut: a port that leads to another one, as long as it is open."""

import select
import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class Forwarder:
    """Forwards a port of this machine to another one, as long as it is open."""

    def __init__(self, port: int, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._listener = socket.create_server(("127.0.0.1", port))
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):  # when the listener is shut down
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                self._ends += [near, far]
                self._threads.append(threading.Thread(target=self._pump, args=(near, far), daemon=True))
                self._threads[-1].start()

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
        for end in [self._listener, *self._ends]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for end in [self._listener, *self._ends]:
            end.close()


def through(port: int, url: str) -> str:
    """Return an address with another port of this machine in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}").geturl()
