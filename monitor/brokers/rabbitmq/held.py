"""The messages of a dead-letter queue in the hand of a job: taken, sent with confirm, then acknowledged."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple

from monitor.brokers.rabbitmq.looking import delivery_count, save
from monitor.brokers.rabbitmq.messages import Reader, write_properties
from monitor.brokers.rabbitmq.properties import Properties, decode_properties
from monitor.brokers.rabbitmq.readings import label_of
from monitor.brokers.rabbitmq.sending import Letter, Sender
from monitor.brokers.rabbitmq.session import Session
from monitor.brokers.rabbitmq.standing import Standing
from monitor.brokers.rabbitmq.taking import Delivery, Tag, Taker
from monitor.clock import Clock
from monitor.errors import BrokerError, TimedOut
from monitor.letters import Action, Await, AwaitRemoval, DeadMessage, Job, Outgoing, SendResult

EACH_ORIGIN = "@origins"
"""The target of a plan whose messages go back each to the queue that it came from."""

_MARGIN_SECONDS = 0.5
_CLOSING_SECONDS = 5.0
_AHEAD_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where messages go. Without `routing_key` each keeps its own; without `exchange` it is a queue's name.

    `vhost` is the virtual host, `label` the name for people.
    """

    vhost: str
    exchange: str = ""
    routing_key: str | None = None
    label: str = ""

    @property
    def each_origin(self) -> bool:
        """Say whether each message goes to where it came from."""
        return self.label == EACH_ORIGIN

    def as_bounds(self) -> dict[str, Any]:
        """Return it as a plan keeps it."""
        return {"vhost": self.vhost, "exchange": self.exchange, "routing_key": self.routing_key, "label": self.label}

    @classmethod
    def from_bounds(cls, kept: Mapping[str, Any]) -> "Target":
        """Return what a plan has kept."""
        return cls(kept["vhost"], kept["exchange"], kept["routing_key"], kept["label"])


@dataclass(frozen=True, slots=True)
class Connections:
    """What a job holds open."""

    session: Session
    taker: Taker
    sender: Sender
    user: str


class Grip(NamedTuple):
    """A message in the hand: as it came, its properties, and as the job knows it."""

    delivery: Delivery
    properties: Properties
    message: DeadMessage


class RabbitHeld:
    """The hand of one job. One thread uses it.

    A batch is half of what may be in doubt: another one is on its way while it is settled.
    What is released stays unacknowledged until `close`, so that `take` gives others; then all of it goes back to its
    place at once.
    """

    positions_are_unique = False
    """Messages that are equal in every byte share a position; which of them is meant makes no difference."""

    overlaps = True
    """Messages keep their order on the one channel that all are sent by."""

    removed_may_return = False
    """Whether the broker has restarted since the plan: when it crashes, a classic queue forgets acknowledgements."""

    def __init__(
        self, connections: Connections, job: Job, standing: Standing, target: Target, reader: Reader, clock: Clock
    ) -> None:
        self._with, self._job, self._standing, self._target = connections, job, standing, target
        self._clock = clock
        self._hand: dict[str, deque[Grip]] = {}
        self._bound = int(job.bounds["count"])
        self._taken = 0
        self._most = max(1, standing.window // 2)
        self._ready: deque[Delivery] = deque()  # taken, and not handed out yet
        self._ahead: Future[Any] | None = None
        self._read_message: Callable[[Delivery, Properties], DeadMessage] = reader.read
        if job.request.plain and job.request.action == Action.REDRIVE and not target.each_origin:
            self._read_message = reader.read_in_short

    def take(self, limit: int, deadline: float) -> Sequence[DeadMessage]:
        """Take up to `limit` messages, never more than the plan counted; none when none is ready."""
        number = min(limit, self._most, self._bound - self._taken)
        if number <= 0:
            return ()
        if not self._ready:
            self._receive(number, deadline)
        taken = [self._ready.popleft() for _ in range(min(number, len(self._ready)))]
        self._taken += len(taken)
        if len(taken) == self._most and self._standing.delivery_limit is None:
            self._take_ahead()
        return [self._read(delivery) for delivery in taken]

    def send(self, messages: Sequence[Outgoing], deadline: float) -> Sequence[SendResult]:
        """Send all at once and wait for the confirms. Raises BrokerError when nothing at all became known.

        Sending a message again whose confirm is still under way waits for that one.
        """
        return self.begin_send(messages, deadline)(deadline)

    def begin_send(self, messages: Sequence[Outgoing], deadline: float) -> Await:
        """Begin to send, and return what waits for the confirms. Raises BrokerError, as that does."""
        written = [self._write(outgoing) for outgoing in messages]
        letters = [letter for letter in written if isinstance(letter, Letter)]
        if not letters:
            return lambda _deadline: [it for it in written if isinstance(it, SendResult)]
        seconds = deadline - self._clock.monotonic() - _MARGIN_SECONDS
        if seconds <= 0:
            raise TimedOut("no time was left to send", target=self._target.label)
        session, sender, label = self._with.session, self._with.sender, self._target.label
        under_way = session.begin(lambda done: sender.send(letters, seconds, done), label)

        def wait(until: float) -> Sequence[SendResult]:
            sent = iter(session.wait(under_way, until, label))
            return [next(sent) if isinstance(it, Letter) else it for it in written]

        return wait

    def remove(self, messages: Sequence[DeadMessage], deadline: float) -> Sequence[bool]:
        """Acknowledge messages. False for what is not in the hand any more. Raises BrokerError."""
        return self.begin_remove(messages, deadline)(deadline)

    def begin_remove(self, messages: Sequence[DeadMessage], deadline: float) -> AwaitRemoval:
        """Begin to acknowledge, and return what waits until the queue has been told. Raises BrokerError, as that does.

        One removal at a time.
        """
        tags = [self._let_go(message.position) for message in messages]
        held = [tag for tag in tags if tag is not None]
        if not held:
            return lambda _deadline: [False] * len(tags)
        session, taker, label = self._with.session, self._with.taker, self._standing.label
        under_way = session.begin(lambda done: taker.ack(held, done), label)

        def wait(until: float) -> Sequence[bool]:
            acked = session.wait(under_way, until, label)
            return [tag in acked for tag in tags]

        return wait

    def release(self, messages: Sequence[DeadMessage]) -> None:
        """Leave messages where they are: they go back at `close`."""
        for message in messages:
            equal = self._hand.get(message.position)
            if equal and not self._is_endangered(equal[0].delivery):
                self._let_go(message.position)  # its bytes are not needed any more

    def close(self) -> None:
        """Give everything back in its order and close the connections. Raises nothing: the broker gives back too."""
        deadline = self._clock.monotonic() + _CLOSING_SECONDS
        try:
            if self._ahead is not None:
                self._receive(0, deadline)
            for delivery in self._ready:
                self._read(delivery)
            held = [grip.delivery for equal in self._hand.values() for grip in equal]
            endangered = [delivery for delivery in held if self._is_endangered(delivery)]
            if endangered:
                session, sender, taker = self._with.session, self._with.sender, self._with.taker
                save(session, sender, taker, self._standing, endangered, deadline)
            self._ask(self._with.taker.give_back, deadline)
        except BrokerError:
            pass  # the connection has gone, and with it everything went back
        finally:
            self._hand.clear()
            self._with.session.close()

    def _receive(self, number: int, deadline: float) -> None:
        """Wait for what is being taken ahead, or take now."""
        label = self._standing.label
        if self._ahead is None:
            seconds = max(0.0, deadline - self._clock.monotonic() - _MARGIN_SECONDS)
            self._ahead = self._begin_take(number, seconds)
        taken = self._with.session.wait(self._ahead, deadline, label)
        self._ahead = None
        self._ready.extend(taken)

    def _take_ahead(self) -> None:
        """Have the next ones come while these are sent: a job that goes as fast as it can will want them."""
        number = min(self._most, self._bound - self._taken - len(self._ready))
        if number > 0 and not self._ready:
            self._ahead = self._begin_take(number, _AHEAD_SECONDS)

    def _begin_take(self, number: int, seconds: float) -> "Future[Any]":
        taker = self._with.taker
        return self._with.session.begin(lambda done: taker.take(number, seconds, done), self._standing.label)

    def _let_go(self, position: str) -> Tag | None:
        """Return the tag of one message of a position, which is the next one's no more."""
        equal = self._hand.get(position)
        if not equal:
            return None
        tag = equal.popleft().delivery.tag
        if not equal:
            del self._hand[position]
        return tag

    def _is_endangered(self, delivery: Delivery) -> bool:
        limit = self._standing.delivery_limit
        return limit is not None and delivery_count(delivery) + 1 > limit

    def _ask(self, begin: Any, deadline: float) -> Any:
        return self._with.session.ask(begin, deadline, self._standing.label)

    def _read(self, delivery: Delivery) -> DeadMessage:
        properties = decode_properties(delivery.raw)
        message = self._read_message(delivery, properties)
        grip, equal = Grip(delivery, properties, message), self._hand.get(message.position)
        if equal is None:
            self._hand[message.position] = deque((grip,))
        else:
            equal.append(grip)
        return message

    def _write(self, outgoing: Outgoing) -> Letter | SendResult:
        """Return the message as it goes out, or why it cannot."""
        equal = self._hand.get(outgoing.message.position)
        if not equal:
            return SendResult(False, reason="it is not in the hand any more")
        grip = equal[0]
        destination = self._destination(outgoing.message, grip.delivery)
        if destination is None:
            return SendResult(False, reason="the queue that it came from is not known")
        try:
            raw = write_properties(
                grip.properties,
                outgoing,
                self._job.id,
                user=self._with.user,
                strip_failure_headers=self._job.request.strip_failure_headers,
                untouched=outgoing.message.headers is grip.message.headers,
            )
        except ValueError as error:
            return SendResult(False, reason=str(error))
        exchange, key, place = destination
        return Letter(outgoing.redrive_id, exchange, key, raw, outgoing.message.value or b"", place)

    def _destination(self, message: DeadMessage, delivery: Delivery) -> tuple[str, str, str] | None:
        target = self._target
        if target.each_origin:
            if message.origin is None:
                return None
            prefix = label_of((target.vhost, ""))
            return "", message.origin.name.removeprefix(prefix), message.origin.name
        if target.routing_key is not None:
            return target.exchange, target.routing_key, target.label
        key = message.origin_detail.get("routing_key")
        return target.exchange, key if isinstance(key, str) else delivery.routing_key, target.label
