"""Takes messages out of a queue into the hand, exactly as many as are wanted, and acknowledges or gives them back.

A consumer whose prefetch is the number wanted gets that many and no more as long as none is acknowledged; it is
cancelled before the first is. So nothing beyond is ever delivered, and no other message's delivery count rises.

What is taken and not acknowledged goes back to its place when its channel is closed. Tried on 3.10: classic queues keep
the order; quorum queues put what a channel held in front, in order, where `basic.nack` without a delivery limit puts it
at the end, and where several consumers of one channel come back in any order. So each take has a channel of its own.
"""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pika.exceptions import ChannelClosedByBroker

from monitor.brokers.rabbitmq.amqp import refused
from monitor.brokers.rabbitmq.session import Line, settle
from monitor.brokers.rabbitmq.wire import Delivered, WireProperties
from monitor.errors import BadAnswer, BrokerError, Unreachable

MOST = 65_535
"""The protocol's largest prefetch."""

_AGAIN_SECONDS = 0.01
_MOST_LOOKS = 100  # for messages that went back to be ready: a second at most

Tag = tuple[int, int]
"""A message in the hand: the number of its take, and its delivery tag there."""


class Delivery(NamedTuple):
    """A message in the hand, as it came. `raw` are its properties."""

    tag: Tag
    exchange: str
    routing_key: str
    redelivered: bool
    raw: bytes
    body: bytes


class Taker:
    """What is taken from one queue; for the loop's thread. One call of each kind at a time."""

    def __init__(self, line: Line, queue: str, arguments: Mapping[str, Any] | None = None) -> None:
        self._line, self._queue, self._arguments = line, queue, dict(arguments or {})
        self._control: Any = None
        self._windows: dict[int, _Window] = {}
        self._number = 0
        self._asked: list[Future[Any]] = []
        self._failure: BrokerError | None = None
        line.when_closed(self._on_line_lost)

    def open(self, opened: "Future[Any]") -> None:
        """Open a channel for questions."""
        if self._begin(opened):
            self._line.connection.channel(on_open_callback=self._on_control)

    def take(self, number: int, seconds: float, done: "Future[Any]") -> None:
        """Take `number` messages, fewer where the queue has no more or `seconds` are over."""
        if not self._begin(done):
            return
        self._number += 1
        free = next((it for it in self._windows.values() if it.ended and not it.held), None)
        if free is not None:  # all that it took is acknowledged
            del self._windows[free.number]
            window = _Window(self._number, free.channel)
            self._windows[window.number] = window
            self._start(window, number, seconds, done)
            return
        window = _Window(self._number)
        self._windows[window.number] = window

        def on_open(channel: Any) -> None:
            window.channel = channel
            self._watch(channel)
            self._start(window, number, seconds, done)

        self._line.connection.channel(on_open_callback=on_open)

    def ack(self, tags: Collection[Tag], done: "Future[Any]") -> None:
        """Acknowledge; done with what was, when the queue has been told, which a question that comes after shows."""
        if not self._begin(done):
            return
        acked: set[Tag] = set()
        asked = []
        wanted: dict[int, set[int]] = {}
        for number, tag in tags:
            wanted.setdefault(number, set()).add(tag)
        for number in wanted.keys() & self._windows.keys():
            window = self._windows[number]
            found = window.ack(wanted[number])
            acked.update((number, tag) for tag in found)
            if found:
                asked.append(window.channel)
        waiting = [len(asked)]

        def on_answer(_frame: object) -> None:
            waiting[0] -= 1
            if not waiting[0]:
                settle(done, acked)

        if not asked:
            settle(done, acked)
        for channel in asked:
            channel.queue_declare(self._queue, passive=True, callback=on_answer)

    def count(self, done: "Future[Any]") -> None:
        """Count the messages that are ready, by a question to the queue itself."""
        if self._begin(done):
            self._ask_count(lambda ready: settle(done, ready))

    def give_back(self, done: "Future[Any]") -> None:
        """Close the channels: everything in the hand goes back, what was taken first before the rest."""
        if self._begin(done):
            self._give_back([window for window in self._windows.values() if window.held], done)

    # one step of these

    def _start(self, window: "_Window", number: int, seconds: float, done: "Future[Any]") -> None:
        _Take(self._line, window, self._queue, self._arguments, min(number, MOST), done).begin(seconds)

    def _give_back(self, windows: Sequence["_Window"], done: "Future[Any]") -> None:
        if not windows:
            settle(done, None)
            return
        first, rest = windows[0], windows[1:]
        if not rest:
            first.closed = lambda: settle(done, None)
            first.channel.close()
            return
        # The next may be closed when the queue has these again, or their order would not be sure.
        self._ask_count(lambda ready: self._close_and_wait(first, ready + len(first.held), rest, done))

    def _close_and_wait(self, window: "_Window", ready: int, rest: Sequence["_Window"], done: "Future[Any]") -> None:
        window.closed = lambda: self._wait_for(ready, _MOST_LOOKS, lambda: self._give_back(rest, done))
        window.channel.close()

    def _wait_for(self, ready: int, looks: int, then: Any) -> None:
        def on_count(found: int) -> None:
            if found >= ready or not looks:
                then()
            else:
                self._line.loop.call_later(_AGAIN_SECONDS, lambda: self._wait_for(ready, looks - 1, then))

        self._ask_count(on_count)

    def _ask_count(self, then: Any) -> None:
        self._control.queue_declare(self._queue, passive=True, callback=lambda found: then(found.method.message_count))

    # what goes wrong

    def _begin(self, done: "Future[Any]") -> bool:
        self._asked = [done, *(it for it in self._asked if not it.done())]
        if self._failure is not None:
            settle(done, error=self._failure)
        return self._failure is None

    def _on_control(self, channel: Any) -> None:
        self._control = channel
        self._watch(channel)
        for asked in self._asked:
            settle(asked, None)

    def _watch(self, channel: Any) -> None:
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_cancel_callback(lambda _: self._fail(BadAnswer("the queue was deleted", target=self._queue)))

    def _on_channel_closed(self, channel: Any, reason: Exception) -> None:
        window = next((it for it in self._windows.values() if it.channel is channel), None)
        if window is not None:
            del self._windows[window.number]
        if isinstance(reason, ChannelClosedByBroker):
            self._fail(refused(reason, self._queue))
        elif window is not None and window.closed is not None:
            window.closed()

    def _on_line_lost(self) -> None:
        self._windows.clear()
        failure = self._line.failure
        self._fail(failure if isinstance(failure, BrokerError) else Unreachable("the connection was lost"))

    def _fail(self, error: BrokerError) -> None:
        self._failure = self._failure or error
        for window in self._windows.values():
            window.ended = True
        for asked in self._asked:
            settle(asked, error=error)


@dataclass(slots=True, eq=False)
class _Window:
    """One take's channel and what it holds. `closed` is called when we have closed the channel."""

    number: int
    channel: Any = None
    held: dict[int, None] = field(default_factory=dict)
    ended: bool = False
    closed: Any = None

    def ack(self, tags: Collection[int]) -> set[int]:
        """Acknowledge what of these is held: the first ones by one frame."""
        wanted = self.held.keys() & tags
        if len(wanted) == len(self.held):
            if wanted:
                self.channel.basic_ack(next(reversed(self.held)), multiple=True)
            self.held.clear()
            return wanted
        leading = []
        for tag in self.held:
            if tag not in wanted:
                break
            leading.append(tag)
        if leading:
            self.channel.basic_ack(leading[-1], multiple=True)
        for tag in sorted(wanted.difference(leading)):
            self.channel.basic_ack(tag)
        for tag in wanted:
            del self.held[tag]
        return wanted


class _Take:
    """One consumer's short life."""

    def __init__(
        self,
        line: Line,
        window: _Window,
        queue: str,
        arguments: dict[str, Any],
        number: int,
        done: "Future[Any]",
    ) -> None:
        self._arguments = arguments
        self._loop, self._receivers = line.loop, line.connection.receivers
        self._window, self._channel, self._queue = window, window.channel, queue
        self._number, self._done = number, done
        self._taken: list[Delivery] = []
        self._tag = ""
        self._timer: Any = None
        self._empty_at = -1

    def begin(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._end)
        self._channel.basic_qos(prefetch_count=self._number, callback=self._consume)

    def _consume(self, _frame: object) -> None:
        self._receivers[self._channel.channel_number] = self._receive
        self._tag = self._channel.basic_consume(
            self._queue, self._on_message, arguments=self._arguments, callback=lambda _: self._look()
        )

    def _on_message(self, _channel: object, method: Any, properties: WireProperties, body: bytes) -> None:
        names = method.exchange, method.routing_key
        self._receive(Delivered(method.delivery_tag, method.redelivered, *names, properties.raw, body))

    def _receive(self, it: Delivered) -> None:
        self._window.held[it.tag] = None
        tag = (self._window.number, it.tag)
        self._taken.append(Delivery(tag, it.exchange, it.routing_key, it.redelivered, it.properties, it.body))
        if len(self._taken) == self._number:
            self._end()

    def _look(self) -> None:
        if not self._window.ended:
            self._channel.queue_declare(self._queue, passive=True, callback=self._on_count)

    def _on_count(self, found: Any) -> None:
        """End when the queue has said twice in a row that nothing is ready, with nothing delivered in between.

        Once is not enough: what it had sent before may still be on its way through the channel.
        """
        if self._window.ended:
            return
        quiet = found.method.message_count == 0 and self._empty_at == len(self._taken)
        self._empty_at = len(self._taken) if found.method.message_count == 0 else -1
        if quiet:
            self._end()
        else:
            self._loop.call_later(_AGAIN_SECONDS, self._look)

    def _end(self) -> None:
        if self._window.ended:
            return
        self._window.ended = True
        self._loop.remove_timeout(self._timer)
        if self._tag:
            self._channel.basic_cancel(self._tag, callback=self._on_cancelled)
        else:
            settle(self._done, self._taken)  # time was over before it began

    def _on_cancelled(self, _frame: object) -> None:
        self._receivers.pop(self._channel.channel_number, None)
        settle(self._done, self._taken)
