"""Moves messages of brokers that cannot send and remove in one transaction: each step stands in the journal before it.

`intent` is committed before the send, `sent` before the removal, `removed` afterwards. So after an interruption `sent`
means: only remove. `intent` alone means that nobody knows; such a message is `ambiguous`, and is sent once more or left
where it is, as the plan says. Messages are known again by their position. Where the broker has no id of its own, equal
messages have equal positions: then each is an occurrence of its own, and `sent` without `removed` is ambiguous as well.

Where the bus allows it, a batch is on its way to the broker while the one before it is settled. Such a batch is one row
of the journal if each of its messages is new: what has no id of its own is handed out once, so that the journal need
not be asked for it again. Those of a batch that does not go through as a whole have rows of their own from then on, and
so have those that an interruption found under way.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from monitor.clock import Clock
from monitor.errors import BrokerError, StorageError, TimedOut
from monitor.letters import (
    HEADER_ID,
    Await,
    AwaitRemoval,
    Choose,
    DeadMessage,
    Fate,
    Held,
    Job,
    OnAmbiguous,
    Outcome,
    Outgoing,
    Refusal,
    RemovesAhead,
    SeesBounces,
    SendResult,
    SendsAhead,
    Step,
)
from monitor.redrive.batches import TWIN, Together
from monitor.redrive.choosing import header_of
from monitor.redrive.items import Item
from monitor.redrive.journal import Journal

_SENDS = 4  # of one message without an answer; then it is told as ambiguous
_UNDER_WAY = ("intent", "sent")
_TO_CLOSE_SECONDS = 2.0


@dataclass(slots=True)
class _Taken:
    """A message in the hand: `position` is its own in this job, `item` what the journal knew of it before.

    `unknown` says how often it was sent since without an answer.
    """

    message: DeadMessage
    position: str
    item: Item | None
    unknown: int = 0


@dataclass(slots=True)
class _Batch:
    """Messages that were taken together: what goes, what was sent before and is only to be removed, what stays.

    `together` is the journal's row for all that goes, if there is one; `moved` counts what was settled by that.
    """

    taken: int
    outgoing: list[tuple[_Taken, Outgoing]] = field(default_factory=list)
    sent_before: list[_Taken] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)
    results: Await = lambda _deadline: ()
    together: Together | None = None
    moved: int = 0

    @property
    def size(self) -> int:
        """Return how many messages will have an outcome by it."""
        return len(self.outgoing) + len(self.fates)


@dataclass(frozen=True, slots=True)
class _Removal:
    """What is being removed, all of a batch that one row stands for or single messages."""

    together: Together | None
    taken: Sequence[_Taken]
    results: AwaitRemoval


class JournaledMover:
    """Makes a `letters.Mover` of a `letters.Held`. It keeps the journal itself: its steps are recorded already.

    `before_send` keeps what else must be kept before messages leave the hand.
    """

    def __init__(
        self,
        held: Held,
        journal: Journal,
        job: Job,
        choose: Choose,
        clock: Clock,
        before_send: Callable[[], None] = lambda: None,
    ) -> None:
        self.held = held
        self._journal, self._job, self._choose, self._clock = journal, job, choose, clock
        self._before_send = before_send
        self._kept: list[DeadMessage] = []
        self._again: list[tuple[_Taken, Outgoing]] = []  # in the hand, and sent without an answer
        self._under_way: deque[_Batch] = deque()
        self._removal: _Removal | None = None
        self._removed: list[str] = []  # gone from the queue, which the journal hears with the next intents
        self._removed_together: list[Together] = []
        self._matched: set[str] = set()
        self._earlier: set[str] = set()  # what is removed, and stands in the journal by batches
        self._seen = self._unremoved = 0
        self._closed = False
        self.is_idle = False  # waits for messages, with nothing under way
        self._bound = int(job.bounds["count"])
        self._unique = getattr(held, "positions_are_unique", True)
        self._may_return = getattr(held, "removed_may_return", False)
        self._overlaps = isinstance(held, SendsAhead) and held.overlaps
        self._by_batch = self._overlaps and not self._unique
        self._asks = True  # whether the journal may know messages that are taken
        self._numbers: Iterator[int] = itertools.count(1)

    @property
    def still_there(self) -> int:
        """Return how many messages are in the hand between steps, less those that are sent and lie in the queue yet."""
        on_their_way = sum(len(batch.outgoing) for batch in self._under_way)
        return len(self._kept) + len(self._again) + on_their_way - self._unremoved

    def recover(self, deadline: float) -> Step:
        """Take note of what is finished; what was under way is settled when it is taken into the hand again."""
        journal, job = self._journal, self._job.id
        journal.take_unfinished_apart(job)
        self._bound -= journal.count_stage(job, "removed")
        self._unremoved = journal.count_stage(job, "sent")
        self._earlier = journal.positions_together(job)
        self._asks = not self._by_batch or bool(self._earlier) or journal.has_items(job)
        self._numbers = itertools.count(journal.newest_batch(job) + 1)
        return Step()

    def step(self, limit: int, deadline: float) -> Step:
        """Take, decide, send and remove up to `limit` messages; first those again of which no answer came.

        What is on its way after a step counts towards the limit of the next.
        """
        if self._again:
            again, self._again = _Batch(len(self._again), self._again), []
            self._begin(again, deadline)
            return self._settle(0, deadline)
        wanted = min(limit - sum(batch.size for batch in self._under_way), self._bound - self._seen)
        batch = self._take(wanted, deadline)
        if batch is None:
            return self._settle(0, deadline) if self._under_way else self._finish()
        self._begin(batch, deadline)
        # The hand gives a part at a time: when it has given less than is wanted, there may be more to come.
        return self._settle(1 if self._overlaps and batch.taken < wanted else 0, deadline)

    def close(self) -> None:
        """Settle what is on its way, give back what stays, and let go."""
        if self._closed:
            return
        self._closed = True
        try:
            with suppress(BrokerError, StorageError):  # what is not settled now is settled when it is met again
                self._settle(0, self._clock.monotonic() + _TO_CLOSE_SECONDS)
            with suppress(StorageError):
                self._note_removed()
            if self._kept:
                self.held.release(self._kept)
        finally:
            self._kept = []
            self.held.close()

    def look_for_bounces(self, deadline: float) -> Sequence[str]:
        """Look, where the bus can do so without harm."""
        return self.held.look_for_bounces(deadline) if isinstance(self.held, SeesBounces) else ()

    def _take(self, wanted: int, deadline: float) -> _Batch | None:
        """Take messages and decide on each; None when none is wanted or there."""
        self.is_idle = not self._under_way
        try:
            messages = self.held.take(wanted, deadline) if wanted > 0 else ()
        except TimedOut:
            if not self._under_way:
                raise
            messages = ()  # what is on its way must not wait as long as what does not come
        self.is_idle = False
        if not messages:
            return None
        taken = self._recognise(messages)
        self._seen += sum(not _has_returned(it) for it in taken)
        self._unremoved -= sum(it.item is not None and it.item.stage == "sent" for it in taken)
        batch = _Batch(len(taken))
        for it in taken:
            if self._was_sent(it):
                batch.sent_before.append(it)
            else:
                self._decide(it, batch.outgoing, batch.fates)
        return batch

    def _begin(self, batch: _Batch, deadline: float) -> None:
        """Put into the journal what is about to be sent, and begin to send it.

        What is being removed is in doubt until that is known, so nothing more is sent before.
        """
        self._finish_removal(deadline)
        if batch.outgoing:
            self._intend(batch)
            messages = [out for _, out in batch.outgoing]
            if self._overlaps and isinstance(self.held, SendsAhead):
                batch.results = self.held.begin_send(messages, deadline)
            else:
                results = self.held.send(messages, deadline)
                batch.results = lambda _deadline: results
        self._under_way.append(batch)

    def _settle(self, leave: int, deadline: float) -> Step:
        """Wait for the oldest batches, but for `leave`; keep what became of each message, and remove what was sent."""
        told: list[Fate] = []
        moved = 0
        while len(self._under_way) > leave:
            batch = self._under_way.popleft()
            confirmed = self._confirm(batch, deadline)
            if batch.fates:
                self._journal.record(self._job.id, self._clock.now(), fates=batch.fates)
            told += batch.fates
            moved += batch.moved
            self._remove(batch, confirmed, deadline)
        if not leave:
            self._finish_removal(deadline)
        return Step(tuple(told), moved)

    def _confirm(self, batch: _Batch, deadline: float) -> list[_Taken]:
        """Wait for the answers about a batch, and return what is confirmed."""
        if not batch.outgoing:
            return []
        results = batch.results(deadline)
        if batch.together is not None:
            place = _common_place(results)
            now = self._clock.now()
            if place is not None and self._journal.record_together(self._job.id, batch.together, place, now):
                batch.moved = len(batch.outgoing)
                return [it for it, _ in batch.outgoing]
            self._take_apart(batch.together)
            batch.together = None
        confirmed: list[_Taken] = []
        for (it, out), result in zip(batch.outgoing, results, strict=True):
            self._sort(it, out, result, confirmed, batch.fates)
        return confirmed

    def _take_apart(self, together: Together | None) -> None:
        """Have a row of the journal for each message from now on."""
        if together is not None:
            self._journal.take_apart(self._job.id, together)

    def _recognise(self, messages: Sequence[DeadMessage]) -> list[_Taken]:
        """Find what the journal knows of each message; equal ones are told apart by their number."""
        known = self._known(list(dict.fromkeys(message.position for message in messages)))
        found: list[_Taken] = []
        for message in messages:
            position = message.position if self._unique else self._occurrence(message, known)
            found.append(_Taken(message, position, known.get(position)))
        back = [it.position for it in found if it.position in self._earlier] if self._earlier else []
        if back:  # a batch stands for them, and what becomes of them now is their own
            self._journal.set_apart(self._job.id, back)
            self._earlier.difference_update(back)
        return found

    def _occurrence(self, message: DeadMessage, known: Mapping[str, Item]) -> str:
        """Return the first occurrence that this message can be.

        One that is removed lies in no queue any more, unless the broker has forgotten that. One that was never handed
        out before is no message that the journal knows.
        """
        position = message.position
        if position not in self._matched and position not in known:
            self._matched.add(position)  # as hardly any has an equal
            return position
        *known_ones, (position, _) = self._occurrences(message.position, known)
        if message.properties.get("redelivered") is not False:
            stages = {name: item.stage for name, item in known_ones if item is not None}
            under_way = [name for name, stage in stages.items() if stage != "removed"]
            position = next(iter(under_way or (stages if self._may_return else ())), position)
        self._matched.add(position)
        return position

    def _occurrences(self, base: str, known: Mapping[str, Item]) -> Iterator[tuple[str, Item | None]]:
        """Yield the occurrences of a message that none in the hand is, the last of them one that is new."""
        for number in itertools.count(1):
            position = _numbered(base, number)
            if position not in self._matched:
                yield position, known.get(position)
                if position not in known:
                    return

    def _known(self, names: list[str]) -> dict[str, Item]:
        known: dict[str, Item] = {}
        number = 1
        while names and self._asks:
            numbered = [_numbered(name, number) for name in names]
            items = self._journal.items_by_position(self._job.id, numbered)
            if self._earlier:
                items |= {it: Item(it, "", "removed", Outcome.SENT) for it in numbered if it in self._earlier}
            known.update(items)
            names = [] if self._unique else [name for name in names if _numbered(name, number) in items]
            number += 1
        return known

    def _was_sent(self, it: _Taken) -> bool:
        """Say whether a message is sent already, and only to be removed.

        Where equal messages cannot be told apart, nobody knows whether this is the one that was sent, or its twin while
        that one is removed already: it is ambiguous, since to remove it could lose it.
        """
        return self._unique and it.item is not None and it.item.stage in ("sent", "removed")

    def _decide(self, it: _Taken, outgoing: list[tuple[_Taken, Outgoing]], fates: list[Fate]) -> None:
        choice = self._choose(it.message)
        if choice is None:
            self._kept.append(it.message)
        elif isinstance(choice, Refusal):
            self._refuse(it, choice, fates)
        elif it.item is not None and (it.item.stage in _UNDER_WAY or _has_returned(it)) and self._holds_ambiguous():
            self._kept.append(it.message)
            reason = "it may have been sent before an interruption, and the plan says to hold such messages"
            fates.append(Fate(_named(it), Outcome.AMBIGUOUS, reason=reason))
        else:
            outgoing.append((it, choice))

    def _refuse(self, it: _Taken, choice: Refusal, fates: list[Fate]) -> None:
        self._kept.append(it.message)
        if choice.outcome == Outcome.BOUNCED:
            # It lies in the queue under a new position; the item that it was is found by its redrive id.
            self._journal.count_bounced(self._job.id, [header_of(it.message, HEADER_ID)], self._clock.now())
        else:
            fates.append(Fate(_named(it), choice.outcome, reason=choice.reason))

    def _holds_ambiguous(self) -> bool:
        return self._job.request.on_ambiguous == OnAmbiguous.HOLD

    def _intend(self, batch: _Batch) -> None:
        intents, again = [], 0
        if self._by_batch and all(it.item is None and not it.unknown for it, _ in batch.outgoing):
            taken = [it for it, _ in batch.outgoing]
            positions, coordinates = [it.position for it in taken], [it.message.coordinates for it in taken]
            batch.together = Together(next(self._numbers), positions, coordinates)
        else:
            intents = [_intent_of(it, out) for it, out in batch.outgoing]
            again = sum(it.unknown > 0 or _was_met(it) for it, _ in batch.outgoing)
        self._note_removed(intents, batch.together, again)
        self._before_send()

    def _sort(self, it: _Taken, out: Outgoing, result: SendResult, confirmed: list[_Taken], fates: list[Fate]) -> None:
        """Sort a message by what became of it; one of which nobody knows goes again, as the plan says."""
        it.unknown += not result.known
        if not result.known and it.unknown < _SENDS and not self._holds_ambiguous():
            self._again.append((it, out))
            return
        fates.append(self._tell(it, result))
        if result.confirmed:
            confirmed.append(it)
        else:
            self._kept.append(it.message)

    def _tell(self, it: _Taken, result: SendResult) -> Fate:
        if result.confirmed:
            return Fate(_named(it), Outcome.SENT, result.at_target)
        return Fate(_named(it), result.outcome if result.known else Outcome.AMBIGUOUS, reason=result.reason)

    def _remove(self, batch: _Batch, confirmed: Sequence[_Taken], deadline: float) -> None:
        """Begin to remove; where the bus allows it, the next messages are prepared meanwhile."""
        taken = [*batch.sent_before, *confirmed]
        if not taken:
            return
        self._finish_removal(deadline)
        messages = [it.message for it in taken]
        if isinstance(self.held, RemovesAhead) and self._overlaps:
            results = self.held.begin_remove(messages, deadline)
        else:
            results = partial(_known_already, self.held.remove(messages, deadline))
        self._removal = _Removal(batch.together, taken, results)
        if not self._overlaps:
            self._finish_removal(deadline)
            self._note_removed()

    def _finish_removal(self, deadline: float) -> None:
        """Wait until what is being removed is gone from the queue."""
        removal, self._removal = self._removal, None
        if removal is None:
            return
        done = removal.results(deadline)
        if removal.together is not None and all(done):
            self._removed_together.append(removal.together)
            return
        self._take_apart(removal.together)
        gone = [it.position for it, removed in zip(removal.taken, done, strict=True) if removed]
        self._unremoved += len(removal.taken) - len(gone)
        self._removed += gone

    def _note_removed(self, intents: Sequence[Item] = (), together: Together | None = None, resent: int = 0) -> None:
        """Tell the journal what is gone from the queue, together with what is about to be sent."""
        if not (self._removed or self._removed_together or intents or together):
            return
        self._journal.put_items(
            self._job.id,
            intents,
            self._clock.now(),
            together=together,
            resent=resent,
            removed=self._removed,
            removed_together=self._removed_together,
        )
        self._removed, self._removed_together = [], []

    def _finish(self) -> Step:
        """Nothing more comes: what was under way and was not met again stays unknown."""
        self._note_removed()
        self._journal.take_unfinished_apart(self._job.id)
        open_items = self._journal.items_in_stage(self._job.id, "intent")
        if open_items:
            reason = "it was under way at an interruption, and was not met in the queue again"
            fates = [
                Fate(DeadMessage(item.position, item.coordinates or {}, None, None), Outcome.AMBIGUOUS, reason=reason)
                for item in open_items
            ]
            self._journal.record(self._job.id, self._clock.now(), fates=fates)
        return Step(finished=True)


def _known_already(done: Sequence[bool], _deadline: float) -> Sequence[bool]:
    return done


def _common_place(results: Sequence[SendResult]) -> str | None:
    """Return where at the target all messages are, None when that is not one place, or one is not there."""
    first = results[0]
    return first.at_target if first.confirmed and results.count(first) == len(results) else None


def _intent_of(it: _Taken, out: Outgoing) -> Item:
    outcome = it.item.outcome if it.item else None  # it is counted under that already
    return Item(it.position, out.redrive_id, "intent", outcome, coordinates=it.message.coordinates)


def _was_met(it: _Taken) -> bool:
    return it.item is not None and (it.item.stage in _UNDER_WAY or _has_returned(it))


def _has_returned(it: _Taken) -> bool:
    """Say whether a message lies in the queue again after it was removed; nobody has counted it anew."""
    return it.item is not None and it.item.stage == "removed"


def _numbered(base: str, number: int) -> str:
    return base if number == 1 else f"{base}{TWIN}{number}"


def _named(it: _Taken) -> DeadMessage:
    return it.message if it.position == it.message.position else replace(it.message, position=it.position)
