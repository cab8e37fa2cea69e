"""Sends messages and learns of each whether a queue has taken it: confirms, many under way at once, and `mandatory`.

The broker confirms what it could not route as well; such a message is returned first (tried: over 2,000 messages every
return came before the confirm that covers it). A returned message is told by its redrive id, one of its headers.

A message that the broker will not have at all (too large, no such exchange) closes the channel, and with it goes what
is known of all others under way. So a new channel's first message travels alone, as large ones do; after such an end
all of the next ones do, and then only the one at fault is refused.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from pika.exceptions import ChannelClosedByBroker
from pika.spec import Basic

from monitor.brokers.rabbitmq.amqp import NO_SUCH, REFUSED
from monitor.brokers.rabbitmq.properties import decode_properties
from monitor.brokers.rabbitmq.session import Line, settle
from monitor.brokers.rabbitmq.wire import WireProperties
from monitor.errors import BrokerError, Throttled, TimedOut, Unreachable
from monitor.letters import HEADER_ID, SendResult

_LARGE = 1 << 20
_MOST_BYTES = 32 << 20  # under way at once


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to send. `id` is its redrive id, which its headers carry as well; `place` is the target, for people."""

    id: str
    exchange: str
    routing_key: str
    raw: bytes
    body: bytes
    place: str

    @property
    def size(self) -> int:
        """Return roughly how many bytes travel."""
        return len(self.raw) + len(self.body)


class Sender:
    """One channel with confirms; for the loop's thread. One batch at a time.

    A letter whose confirm is still under way is not published again when it is sent again, as long as the line lives.
    Letters that are equal have equal ids: as many of them are confirmed as were taken, whichever these are.
    """

    def __init__(self, line: Line, window: int) -> None:
        self._line, self._window = line, window
        self._channel: Any = None
        self._opened: Future[Any] | None = None
        self._careful = 1
        self._next_tag = 1
        self._ahead: deque[Letter] = deque()
        self._under_way: dict[int, Letter] = {}
        self._under_way_bytes = 0
        self._returned: dict[str, deque[str]] = defaultdict(deque)
        self._results: dict[str, deque[SendResult]] = defaultdict(deque)
        self._batch: _Batch | None = None
        line.when_closed(self._on_line_lost)
        line.on_blocked = self._pump

    def open(self, opened: "Future[Any]") -> None:
        """Open the channel and ask for confirms."""
        self._opened = opened
        self._line.connection.channel(on_open_callback=self._on_open)

    def send(self, letters: Sequence[Letter], seconds: float, done: "Future[Any]") -> None:
        """Send, and settle with a SendResult each once all are known or `seconds` are over.

        What is not known by then is told so; where nothing at all is, the future gets Throttled (publishers are
        blocked), TimedOut or Unreachable.
        """
        if self._line.closed:
            settle(done, error=self._line_failure())
            return
        timer = self._line.loop.call_later(seconds, self._give_up)
        cancel = lambda: self._line.loop.remove_timeout(timer)  # noqa: E731
        wanted = Counter(letter.id for letter in letters)
        known = Counter({id_: len(self._results[id_]) for id_ in wanted if self._results.get(id_)})
        self._batch = _Batch(tuple(letters), done, cancel, wanted - known, (wanted - known).total())
        spare = known + Counter(letter.id for letter in self._under_way.values())
        for letter in letters:
            if spare[letter.id] > 0:
                spare[letter.id] -= 1
            else:
                self._ahead.append(letter)
        self._pump()
        self._finish_if_known()

    # publishing

    def _pump(self) -> None:
        if not (self._ahead and self._may_send(self._ahead[0])):
            return
        with self._line.connection.corked():
            while self._ahead and self._may_send(self._ahead[0]):
                self._publish(self._ahead.popleft())

    def _may_send(self, letter: Letter) -> bool:
        if self._channel is None or not self._channel.is_open or self._line.blocked:
            return False
        if not self._under_way:
            return True
        alone = self._careful or letter.size > _LARGE or self._under_way_bytes > _MOST_BYTES
        return not alone and len(self._under_way) < self._window

    def _publish(self, letter: Letter) -> None:
        self._under_way[self._next_tag] = letter
        self._next_tag += 1
        self._under_way_bytes += letter.size
        connection, channel = self._line.connection, self._channel.channel_number
        connection.publish(channel, letter.exchange, letter.routing_key, letter.raw, letter.body)

    # what the broker says

    def _on_open(self, channel: Any) -> None:
        self._channel, self._next_tag = channel, 1
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(self._on_confirm, callback=self._on_ready)

    def _on_ready(self, _frame: object) -> None:
        if self._opened is not None:
            settle(self._opened, None)
        self._pump()

    def _on_return(self, _channel: object, method: Any, properties: WireProperties, _body: bytes) -> None:
        redrive_id = decode_properties(properties.raw).header(HEADER_ID)
        self._returned[str(redrive_id)].append(f"no queue takes it ({method.reply_text})")

    def _on_confirm(self, found: Any) -> None:
        method = found.method
        tags = [method.delivery_tag]
        if method.multiple:  # dict keys are in the order of publishing
            tags = [tag for tag in self._under_way if tag <= method.delivery_tag]
        for tag in tags:
            self._settle(tag, accepted=isinstance(method, Basic.Ack))
        self._pump()
        self._finish_if_known()

    def _settle(self, tag: int, *, accepted: bool) -> None:
        letter = self._under_way.pop(tag)
        self._under_way_bytes -= letter.size
        self._careful = max(0, self._careful - 1)
        if returned := self._returned.get(letter.id):
            result = SendResult(False, reason=f"{letter.place}: {returned.popleft()}")
        elif accepted:
            result = SendResult(True, at_target=letter.place)
        else:
            reason = f"{letter.place} refuses it: it is full (overflow reject-publish), or failed"
            result = SendResult(False, reason=reason)
        self._put(letter.id, result)

    def _put(self, id_: str, result: SendResult) -> None:
        self._results[id_].append(result)
        if self._batch is not None and self._batch.wanted[id_] > 0:
            self._batch.wanted[id_] -= 1
            self._batch.missing -= 1

    def _on_channel_closed(self, _channel: object, reason: Exception) -> None:
        if not isinstance(reason, ChannelClosedByBroker):
            return  # the connection goes, which is told elsewhere
        text = f"the broker refuses it: {reason.reply_text}"
        alone = len(self._under_way) == 1
        if not alone:
            text = f"the broker closed the channel with others under way: {reason.reply_text}"
        self._drop_under_way(text, known=alone)
        if reason.reply_code in (NO_SUCH, REFUSED):  # it is the same for all
            while self._ahead:
                self._put(self._ahead.popleft().id, SendResult(False, reason=text))
        self._careful = self._window
        self._channel = None
        self._line.connection.channel(on_open_callback=self._on_open)
        self._finish_if_known()

    def _on_line_lost(self) -> None:
        self._drop_under_way("the connection was lost before the confirm", known=False)
        if self._opened is not None:
            settle(self._opened, error=self._line_failure())
        self._give_up()

    def _drop_under_way(self, reason: str, *, known: bool) -> None:
        for letter in self._under_way.values():
            self._put(letter.id, SendResult(False, reason=reason, known=known))
        self._under_way.clear()
        self._returned.clear()
        self._under_way_bytes = 0

    # the end of a batch

    def _finish_if_known(self) -> None:
        batch = self._batch
        if batch is not None and not batch.missing:
            self._finish(batch)

    def _finish(self, batch: "_Batch") -> None:
        unknown = SendResult(False, reason="no confirm came in time", known=False)
        results = [self._next_result(letter.id) or unknown for letter in batch.letters]
        self._batch = None
        batch.cancel()
        settle(batch.done, results)

    def _next_result(self, id_: str) -> SendResult | None:
        results = self._results.get(id_)
        if not results:
            return None
        result = results.popleft()
        if not results:
            del self._results[id_]
        return result

    def _give_up(self) -> None:
        """End a batch as it stands."""
        batch = self._batch
        if batch is None:
            return
        self._ahead.clear()
        if any(result.known for letter in batch.letters for result in self._results.get(letter.id, ())):
            self._finish(batch)
            return
        self._batch = None
        batch.cancel()
        settle(batch.done, error=self._why_nothing())

    def _why_nothing(self) -> BrokerError:
        if self._line.closed:
            return self._line_failure()
        if self._line.blocked:
            return Throttled(
                "the broker has blocked all publishers", target=self._line.target, remedy="free its memory or disk"
            )
        return TimedOut("no confirm came before the deadline", target=self._line.target)

    def _line_failure(self) -> BrokerError:
        failure = self._line.failure
        return failure if isinstance(failure, BrokerError) else Unreachable("the connection was lost")


@dataclass(slots=True)
class _Batch:
    """What was asked for last. `wanted` counts by id what is not known yet, `missing` is the sum of it."""

    letters: tuple[Letter, ...]
    done: "Future[Any]"
    cancel: Callable[[], None]
    wanted: Counter[str]
    missing: int
