"""Takes messages out of a queue into the hand, exactly as many as are wanted, and acknowledges or gives them back.

A consumer whose prefetch is the number wanted gets that many and no more as long as none is acknowledged; it is
cancelled before the first is. So nothing beyond is ever delivered, and no other message's delivery count rises.
What is taken and not acknowledged goes back to its place when the channel is closed (tried on 3.10: classic queues keep
the order; quorum queues put them in front, in order, where `basic.nack` without a delivery limit puts them at the end).
"""

from collections.abc import Collection
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from pika.exceptions import ChannelClosedByBroker

from monitor.brokers.rabbitmq.amqp import Loop, refused
from monitor.brokers.rabbitmq.session import Line, WireProperties, settle
from monitor.errors import BadAnswer, BrokerError, Unreachable

MOST = 65_535
"""The protocol's largest prefetch."""

_AGAIN_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message in the hand, as it came. `tag` is valid on its channel alone; `raw` are its properties."""

    tag: int
    exchange: str
    routing_key: str
    redelivered: bool
    raw: bytes
    body: bytes


class Taker:
    """One channel on one queue; for the loop's thread. One take at a time."""

    def __init__(self, line: Line, queue: str) -> None:
        self._line, self._queue = line, queue
        self._channel: Any = None
        self._take: _Take | None = None
        self._asked: Future[Any] | None = None
        self._failure: BrokerError | None = None
        self._held: dict[int, None] = {}
        line.when_closed(self._on_line_lost)

    @property
    def number_held(self) -> int:
        """Return how many messages are in the hand."""
        return len(self._held)

    def open(self, opened: "Future[Any]") -> None:
        """Open the channel."""
        if self._begin(opened):
            self._line.connection.channel(on_open_callback=self._on_open)

    def take(self, number: int, seconds: float, done: "Future[Any]") -> None:
        """Take `number` messages, fewer where the queue has no more or `seconds` are over."""
        if self._begin(done):
            self._take = _Take(self, self._line.loop, self._channel, self._queue, min(number, MOST), done)
            self._take.begin(seconds)

    def ack(self, tags: Collection[int], done: "Future[Any]") -> None:
        """Acknowledge; done when the queue has been told, which a question to it that comes after shows."""
        if not self._begin(done):
            return
        wanted = set(tags) & self._held.keys()
        first = self._leading(wanted)
        if first:
            self._channel.basic_ack(first[-1], multiple=True)
        for tag in sorted(wanted.difference(first)):
            self._channel.basic_ack(tag)
        for tag in wanted:
            del self._held[tag]
        self._channel.queue_declare(self._queue, passive=True, callback=lambda _: settle(done, wanted))

    def count(self, done: "Future[Any]") -> None:
        """Count the messages that are ready, by a question to the queue itself."""
        if self._begin(done):
            answer = lambda found: settle(done, found.method.message_count)  # noqa: E731
            self._channel.queue_declare(self._queue, passive=True, callback=answer)

    def give_back(self, done: "Future[Any]") -> None:
        """Close the channel: everything in the hand goes back."""
        if self._begin(done):
            self._channel.close()

    def keep(self, delivery: Delivery) -> None:
        """Remember what is in the hand."""
        self._held[delivery.tag] = None

    def _leading(self, wanted: Collection[int]) -> list[int]:
        # the tags at the beginning of the hand can be acknowledged by one frame
        leading: list[int] = []
        for tag in self._held:
            if tag not in wanted:
                break
            leading.append(tag)
        return leading

    def _begin(self, done: "Future[Any]") -> bool:
        self._asked = done
        if self._failure is not None:
            settle(done, error=self._failure)
        return self._failure is None

    def _on_open(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_cancel_callback(lambda _: self._fail(BadAnswer("the queue was deleted", target=self._queue)))
        settle(self._asked or Future(), None)

    def _on_channel_closed(self, _channel: object, reason: Exception) -> None:
        self._held.clear()
        if isinstance(reason, ChannelClosedByBroker):
            self._fail(refused(reason, self._queue))
            return
        self._failure = Unreachable("the channel is closed", target=self._queue)
        settle(self._asked or Future(), None)

    def _on_line_lost(self) -> None:
        self._held.clear()
        failure = self._line.failure
        self._fail(failure if isinstance(failure, BrokerError) else Unreachable("the connection was lost"))

    def _fail(self, error: BrokerError) -> None:
        self._failure = self._failure or error
        if self._take is not None:
            self._take.ended = True
        settle(self._asked or Future(), error=error)


class _Take:
    """One consumer's short life."""

    def __init__(self, taker: Taker, loop: Loop, channel: Any, queue: str, number: int, done: "Future[Any]") -> None:
        self._taker, self._loop, self._channel, self._queue = taker, loop, channel, queue
        self._number, self._done = number, done
        self._taken: list[Delivery] = []
        self._tag = ""
        self._timer: Any = None
        self._empty_at = -1
        self.ended = False

    def begin(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._end)
        self._channel.basic_qos(prefetch_count=self._number, callback=self._consume)

    def _consume(self, _frame: object) -> None:
        self._tag = self._channel.basic_consume(self._queue, self._on_message, callback=lambda _: self._look())

    def _on_message(self, _channel: object, method: Any, properties: WireProperties, body: bytes) -> None:
        delivery = Delivery(
            method.delivery_tag, method.exchange, method.routing_key, method.redelivered, properties.raw, body
        )
        self._taker.keep(delivery)
        self._taken.append(delivery)
        if len(self._taken) == self._number:
            self._end()

    def _look(self) -> None:
        if not self.ended:
            self._channel.queue_declare(self._queue, passive=True, callback=self._on_count)

    def _on_count(self, found: Any) -> None:
        """End when the queue has said twice in a row that nothing is ready, with nothing delivered in between.

        Once is not enough: what it had sent before may still be on its way through the channel.
        """
        if self.ended:
            return
        quiet = found.method.message_count == 0 and self._empty_at == len(self._taken)
        self._empty_at = len(self._taken) if found.method.message_count == 0 else -1
        if quiet:
            self._end()
        else:
            self._loop.call_later(_AGAIN_SECONDS, self._look)

    def _end(self) -> None:
        if self.ended:
            return
        self.ended = True
        self._loop.remove_timeout(self._timer)
        self._channel.basic_cancel(self._tag, callback=lambda _: settle(self._done, self._taken))
