"""A dead-letter queue of SQS in the hand of one job: received in parallel, kept invisible, sent, deleted.

While a message is in the hand, its visibility is extended by a thread of its own; one that runs out is never sent. What
is given back becomes visible at once.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from monitor.brokers.aws.access import WORKERS, in_tens, look_at_url
from monitor.brokers.aws.client import Clients, translating
from monitor.brokers.aws.messages import BATCH, job_of, read_message
from monitor.brokers.aws.queues import IN_FLIGHT_QUOTA, Queue
from monitor.brokers.aws.sending import Sender
from monitor.brokers.aws.workers import Batch, Workers
from monitor.clock import Clock
from monitor.errors import BrokerError, TimedOut
from monitor.letters import Await, DeadMessage, Job, Outgoing, SendResult

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

logger = logging.getLogger(__name__)

VISIBILITY_SECONDS = 60.0
"""How long a message that was taken stays hidden, and so how long those of a killed monitor take to come back."""

EMPTY_POLLS = 3
"""Long polls in a row that must bring nothing before a queue is believed to have no more."""

_POLL_SECONDS = 1
_DELETE_ATTEMPTS = 3
_GIVE_BACK_SECONDS = 10.0
_SLACK_SECONDS = 5.0
_MOST_IN_HAND = int(0.9 * IN_FLIGHT_QUOTA)
_CLOCK_STEP_SECONDS = 1.0  # the service tells its time in whole seconds


@dataclass(slots=True)
class Grip:
    """A message in the hand: the receipt by which it is held, and until when, in seconds of `Clock.monotonic`."""

    message: DeadMessage
    receipt: str
    until: float


class SqsHeld:
    """Implements `monitor.letters.Held` for one job.

    `visibility` is how long a receive or an extension hides messages, in whole seconds. `bounds` of the job: `count`
    messages at most, none that was sent after `planned_at`.
    """

    def __init__(
        self, queue: Queue, clients: Clients, receiver: "SQSClient", sender: Sender, job: Job, clock: Clock,
        visibility: float = VISIBILITY_SECONDS,
    ) -> None:  # fmt: skip
        self._queue, self._clients, self._receiver, self._sender = queue, clients, receiver, sender
        self._job, self._clock, self._visibility = job, clock, visibility
        self._room = int(job.bounds["count"])  # how many more may be handed out
        self._planned_at = float(job.bounds["planned_at"])
        self._opened = clock.monotonic()
        self._workers = Workers(WORKERS + 1, clock)  # one more, which decides while the others wait for SQS
        self.overlaps = not queue.fifo  # in its groups messages go one after the other
        self._most = WORKERS * BATCH // 2 if self.overlaps else WORKERS * BATCH
        self._lock = threading.Lock()
        self._hand: dict[str, Grip] = {}
        self._buffer: deque[str] = deque()  # in the hand, not handed out yet
        self._passed_by: set[str] = set()  # of a FIFO queue: handed out, and neither sent nor asked for again
        self._ahead: Batch[int] | None = None
        self._closed = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="sqs-visibility", daemon=True)
        self._keeper.start()

    def take(self, limit: int, deadline: float) -> Sequence[DeadMessage]:
        """Receive up to `limit` messages, ten a worker at most; none when several long polls say that none is left.

        Where sending overlaps, it is half of them: another batch is on its way meanwhile.

        Raises TimedOut while messages of an earlier, killed run may still be on their way back; BrokerError when the
        queue cannot be asked.
        """
        wanted = min(limit, self._most)
        if self._queue.fifo:
            self._pass_by()
        self._end_ahead(deadline)
        empty = 0
        while len(self._buffer) < wanted and self._places() > 0:
            missing = wanted - len(self._buffer)
            calls = 1 if empty else -(-missing // BATCH)
            if self._receive(missing, calls, deadline, wait=not self._buffer):
                empty = 0
                continue
            if self._buffer:
                break
            empty += 1
            if empty >= EMPTY_POLLS and not self._may_come_back(deadline):
                break
            if self._clock.monotonic() >= deadline:
                raise TimedOut("no message came, and some may be on their way back", target=self._queue.name)
        with self._lock:
            ready = [self._buffer.popleft() for _ in range(min(wanted, self._room, len(self._buffer)))]
            self._room -= len(ready)
            return [self._hand[position].message for position in ready]

    def send(self, messages: Sequence[Outgoing], deadline: float) -> Sequence[SendResult]:
        """Send by batches in parallel, and meanwhile receive the next ones.

        What is not surely hidden for long enough is refused instead.
        """
        return self.begin_send(messages, deadline)(deadline)

    def begin_send(self, messages: Sequence[Outgoing], deadline: float) -> Await:
        """Begin to send, and return what waits for the answers."""
        if planned := self._plan_ahead(len(messages)):
            self._ahead = self._workers.begin(planned)
        return self._sender.begin(messages, self._workers, self._hold_on, deadline)

    def remove(self, messages: Sequence[DeadMessage], deadline: float) -> Sequence[bool]:
        """Delete the messages. What could not be deleted is taken again later."""
        with self._lock:
            held = {it.position: self._hand[it.position] for it in messages if it.position in self._hand}
        left = dict(held)
        for _ in range(_DELETE_ATTEMPTS):
            gone: set[str] = set()
            calls = in_tens(partial(self._delete, gone), list(left.values()))
            self._workers.run(calls, deadline)
            with self._lock:
                for position in gone:
                    del left[position]
                    self._hand.pop(position, None)
            if not left or self._clock.monotonic() >= deadline:
                break
        with self._lock:
            for grip in left.values():
                self._lose(grip)
            self._room += len(left)
        return [it.position in held and it.position not in left for it in messages]

    def release(self, messages: Sequence[DeadMessage]) -> None:
        """Make messages visible again; they may be taken again."""
        with self._lock:
            grips = [self._hand[it.position] for it in messages if it.position in self._hand]
            self._room += len(grips)
        self._give_back(grips)

    @property
    def closed(self) -> bool:
        """Say whether it has been let go."""
        return self._closed.is_set()

    def close(self) -> None:
        """Make everything visible again, and end. What cannot be reached comes back by itself, after its visibility."""
        if self._closed.is_set():
            return
        self._closed.set()
        with suppress(BrokerError):
            self._end_ahead(self._clock.monotonic() + _GIVE_BACK_SECONDS)
        with self._lock:
            grips = list(self._hand.values())
        self._sender.close()
        self._give_back(grips)
        self._workers.close()

    def _end_ahead(self, deadline: float) -> None:
        """Wait for what is being received ahead; what failed there is tried again by whoever takes."""
        if self._ahead is not None:
            self._workers.wait(self._ahead, deadline)
            self._ahead = None

    def _pass_by(self) -> None:
        """Give back what was handed out of a FIFO queue and not sent: in the hand it would block its groups.

        It comes again before the later messages of its group, and is then not handed out a second time.
        """
        with self._lock:
            waiting = set(self._buffer)
            grips = [grip for position, grip in self._hand.items() if position not in waiting]
            self._passed_by.update(grip.message.position for grip in grips)
        self._give_back(grips)

    def _places(self) -> int:
        """Return how many more messages the plan, and what SQS allows in flight, leave room for."""
        return min(self._room - len(self._buffer), _MOST_IN_HAND - len(self._hand))

    def _plan_ahead(self, wanted: int) -> list[Callable[[], int]]:
        """Return calls that receive what the next step will take; a FIFO queue gives nothing before the deletion."""
        missing = wanted - len(self._buffer)
        return [] if self._queue.fifo else self._plan_receives(missing, -(-missing // BATCH), wait=False)

    def _plan_receives(self, wanted: int, calls: int, *, wait: bool) -> list[Callable[[], int]]:
        """Return calls that receive as many as are wanted and allowed; only one of them waits for messages."""
        wanted = min(wanted, self._places())
        again = len(self._passed_by)  # these come again before what is new in their groups
        planned: list[Callable[[], int]] = []
        while wanted > 0 and len(planned) < min(calls, WORKERS):
            pause = _POLL_SECONDS if wait and not planned else 0
            planned.append(partial(self._receive_once, min(BATCH, wanted + again), pause))
            wanted -= BATCH
        return planned

    def _receive(self, wanted: int, calls: int, deadline: float, *, wait: bool) -> int:
        """Receive by several calls at once; return how many new messages came. Raises only when every call failed."""
        outcomes = self._workers.run(self._plan_receives(wanted, calls, wait=wait), deadline)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BrokerError)]
        if failures and len(failures) == len(outcomes) and not self._buffer:
            raise failures[0]
        return sum(outcome for outcome in outcomes if isinstance(outcome, int))

    def _receive_once(self, count: int, wait: int) -> int:
        until = self._clock.monotonic() + self._visibility
        with translating("sqs:ReceiveMessage"):
            answer = self._receiver.receive_message(
                QueueUrl=self._queue.url,
                MaxNumberOfMessages=count,
                WaitTimeSeconds=wait,
                VisibilityTimeout=int(self._visibility),
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["All"],
            )
        grips = [
            Grip(read_message(received, self._queue.retention), received["ReceiptHandle"], until)
            for received in answer.get("Messages", [])
        ]
        return self._sort_in(grips)

    def _sort_in(self, grips: Iterable[Grip]) -> int:
        """Take received messages into the hand; return how many of them are new and of this job's concern."""
        new = 0
        with self._lock:
            for grip in grips:
                position = grip.message.position
                known = position in self._hand or position in self._passed_by
                self._hand[position] = grip  # the newest receipt is the one that counts
                if not known and self._is_concerned(grip.message):
                    self._buffer.append(position)
                    new += 1
        return new

    def _is_concerned(self, message: DeadMessage) -> bool:
        """Say whether the plan may have seen this message; one that came back to this very job is told of as well.

        A message that was sent after the plan was made arrived after it too. One that was sent before and died later
        cannot be told from the others: there only the count bounds the job.
        """
        if job_of(message) == self._job.id:
            return True
        return message.enqueued_at is None or message.enqueued_at <= self._planned_at + _CLOCK_STEP_SECONDS

    def _may_come_back(self, deadline: float) -> bool:
        """Say whether messages are in flight that an earlier run of this job may have had in its hand."""
        if self._clock.monotonic() > self._opened + self._visibility + _SLACK_SECONDS:
            return False
        queue = self._workers.call(partial(look_at_url, self._clients, self._queue.url), deadline).queue
        with self._lock:
            accounted_for = len(self._passed_by.union(self._hand))
        return queue.visible + queue.in_flight > accounted_for

    def _hold_on(self, positions: Sequence[str]) -> frozenset[str]:
        """Return which of the messages are hidden for long enough to be sent, after extending where needed."""
        needed = self._visibility / 3
        with self._lock:
            grips = [self._hand[position] for position in positions if position in self._hand]
            now = self._clock.monotonic()
            short = [grip for grip in grips if grip.until - now < needed]
        if short:
            self._extend(short)
        with self._lock:
            now = self._clock.monotonic()
            return frozenset(p for p in positions if p in self._hand and self._hand[p].until - now >= needed)

    def _keep(self) -> None:
        """Extend, until closed, what would run out; what fails is tried again a moment later."""
        while not self._closed.wait(self._visibility / 6):
            now = self._clock.monotonic()
            with self._lock:
                short = [grip for grip in self._hand.values() if grip.until - now < self._visibility * 2 / 3]
            try:
                failures = self._workers.run(in_tens(self._extend, short), now + self._visibility / 3)
            except BrokerError as error:  # closed meanwhile
                failures = [error]
            if any(failures):
                logger.warning("visibility of messages of %s could not be extended: %s", self._queue.name, failures[0])

    def _extend(self, grips: Sequence[Grip]) -> None:
        """Hide messages for the whole time again, and let go of those that SQS says are not ours any more."""
        until = self._clock.monotonic() + self._visibility
        for at in range(0, len(grips), BATCH):
            part = grips[at : at + BATCH]
            refused = self._change_visibility(part, int(self._visibility))
            with self._lock:
                for index, grip in enumerate(part):
                    if index in refused:
                        self._lose(grip)
                    else:
                        grip.until = until

    def _lose(self, grip: Grip) -> None:
        position = grip.message.position
        if self._hand.get(position) is grip:
            del self._hand[position]
            if position in self._buffer:
                self._buffer.remove(position)

    def _change_visibility(self, grips: Sequence[Grip], seconds: int) -> frozenset[int]:
        """Change the visibility of up to ten; return which could not be, by their place, for good."""
        with translating("sqs:ChangeMessageVisibilityBatch"):
            answer = self._clients.sqs.change_message_visibility_batch(
                QueueUrl=self._queue.url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": grip.receipt, "VisibilityTimeout": seconds}
                    for index, grip in enumerate(grips)
                ],
            )
        return frozenset(int(failed["Id"]) for failed in answer.get("Failed") or ())

    def _delete(self, gone: set[str], grips: Sequence[Grip]) -> None:
        with translating("sqs:DeleteMessageBatch"):
            answer = self._clients.sqs.delete_message_batch(
                QueueUrl=self._queue.url,
                Entries=[{"Id": str(index), "ReceiptHandle": grip.receipt} for index, grip in enumerate(grips)],
            )
        done = [grips[int(entry["Id"])].message.position for entry in answer.get("Successful") or ()]
        with self._lock:
            gone.update(done)

    def _give_back(self, grips: Sequence[Grip]) -> None:
        """Make messages visible. What cannot be reached comes back by itself, after its visibility."""
        with self._lock:
            for grip in grips:
                self._lose(grip)
        calls = in_tens(lambda part: self._change_visibility(part, 0), grips)
        self._workers.run(calls, self._clock.monotonic() + _GIVE_BACK_SECONDS)
