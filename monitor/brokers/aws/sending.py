"""Sends messages by batches in parallel, and says of each whether SQS has taken it.

Each call is made once. What SQS refuses, or what never left, is tried again here; a call whose answer is missing is
not, unless the target is a FIFO queue, which takes the same deduplication id once within five minutes.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from monitor.brokers.aws.access import WORKERS, is_too_long, was_never_sent
from monitor.brokers.aws.client import translating
from monitor.brokers.aws.messages import Entry, Unsendable, split_lanes, write_entry
from monitor.brokers.aws.routing import Router, Target
from monitor.brokers.aws.workers import Workers
from monitor.clock import Clock
from monitor.errors import BrokerError, TimedOut
from monitor.letters import Job, Outgoing, SendResult

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import BatchResultErrorEntryTypeDef

HoldOn = Callable[[Sequence[str]], frozenset[str]]
"""Returns which of the messages are surely ours for as long as a call takes."""

_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 0.1
_PASSING = frozenset({"throttled", "unreachable", "timeout", "authentication"})
"""Reasons that say nothing about the messages or the target: the same call may succeed later."""

_LOST = "it went back to its queue before it could be sent"
_OVERTAKEN = "SQS refused it and took a later one of its group: sent now it would be out of order"


@dataclass(slots=True)
class _Round:
    """One call of `Sender.send`: what is known so far of each message, by its position."""

    hold_on: HoldOn
    deadline: float
    results: dict[str, SendResult] = field(default_factory=dict)
    postponed: dict[str, BrokerError] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    ended: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, entries: Sequence[Entry]) -> bool:
        """Note that entries are about to be sent; False when nobody waits for them any more."""
        with self.lock:
            if not self.ended:
                self.begun.update(_position(entry) for entry in entries)
            return not self.ended

    def end(self) -> None:
        with self.lock:
            self.ended = True

    def refuse(self, entries: Sequence[Entry], reason: str) -> None:
        self.results.update((_position(entry), SendResult(False, reason=reason)) for entry in entries)

    def lose_sight(self, entries: Sequence[Entry], reason: str) -> None:
        self.results.update((_position(entry), SendResult(False, reason=reason, known=False)) for entry in entries)

    def postpone(self, entries: Sequence[Entry], error: BrokerError) -> None:
        self.postponed.update((_position(entry), error) for entry in entries)


class Sender:
    """Sends the messages of one job. `client` makes each call once."""

    def __init__(self, client: "SQSClient", router: Router, job: Job, clock: Clock) -> None:
        self._client, self._router, self._job, self._clock = client, router, job, clock
        self._stop = threading.Event()

    def send(
        self, messages: Sequence[Outgoing], workers: Workers, hold_on: HoldOn, deadline: float
    ) -> list[SendResult]:
        """Send, and return a result for each message.

        Raises BrokerError only when nothing was sent, and nothing may have been, for want of a connection or of leave
        to call; so it may be called again with the same messages.
        """
        return self.begin(messages, workers, hold_on, deadline)(deadline)

    def begin(
        self, messages: Sequence[Outgoing], workers: Workers, hold_on: HoldOn, deadline: float
    ) -> Callable[[float], list[SendResult]]:
        """Begin to send, and return what waits until a deadline and then returns or raises as `send` does."""
        current = _Round(hold_on, deadline)
        lanes = workers.call(partial(self._plan, messages, current), deadline)
        calls = workers.begin([partial(self._send_lane, target, lane, current) for target, lane in lanes])

        def wait(until: float) -> list[SendResult]:
            workers.wait(calls, until)
            current.end()
            self._settle(messages, current)
            return [current.results[outgoing.message.position] for outgoing in messages]

        return wait

    def close(self) -> None:
        """Wake whoever pauses before another attempt."""
        self._stop.set()

    def _plan(self, messages: Sequence[Outgoing], current: _Round) -> list[tuple[Target, list[list[Entry]]]]:
        ready: defaultdict[Target, list[Entry]] = defaultdict(list)
        for outgoing in messages:
            target = self._router.target_of(outgoing.message)
            entry = target if isinstance(target, Unsendable) else self._write(outgoing, target)
            if isinstance(entry, Entry) and isinstance(target, Target):
                ready[target].append(entry)
            elif isinstance(entry, Unsendable):
                current.results[outgoing.message.position] = _refused(entry)
        return [
            (target, lane)
            for target, entries in ready.items()
            for lane in split_lanes(entries, target.limits.fifo, WORKERS)
        ]

    def _write(self, outgoing: Outgoing, target: Target) -> Entry | Unsendable:
        strip = self._job.request.strip_failure_headers
        return write_entry(outgoing, self._job.id, target.limits, strip_failure_headers=strip)

    def _send_lane(self, target: Target, batches: Sequence[Sequence[Entry]], current: _Round) -> None:
        for index, batch in enumerate(batches):
            if not self._send_batch(target, batch, current):
                # sent now, later ones of a group might overtake those of which nobody knows
                for untried in batches[index + 1 :]:
                    current.lose_sight(untried, "what was sent before it is not known to have arrived")
                return

    def _send_batch(self, target: Target, batch: Sequence[Entry], current: _Round) -> bool:
        """Send one batch, again and again where that is safe; False when nobody knows whether it has arrived."""
        pending, attempt = list(batch), 0
        while pending:
            pending = self._hold_on(pending, current)
            if not pending or not current.begin(pending):
                return True
            try:
                pending = self._call(target, pending, current, last=attempt + 1 >= _ATTEMPTS)
            except BrokerError as error:
                if is_too_long(error) and len(pending) > 1:
                    return self._send_halves(target, pending, current)
                if not self._may_try_again(error, target, attempt, current):
                    return self._give_up(pending, error, target, current)
            attempt += 1
            if pending:
                self._stop.wait(_FIRST_PAUSE_SECONDS * 2**attempt)
        return True

    def _send_halves(self, target: Target, entries: Sequence[Entry], current: _Round) -> bool:
        half = len(entries) // 2
        first = self._send_batch(target, entries[:half], current)
        return self._send_batch(target, entries[half:], current) and first

    def _may_try_again(self, error: BrokerError, target: Target, attempt: int, current: _Round) -> bool:
        if attempt + 1 >= _ATTEMPTS or self._stop.is_set() or self._clock.monotonic() >= current.deadline:
            return False
        return error.reason in _PASSING if was_never_sent(error) else target.limits.fifo

    def _give_up(self, entries: Sequence[Entry], error: BrokerError, target: Target, current: _Round) -> bool:
        """Note why entries were not sent; False where the order of what follows depends on what became of them."""
        if not was_never_sent(error):
            current.lose_sight(entries, error.problem)
            return not target.limits.fifo
        if error.reason in _PASSING:
            current.postpone(entries, error)
        else:
            current.refuse(entries, f"{target.name}: {error.problem}")
        return True

    def _hold_on(self, entries: list[Entry], current: _Round) -> list[Entry]:
        try:
            held = current.hold_on([_position(entry) for entry in entries])
        except BrokerError as error:
            current.postpone(entries, error)
            return []
        current.refuse([entry for entry in entries if _position(entry) not in held], _LOST)
        return [entry for entry in entries if _position(entry) in held]

    def _call(self, target: Target, entries: list[Entry], current: _Round, *, last: bool) -> list[Entry]:
        """Send, note what became of each, and return those that may be tried again."""
        numbered = [entry.numbered(number) for number, entry in enumerate(entries)]
        with translating("sqs:SendMessageBatch"):
            answer = self._client.send_message_batch(QueueUrl=target.url, Entries=numbered)
        taken = {int(it["Id"]): it["MessageId"] for it in answer.get("Successful") or ()}
        for number, message_id in taken.items():
            current.results[_position(entries[number])] = SendResult(True, at_target=f"{target.name}/{message_id}")
        again = []
        for failed in answer.get("Failed") or ():
            entry = entries[int(failed["Id"])]
            if target.limits.fifo and _is_overtaken(int(failed["Id"]), entries, taken):
                current.refuse([entry], _OVERTAKEN)
            elif failed["SenderFault"] or last:
                current.refuse([entry], _tell(failed))
            else:
                again.append(entry)
        silent = [e for number, e in enumerate(entries) if number not in taken and _position(e) not in current.results]
        current.lose_sight([entry for entry in silent if entry not in again], "SQS did not say what became of it")
        return again

    def _settle(self, messages: Sequence[Outgoing], current: _Round) -> None:
        """Give a result to what has none. Raises when nothing at all was sent, and that may pass."""
        results, postponed = current.results, current.postponed
        if postponed and not any(result.confirmed or not result.known for result in results.values()):
            raise next(iter(postponed.values()))
        for position, error in postponed.items():
            results[position] = SendResult(False, reason=error.problem)
        late = [o.message.position for o in messages if o.message.position not in results]
        for position in late:
            known = position not in current.begun
            reason = "there was no time to send it" if known else "no answer came in time"
            results[position] = SendResult(False, reason=reason, known=known)
        if late and not any(result.confirmed or not result.known for result in results.values()):
            raise TimedOut("nothing could be sent in time", target="sqs:SendMessageBatch")


def _position(entry: Entry) -> str:
    return entry.outgoing.message.position


def _refused(unsendable: Unsendable) -> SendResult:
    return SendResult(False, reason=unsendable.reason, outcome=unsendable.outcome)


def _is_overtaken(number: int, entries: Sequence[Entry], taken: "dict[int, str]") -> bool:
    group = entries[number].group
    return any(later > number and entries[later].group == group for later in taken)


def _tell(failed: "BatchResultErrorEntryTypeDef") -> str:
    return f"SQS refused it: {failed.get('Message') or failed['Code']}"
