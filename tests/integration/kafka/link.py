"""A TCP link to a broker that can be broken on purpose: it resets connections, or is slow."""

import select
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from stack.control import Stack
from stack.kafka.broker import KafkaBroker
from stack.ports import reserve_ports
from stack.state import Options

_CHUNK = 1 << 16
_STEP_SECONDS = 0.01
_PATIENCE = 5.0
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time at all: closing sends RST instead of FIN


class Link:
    """Carries bytes between a port and a target, both on loopback.

    `delay_seconds` holds every chunk back. Once bytes that hold `deafening` went to the target, it `is_deaf`: what the
    target says is lost.
    """

    def __init__(self, port: int, target: int) -> None:
        self.address, self.port, self._target = f"127.0.0.1:{port}", port, target
        self.delay_seconds = 0.0
        self.deafening: bytes | None = None
        self.is_deaf = threading.Event()
        self._broken = threading.Event()  # of all connections that there are now
        self._carriers: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def reset(self) -> int:
        """Break all connections, as if the network had forgotten them; return how many there were."""
        broken, self._broken = self._broken, threading.Event()
        self._carriers = [carrier for carrier in self._carriers if carrier.is_alive()]
        broken.set()
        return len(self._carriers)

    def close(self) -> None:
        """Stop listening and break what is left."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(_PATIENCE)
        self._listener.close()
        self.reset()
        for carrier in self._carriers:
            carrier.join(_PATIENCE)

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            carrier = threading.Thread(target=self._carry, args=(here, self._broken), daemon=True)
            carrier.start()
            self._carriers.append(carrier)

    def _carry(self, here: socket.socket, broken: threading.Event) -> None:
        with here, suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as there:
            sinks = {here: there, there: here}
            while not broken.is_set():
                for source in select.select([here, there], [], [], _STEP_SECONDS)[0]:
                    data = source.recv(_CHUNK)
                    if not data:
                        return
                    broken.wait(self.delay_seconds)
                    if source is there and self.is_deaf.is_set():
                        continue
                    if source is here and self.deafening is not None and self.deafening in data:
                        self.is_deaf.set()
                    sinks[source].sendall(data)
            for end in sinks:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)


class LinkedBroker(KafkaBroker):
    """A broker with one more listener, which tells its clients to come over a link."""

    here = 0
    link = 0

    def properties(self) -> Mapping[str, str]:
        """The broker's server.properties."""
        known = super().properties()
        return {
            **known,
            "listeners": f"{known['listeners']},LINKED://127.0.0.1:{self.here}",
            "advertised.listeners": f"{known['advertised.listeners']},LINKED://127.0.0.1:{self.link}",
            "listener.security.protocol.map": f"{known['listener.security.protocol.map']},LINKED:PLAINTEXT",
        }


@contextmanager
def linked_broker(folder: Path) -> Iterator[tuple[Stack, Link]]:
    """Run one broker with a link to it; the link's port is where its clients find it."""
    ports = reserve_ports(["here", "link"], folder)

    class Broker(LinkedBroker):
        here, link = ports["here"], ports["link"]

    stack = Stack(folder / "stack", Options(parts=("kafka",)), lambda place, state: [Broker(place, state, 1)])
    stack.start()
    link = Link(ports["link"], ports["here"])
    try:
        yield stack, link
    finally:
        link.close()
        stack.stop()
