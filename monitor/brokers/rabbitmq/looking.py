"""Looks at the messages of a queue and puts them back; refuses where that could remove one.

RabbitMQ has no way to read without taking (but for streams): a look takes messages from the head and gives them back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from monitor.brokers.rabbitmq.messages import DELIVERY_COUNT, Reader
from monitor.brokers.rabbitmq.properties import decode_properties, encode_properties
from monitor.brokers.rabbitmq.sending import Letter, Sender
from monitor.brokers.rabbitmq.session import Line, Session
from monitor.brokers.rabbitmq.standing import QUORUM, STREAM, Standing
from monitor.brokers.rabbitmq.taking import Delivery, Taker
from monitor.clock import Clock
from monitor.errors import BadAnswer, Forbidden
from monitor.letters import DeadMessage

DEEPEST = 5000
"""A look begins at the head of the queue, and so has to take all that lies before."""

_STREAM_SECONDS = 0.5
"""A stream does not say that it has no more: a page that does not fill ends after this time."""


class Dangers:
    """Remembers how close to their delivery limit the messages of queues are, so that not even a look is needed."""

    def __init__(self) -> None:
        self._highest: dict[tuple[str, str], int] = {}

    def note(self, standing: Standing, count: int) -> None:
        """Note a delivery count that a message has, now that it has come back."""
        self._highest[standing.key] = max(count, self._highest.get(standing.key, 0))

    def forget(self, standing: Standing) -> None:
        """Note that the queue has no messages any more."""
        self._highest.pop(standing.key, None)

    def refuse(self, standing: Standing) -> None:
        """Raise Forbidden where it is known that the next return could remove a message, or cannot be known at all."""
        if not standing.limits_known:
            raise Forbidden(
                "policies are hidden from this user, so that nobody knows whether looking would remove messages",
                target=standing.label,
                remedy="give the user of the management API the tag policymaker",
            )
        limit = standing.delivery_limit
        if limit is not None and self._highest.get(standing.key, 0) >= limit:
            raise _too_close(standing, limit)


def _too_close(standing: Standing, limit: int) -> Forbidden:
    return Forbidden(
        f"the next delivery could remove messages: they have come back {limit} times, which is the delivery limit",
        target=standing.label,
        remedy="raise the delivery-limit of this queue by a policy, or set it to -1 from RabbitMQ 4.0 on",
    )


def what_looking_changes(standing: Standing) -> str:
    """Return the sentence for people, before or after."""
    if standing.facts.type == STREAM:
        return ""
    if standing.facts.type != QUORUM:
        return "Looking marks messages as redelivered; their order and everything else stay as they are."
    limit = standing.delivery_limit
    if limit is None:
        return "Looking raises the delivery count of messages; this queue has no delivery limit, and their order stays."
    return (
        f"Each look raises the delivery count of the messages it shows. Beyond {limit}, this queue's delivery limit, "
        "they would be removed; looking is refused before that."
    )


@dataclass(frozen=True, slots=True)
class Look:
    """How to look: who takes, who could save a message, and by when."""

    session: Session
    taker: Taker
    line: Line
    clock: Clock
    standing: Standing
    dangers: Dangers

    def read(self, reader: Reader, skip: int, number: int, deadline: float) -> tuple[Sequence[DeadMessage], bool]:
        """Return `number` messages after the first `skip`, and whether there may be more. Raises BrokerError."""
        self.dangers.refuse(self.standing)
        taken = self._take_carefully(skip + number, deadline)
        endangered = self._note(taken)
        if endangered:
            self._save(endangered, deadline)
        self.session.ask(self.taker.give_back, deadline, self.standing.label)
        limit = self.standing.delivery_limit
        if endangered and limit is not None:
            raise _too_close(self.standing, limit)
        if not taken:
            self.dangers.forget(self.standing)
        return [reader.read(delivery) for delivery in taken[skip:]], len(taken) == skip + number

    def read_stream(self, reader: Reader, number: int, deadline: float) -> tuple[Sequence[DeadMessage], int | None]:
        """Return messages of a stream, which stay where they are, and the offset of the next one if there may be more.

        The taker's arguments say where to begin.
        """
        seconds = min(_STREAM_SECONDS, max(0.0, deadline - self.clock.monotonic()) / 2)
        taken = self.session.ask(lambda done: self.taker.take(number, seconds, done), deadline, self.standing.label)
        self.session.ask(self.taker.give_back, deadline, self.standing.label)
        last = decode_properties(taken[-1].raw).header("x-stream-offset") if len(taken) == number else None
        return [reader.read(delivery) for delivery in taken], last + 1 if isinstance(last, int) else None

    def _take_carefully(self, number: int, deadline: float) -> list[Delivery]:
        if self.standing.delivery_limit is None:
            return self._take(number, deadline)
        # What came back lies in front: the first message is among those that came back most often.
        first = self._take(1, deadline)
        if number == 1 or not first or self._is_endangered(first[0]):
            return first
        return first + self._take(number - 1, deadline)

    def _take(self, number: int, deadline: float) -> list[Delivery]:
        left = max(0.0, deadline - self.clock.monotonic()) / 2  # the rest is for giving back
        return list(self.session.ask(lambda done: self.taker.take(number, left, done), deadline, self.standing.label))

    def _note(self, taken: Sequence[Delivery]) -> list[Delivery]:
        for delivery in taken:
            self.dangers.note(self.standing, delivery_count(delivery) + 1)
        return [delivery for delivery in taken if self._is_endangered(delivery)]

    def _is_endangered(self, delivery: Delivery) -> bool:
        limit = self.standing.delivery_limit
        return limit is not None and delivery_count(delivery) + 1 > limit

    def _save(self, endangered: Sequence[Delivery], deadline: float) -> None:
        sender = Sender(self.line, len(endangered))
        self.session.ask(sender.open, deadline, self.standing.label)
        save(self.session, sender, self.taker, self.standing, endangered, deadline)


def save(
    session: Session,
    sender: Sender,
    taker: Taker,
    standing: Standing,
    endangered: Sequence[Delivery],
    deadline: float,
) -> None:
    """Put messages that would be removed on their return at the end of their queue as new ones, then remove them.

    Raises BrokerError when a new one is not confirmed; the old ones are not acknowledged then.
    """
    letters = [
        Letter(str(delivery.tag), "", standing.key[1], _as_new(delivery), delivery.body, standing.label)
        for delivery in endangered
    ]
    seconds = max(0.0, deadline - session.now())
    results = session.ask(lambda done: sender.send(letters, seconds, done), deadline, standing.label)
    safe = [delivery.tag for delivery, result in zip(endangered, results, strict=True) if result.confirmed]
    session.ask(lambda done: taker.ack(safe, done), deadline, standing.label)
    if len(safe) < len(endangered):
        raise BadAnswer("messages at their delivery limit could not be put back as new ones", target=standing.label)


def delivery_count(delivery: Delivery) -> int:
    """Return how often a message has come back to its queue."""
    count = decode_properties(delivery.raw).header(DELIVERY_COUNT)
    return count if isinstance(count, int) else 0


def _as_new(delivery: Delivery) -> bytes:
    properties = decode_properties(delivery.raw)
    kept = tuple(entry for entry in properties.headers or () if entry.name != DELIVERY_COUNT.encode())
    return encode_properties(replace(properties, headers=kept))
