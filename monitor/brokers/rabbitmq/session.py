"""Connections of a redrive or a look: they live in a thread of their own, so that heartbeats go on between two calls.

Messages are taken on one connection and sent on another, since a broker that is short of memory or disk stops reading
from connections that publish: acknowledgements would be stuck with them.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import pika
from pika.exceptions import AMQPError

from monitor.brokers.rabbitmq.addresses import Address
from monitor.brokers.rabbitmq.amqp import Loop, connection_parameters, look_again, translated
from monitor.brokers.rabbitmq.client import SYSTEM_TLS
from monitor.brokers.rabbitmq.wire import WireConnection
from monitor.clock import Clock
from monitor.config import TlsFiles
from monitor.errors import BrokerError, TimedOut, Unreachable

T = TypeVar("T")
Begin = Callable[["Future[Any]"], None]

_HEARTBEAT_SECONDS = 20
_CLOSING_SECONDS = 5.0


class Session:
    """A thread with the library's loop. What is asked of it runs there; the caller waits until its deadline."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.loop = Loop()
        self._waiting: set[Future[Any]] = set()
        self._guard, self._ended = threading.Lock(), False
        self._lines: list[Line] = []
        # A thread that waits for a broker must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="rabbitmq-session", daemon=True)
        self._thread.start()

    def ask(self, begin: Begin, deadline: float, target: str) -> Any:
        """Run `begin` in the loop and return what its future gets. Raises BrokerError, and TimedOut by itself."""
        future = self.begin(begin, target)
        try:
            return self.wait(future, deadline, target)
        finally:
            self._waiting.discard(future)

    def begin(self, begin: Begin, target: str) -> "Future[Any]":
        """Run `begin` in the loop and return its future, to be waited for later. Raises Unreachable."""
        future: Future[Any] = Future()
        with self._guard:
            if self._ended:
                raise Unreachable("the connection has been closed", target=target)
            self._waiting.add(future)
            self.loop.add_callback_threadsafe(lambda: self._begin(begin, future, target))
        return future

    def wait(self, future: "Future[Any]", deadline: float, target: str) -> Any:
        """Return what a future gets. Raises its BrokerError; TimedOut by itself, and then wait again if you like."""
        try:
            result = future.result(max(0.0, deadline - self._clock.monotonic()))
        except TimeoutError as error:
            raise TimedOut("no answer before the deadline", target=target) from error
        self._waiting.discard(future)
        return result

    def now(self) -> float:
        """Return the time that deadlines are told in."""
        return self._clock.monotonic()

    def connect(self, address: Address, vhost: str, name: str, deadline: float, tls: TlsFiles = SYSTEM_TLS) -> "Line":
        """Open a connection into a virtual host. Raises BrokerError."""
        left = deadline - self._clock.monotonic()
        if left <= 0:
            raise TimedOut("no time was left to connect", target=f"AMQP at {address.shown}")
        line = Line(self.loop, vhost, address, tls)
        parameters = connection_parameters(address, vhost, left, tls, heartbeat=_HEARTBEAT_SECONDS, name=name)
        self._lines.append(line)
        try:
            self.ask(lambda opened: line.open(parameters, opened), deadline, line.target)
        except BrokerError as error:
            raise look_again(error, address, tls, deadline - self._clock.monotonic()) from error
        return line

    def close(self) -> None:
        """Close the connections, with the broker's consent if it comes soon; a call under way raises Unreachable."""
        with self._guard:
            if self._ended:
                return
            self.loop.add_callback_threadsafe(self._close_lines)
            self.loop.add_callback_threadsafe(self._end_later)
        self._thread.join(2 * _CLOSING_SECONDS)

    def _begin(self, begin: Begin, future: "Future[Any]", target: str) -> None:
        try:
            begin(future)
        except AMQPError as error:
            settle(future, error=Unreachable(f"the connection has gone ({type(error).__name__})", target=target))

    def _close_lines(self) -> None:
        for line in self._lines:
            line.close(self._end_when_closed)
        self._end_when_closed()

    def _end_later(self) -> None:
        self.loop.call_later(_CLOSING_SECONDS, self._end)

    def _end_when_closed(self) -> None:
        if all(line.closed for line in self._lines):
            self._end()

    def _end(self) -> None:
        self.loop.cut()
        self.loop.stop()

    def _run(self) -> None:
        try:
            self.loop.start()
        finally:
            with self._guard:
                self._ended = True
                waiting = list(self._waiting)
                self.loop.close()
            for future in waiting:
                settle(future, error=Unreachable("the connection has been closed"))


class Line:
    """One connection within a loop. All but the attributes is for the loop's thread."""

    def __init__(self, loop: Loop, vhost: str, address: Address, tls: TlsFiles) -> None:
        self.loop, self.vhost, self.target = loop, vhost, f"AMQP at {address.shown}"
        self._address, self._tls = address, tls
        self.connection: Any = None
        self.closed = False
        self.blocked = False
        self.failure: Exception | None = None
        self._opened: Future[Any] | None = None
        self._on_closed: list[Callable[[], None]] = []
        self.on_blocked: Callable[[], None] = lambda: None

    def open(self, parameters: pika.ConnectionParameters, opened: "Future[Any]") -> None:
        """Begin to connect."""
        self._opened = opened
        self.connection = WireConnection(
            parameters,
            on_open_callback=lambda _: settle(opened, None),
            on_open_error_callback=self._lost,
            on_close_callback=self._lost,
            custom_ioloop=self.loop,
        )
        self.connection.add_on_connection_blocked_callback(lambda *_: self._set_blocked(True))
        self.connection.add_on_connection_unblocked_callback(lambda *_: self._set_blocked(False))

    def when_closed(self, call: Callable[[], None]) -> None:
        """Have `call` called when the connection has gone; `failure` says why."""
        self._on_closed.append(call)

    def close(self, closed: Callable[[], None]) -> None:
        """Begin to close; `closed` is called at the end of it."""
        if self.connection is None:
            self.closed = True
        if self.closed:
            return
        self._on_closed.append(closed)
        if not (self.connection.is_closing or self.connection.is_closed):
            self.connection.close()

    def _set_blocked(self, blocked: bool) -> None:
        self.blocked = blocked
        self.on_blocked()

    def _lost(self, _connection: object, error: BaseException | str) -> None:
        cause = error if isinstance(error, BaseException) else AMQPError(error)
        self.failure, self.closed = translated(cause, self.vhost, self.target, self._address, self._tls), True
        if self._opened is not None:
            settle(self._opened, error=self.failure)
        for call in self._on_closed:
            call()


def settle(future: "Future[T]", result: T | None = None, *, error: Exception | None = None) -> None:
    """Give a future its end, if it has none yet."""
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)  # type: ignore[arg-type]
