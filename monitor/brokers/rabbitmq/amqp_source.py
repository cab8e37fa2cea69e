"""Depth and consumers by AMQP alone, for a broker with neither plugin: each queue is declared passively.

AMQP cannot list queues: the names come from the configuration.
"""

import logging
import threading
from collections import deque
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

from monitor.brokers.rabbitmq.addresses import Address
from monitor.brokers.rabbitmq.amqp import LOCKED, NO_SUCH, Loop, connection_parameters, look_again, translated
from monitor.brokers.rabbitmq.readings import CONSUMERS, READY, QueueKey, Readings, label_of
from monitor.clock import Clock
from monitor.config import TlsFiles
from monitor.errors import BadAnswer, Forbidden, TimedOut, Unreachable
from monitor.model import CollectionError

_MARGIN = 0.9
_LINE_BREAKS = frozenset("\r\n")

# Every failure is raised and told once by those who called; the library's own record of it is longer and no clearer.
logging.getLogger("pika").setLevel(logging.CRITICAL)


class AmqpSource:
    """The AMQP listener of a broker. A connection lasts for one reading, one virtual host at a time."""

    def __init__(self, address: Address, clock: Clock, queues: Sequence[QueueKey], tls: TlsFiles) -> None:
        self.address, self._clock, self._tls = address, clock, tls
        self.queues = tuple(sorted(queues))
        self._session: _Session | None = None
        self._closed = False
        self.errors: tuple[CollectionError, ...] = ()

    @property
    def target(self) -> str:
        """Return what is asked, for people."""
        return f"AMQP at {self.address.shown}"

    def read(self, deadline: float) -> Readings:
        """Return ready messages and consumers of all named queues. What single queues refuse is in `errors`.

        Raises BrokerError when a virtual host cannot be entered.
        """
        ready, consumers = np.full(len(self.queues), np.nan), np.full(len(self.queues), np.nan)
        errors = []
        for vhost in sorted({vhost for vhost, _ in self.queues}):
            rows = [row for row, key in enumerate(self.queues) if key[0] == vhost]
            names = [self.queues[row][1] for row in rows]
            session = self._run(vhost, [name for name in names if not _LINE_BREAKS & set(name)], deadline)
            for row in rows:
                name = self.queues[row][1]
                ready[row], consumers[row] = session.found.get(name, (np.nan, np.nan))
            # The broker drops line breaks from names, and the library waits in vain for an answer with them.
            refused = {name: (NO_SUCH, "") for name in names if _LINE_BREAKS & set(name)} | session.refused
            errors += [self._error((vhost, name), code, text) for name, (code, text) in refused.items()]
        self.errors = tuple(errors)
        return Readings(self.queues, {READY: ready, CONSUMERS: consumers})

    def enter(self, vhost: str, deadline: float) -> None:
        """Connect to a virtual host and leave it again. Raises BrokerError."""
        self._run(vhost, (), deadline)

    def close(self) -> None:
        """End a reading under way: it raises Unreachable."""
        self._closed = True
        session = self._session
        if session is not None:
            session.abort_from_outside()

    def _run(self, vhost: str, names: Collection[str], deadline: float) -> "_Session":
        left = (deadline - self._clock.monotonic()) * _MARGIN
        if left <= 0:
            raise TimedOut("no time was left to ask", target=self.target)
        session = self._session = _Session(connection_parameters(self.address, vhost, left, self._tls), names)
        if self._closed:  # before the session could be seen
            session.abort_from_outside()
        try:
            session.run(left)
        finally:
            self._session = None
        if self._closed:
            raise Unreachable("the connection was closed by the monitor", target=self.target)
        if session.timed_out:
            raise TimedOut("no answer before the deadline", target=self.target)
        if session.failure is not None:
            error = translated(session.failure, vhost, self.target, self.address, self._tls)
            left = deadline - self._clock.monotonic()
            raise look_again(error, self.address, self._tls, left) from session.failure
        return session

    def _error(self, key: QueueKey, code: int, text: str) -> CollectionError:
        if code == NO_SUCH:
            return CollectionError(BadAnswer.reason, label_of(key), "there is no such queue")
        if code == LOCKED:
            return CollectionError(Forbidden.reason, label_of(key), "the queue is exclusive to another connection")
        return CollectionError(Forbidden.reason, label_of(key), f"the queue is refused: {text}")


class _Session:
    """One connection's life: open, declare the queues one after the other, close. Runs a loop of its own."""

    def __init__(self, parameters: pika.ConnectionParameters, names: Collection[str]) -> None:
        self._names = deque(names)
        self._loop = Loop()
        self._connection = pika.SelectConnection(
            parameters,
            on_open_callback=lambda _: self._open_channel(),
            on_open_error_callback=self._on_failed,
            on_close_callback=self._on_closed,
            custom_ioloop=self._loop,
        )
        self.found: dict[str, tuple[int, int]] = {}
        self.refused: dict[str, tuple[int, str]] = {}
        self.failure: BaseException | None = None
        self.timed_out = False
        self._guard, self._ended = threading.Lock(), False

    def run(self, seconds: float) -> None:
        """Do it all. Raises nothing: see `failure` and `timed_out`."""
        self._loop.call_later(seconds, self._on_deadline)
        self._loop.start()
        with self._guard:
            self._ended = True
            self._loop.close()

    def abort_from_outside(self) -> None:
        """End it, from another thread; also before it has begun, or after it has ended."""
        with self._guard:
            if not self._ended:
                self._loop.add_callback_threadsafe(self._abort)

    def _on_deadline(self) -> None:
        self.timed_out = True
        self._abort()

    def _abort(self) -> None:
        if not self._loop.cut() and not (self._connection.is_closing or self._connection.is_closed):
            self._connection.close()  # the host's name is still being resolved

    def _on_failed(self, _connection: object, error: BaseException | str) -> None:
        self.failure = error if isinstance(error, BaseException) else AMQPError(error)
        self._loop.stop()

    def _open_channel(self) -> None:
        if self._names:
            self._connection.channel(on_open_callback=self._on_channel)
        else:
            self._connection.close()

    def _on_channel(self, channel: Any) -> None:
        channel.add_on_close_callback(self._on_refused)
        self._declare(channel)

    def _declare(self, channel: Any) -> None:
        if not self._names:
            self._connection.close()
            return
        channel.queue_declare(self._names[0], passive=True, callback=lambda frame: self._on_declared(channel, frame))

    def _on_declared(self, channel: Any, frame: Any) -> None:
        self.found[self._names.popleft()] = (frame.method.message_count, frame.method.consumer_count)
        self._declare(channel)

    def _on_refused(self, _channel: Any, reason: Exception) -> None:
        # The broker closes the channel with each refusal; the next queue needs a new one.
        if isinstance(reason, ChannelClosedByBroker) and self._names:
            self.refused[self._names.popleft()] = (reason.reply_code, reason.reply_text)
            self._open_channel()

    def _on_closed(self, _connection: Any, reason: BaseException) -> None:
        if self._names:
            self.failure = reason
        self._loop.stop()
