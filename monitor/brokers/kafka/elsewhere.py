"""Moves the dead letters of one job to another Kafka cluster: at least once.

No transaction spans two clusters. Before a batch leaves, the group of the dead-letter topic commits how far it reaches;
when every message of it is confirmed, the cursor and the ledger move past it, in one transaction. So an interruption
leaves at most one batch of which nobody knows whether it was sent, and the broker remembers which that is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from monitor.brokers.kafka.addressing import Ready, Route
from monitor.brokers.kafka.batches import Batch
from monitor.brokers.kafka.intervals import Intervals
from monitor.brokers.kafka.letters import read_letter
from monitor.brokers.kafka.mover import DeadTopic, TopicMover
from monitor.brokers.kafka.quiet import QuietLog
from monitor.brokers.kafka.stretches import Move
from monitor.brokers.kafka.transactor import Transactor, introduce, put, sending_settings, translated
from monitor.brokers.kafka.translation import translate
from monitor.clock import Clock
from monitor.errors import TimedOut
from monitor.letters import LEDGER_TOPIC, Choose, Fate, Job, OnAmbiguous, Outcome, Refusal, Step

BATCH = 2_000
"""Messages that are under way at once, and so as many as one interruption can double."""

_POLL_SECONDS = 0.1
_IN_DOUBT = "it may have been sent before an interruption, and the plan says to hold such messages"
_REFUSED = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,  # as one without a key in a compacted topic
    }
)
"""What a broker says of messages, and not of itself: they stay, and the others go."""

_Sent = tuple[Message, Ready]


@dataclass(frozen=True, slots=True)
class Destination:
    """Another cluster. `settings` are librdkafka's for it; `check` raises when nothing may be sent to it any more."""

    name: str
    settings: Mapping[str, Any]
    check: Callable[[], None]


class Outlet:
    """Sends to another cluster and waits until all is confirmed. One thread uses it; its calls raise BrokerError."""

    def __init__(self, there: Destination, smallest: int, clock: Clock) -> None:
        self._name, self._clock = there.name, clock
        settings = sending_settings(there.settings, smallest)
        settings["enable.idempotence"] = True  # and with it acks=all and order, whatever is sent anew
        with translated(self._name):
            self.producer = Producer(settings, logger=QuietLog())

    def introduce(self, topics: Sequence[str], seconds: float) -> None:
        """Connect, and learn of the topics."""
        with translated(self._name):
            introduce(self.producer, topics, seconds)

    def send(self, messages: Sequence[Ready], batch: Batch, deadline: float) -> dict[int, KafkaError]:
        """Send, and return by number what the broker refuses of it; `batch` hears where the others landed."""
        answers: dict[int, KafkaError | None] = {}

        def report(number: int, error: KafkaError | None, message: Any) -> None:
            answers[number] = error
            if error is None:
                batch.report(None, message)

        with translated(self._name):
            for number, it in enumerate(messages):
                put(self.producer, it, partial(report, number))
            while len(answers) < len(messages):
                if self._clock.monotonic() > deadline:
                    raise TimedOut("what was sent is not confirmed in time", target=self._name)
                self.producer.poll(_POLL_SECONDS)
        refused = {number: error for number, error in answers.items() if error is not None}
        for why in refused.values():
            if why.code() not in _REFUSED:
                raise translate(why, self._name)
        return refused


class FarMover(TopicMover):
    """Moves to another cluster. What comes back there is not seen from here."""

    def __init__(
        self, dead: DeadTopic, job: Job, choose: Choose, route: Route, clock: Clock, there: Destination
    ) -> None:
        super().__init__(dead, job, choose, route, clock)
        self._there = there
        self._outlet: Outlet | None = None
        self._resent = 0

    def recover(self, deadline: float) -> Step:
        """Take over from what the group has committed, and connect to the other cluster."""
        step = super().recover(deadline)
        smallest = min(target.max_bytes for target in self._route.targets.values())
        self._outlet = Outlet(self._there, smallest, self._clock)
        self._outlet.introduce(list(self._route.targets), deadline - self._clock.monotonic())
        return step

    def step(self, limit: int, deadline: float) -> Step:
        """Send up to `limit` messages, at most a batch."""
        self._there.check()
        self._resent = 0
        return replace(super().step(min(limit, BATCH), deadline), resent=self._resent)

    def _topics_to_write(self) -> list[str]:
        return [LEDGER_TOPIC]

    def _more_handles(self) -> list[Producer]:
        return [] if self._outlet is None else [self._outlet.producer]

    def _transact(self, batch: Batch, deadline: float) -> None:
        transactor = self._transactor
        transactor.is_broken = True  # unless all of it comes to its end
        going = self._choose_going(batch)
        if going:
            self._intend(transactor, batch, deadline)
            self._deliver(going, batch, deadline)
        moves = batch.moves(self._lanes.values())
        if going or batch.fates or any(move.cursor != move.lane.cursor for move in moves):
            transactor.begin()
            self._commit(transactor, moves, deadline)
        transactor.is_broken = False
        for move in moves:
            move.apply()

    def _choose_going(self, batch: Batch) -> list[_Sent]:
        """Decide on each message, and return those that go."""
        going: list[_Sent] = []
        for message in batch.messages:
            choice = self._judge(message)
            doubtful = isinstance(choice, Ready) and self._is_in_doubt(message)
            if doubtful and self._holds:
                choice = Refusal(read_letter(message), Outcome.AMBIGUOUS, _IN_DOUBT)
            if isinstance(choice, Ready):
                going.append((message, choice))
                self._resent += doubtful
            else:
                batch.leave(message, choice)
        return going

    def _intend(self, transactor: Transactor, batch: Batch, deadline: float) -> None:
        """Have the broker remember what is about to be sent."""
        lanes = [self._lanes[number] for number, offsets in batch.offsets.items() if offsets]
        for lane in lanes:
            lane.intended = max(lane.intended, batch.offsets[lane.partition][-1] + 1)
        transactor.begin()
        self._commit_offsets(transactor, [Move(lane, lane.next, Intervals(), 0, 0) for lane in lanes], deadline)

    def _deliver(self, going: Sequence[_Sent], batch: Batch, deadline: float) -> None:
        """Send what goes. A batch is refused as a whole: only what is refused alone as well is at fault."""
        assert self._outlet is not None  # noqa: S101 (opened by recover)
        refused = self._outlet.send([ready for _, ready in going], batch, deadline)
        for number in sorted(refused):
            message, ready = going[number]
            for error in self._outlet.send([ready], batch, deadline).values():
                reason = f"{ready.topic} on {self._there.name} does not take it: {error.str()}"
                batch.leave(message, Refusal(read_letter(message), Outcome.FAILED, reason))
        for offsets in batch.left.values():
            offsets.sort()

    def _explain(self, message: Message, choice: Ready | Refusal) -> Fate:
        if isinstance(choice, Ready) and self._holds:
            return Fate(read_letter(message), Outcome.AMBIGUOUS, reason=_IN_DOUBT)
        return super()._explain(message, choice)

    def _is_in_doubt(self, message: Message) -> bool:
        return int(message.offset() or 0) < self._lanes[int(message.partition() or 0)].intended

    @property
    def _holds(self) -> bool:
        return self._job.request.on_ambiguous == OnAmbiguous.HOLD
