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
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import takewhile
from typing import Any, NamedTuple

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


class Letter(NamedTuple):
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
    """One channel with confirms; for the loop's thread. Batches may be sent while earlier ones are under way.

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
        self._unclaimed: dict[str, deque[SendResult]] = defaultdict(deque)
        self._batches: list[_Batch] = []
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
        batch = _Batch(tuple(letters), done, Counter(letter.id for letter in letters), len(letters))
        timer = self._line.loop.call_later(seconds, lambda: self._give_up(batch))
        batch.cancel = lambda: self._line.loop.remove_timeout(timer)
        spare = self._find_spare(batch)
        self._batches.append(batch)
        for letter in letters:
            if spare[letter.id] > 0:
                spare[letter.id] -= 1
            else:
                self._ahead.append(letter)
        self._pump()
        self._finish_known()

    def _find_spare(self, batch: "_Batch") -> Counter[str]:
        """Return, by id, how many letters were published before and nobody waits for; give the batch what is known."""
        waited_for = sum(other.missing for other in self._batches)
        if not self._unclaimed and len(self._under_way) + len(self._ahead) <= waited_for:
            return Counter()  # as long as no batch was given up
        spare = Counter(letter.id for letter in self._under_way.values())
        for other in self._batches:
            spare -= other.wanted  # what is still ahead of these is missed again when it is published
        for id_ in batch.wanted.keys() & self._unclaimed.keys():
            results = self._unclaimed[id_]
            while results and batch.wants(id_):
                batch.take(id_, results.popleft())
                spare[id_] += 1
            if not results:
                del self._unclaimed[id_]
        return spare

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
            tags = list(takewhile(lambda tag: tag <= method.delivery_tag, self._under_way))
        accepted = isinstance(method, Basic.Ack)
        for tag in tags:
            self._settle(tag, accepted=accepted)
        self._pump()
        self._finish_known()

    def _settle(self, tag: int, *, accepted: bool) -> None:
        letter = self._under_way.pop(tag)
        self._under_way_bytes -= letter.size
        self._careful = max(0, self._careful - 1)
        if returned := self._returned.get(letter.id):
            result = SendResult(False, reason=f"{letter.place}: {returned.popleft()}")
        elif accepted:
            result = _confirmed(letter.place)
        else:
            reason = f"{letter.place} refuses it: it is full (overflow reject-publish), or failed"
            result = SendResult(False, reason=reason)
        self._put(letter.id, result)

    def _put(self, id_: str, result: SendResult) -> None:
        for batch in self._batches:
            if batch.wants(id_):
                batch.take(id_, result)
                return
        self._unclaimed[id_].append(result)

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
        self._finish_known()

    def _on_line_lost(self) -> None:
        self._drop_under_way("the connection was lost before the confirm", known=False)
        if self._opened is not None:
            settle(self._opened, error=self._line_failure())
        for batch in list(self._batches):
            self._give_up(batch)

    def _drop_under_way(self, reason: str, *, known: bool) -> None:
        for letter in self._under_way.values():
            self._put(letter.id, SendResult(False, reason=reason, known=known))
        self._under_way.clear()
        self._returned.clear()
        self._under_way_bytes = 0

    # the end of a batch

    def _finish_known(self) -> None:
        for batch in [batch for batch in self._batches if not batch.missing]:
            self._finish(batch)

    def _finish(self, batch: "_Batch") -> None:
        unknown = SendResult(False, reason="no confirm came in time", known=False)
        results = [batch.result_of(letter.id) or unknown for letter in batch.letters]
        self._batches.remove(batch)
        batch.cancel()
        settle(batch.done, results)

    def _give_up(self, batch: "_Batch") -> None:
        """End a batch as it stands."""
        dropped = set(map(id, batch.letters))
        self._ahead = deque(letter for letter in self._ahead if id(letter) not in dropped)
        if batch.knows_any:
            self._finish(batch)
            return
        self._batches.remove(batch)
        batch.cancel()
        for id_, results in batch.results.items():
            self._unclaimed[id_].extend(results)
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


@dataclass(slots=True, eq=False)
class _Batch:
    """What was asked for at once. `wanted` counts by id what is not known yet, `missing` is the sum of it."""

    letters: tuple[Letter, ...]
    done: "Future[Any]"
    wanted: Counter[str]
    missing: int
    cancel: Callable[[], None] = lambda: None
    results: dict[str, deque[SendResult]] = field(default_factory=dict)

    @property
    def knows_any(self) -> bool:
        """Say whether anything is known of any of its letters."""
        return any(result.known for results in self.results.values() for result in results)

    def wants(self, id_: str) -> bool:
        """Say whether it waits for a letter of this id."""
        return self.wanted.get(id_, 0) > 0

    def take(self, id_: str, result: SendResult) -> None:
        """Take what is known of one letter."""
        self.wanted[id_] -= 1
        self.missing -= 1
        self.results.setdefault(id_, deque()).append(result)

    def result_of(self, id_: str) -> SendResult | None:
        """Return what is known of one letter of this id, and of another the next time; None when nothing is."""
        results = self.results.get(id_)
        return results.popleft() if results else None


@lru_cache(maxsize=64)
def _confirmed(place: str) -> SendResult:
    return SendResult(True, at_target=place)
