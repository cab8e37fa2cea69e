"""Moves the dead letters of one job within a Kafka cluster, exactly once for readers of committed data.

One transaction holds what is sent, the cursor of the dead-letter topic and the ledger's records; the cursor's metadata
carry how far the job has read and how many it has sent, so that after an interruption the broker itself knows the
truth. Any error inside of a transaction ends this mover; the next one finds the transaction finished or aborted.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from monitor.brokers.kafka.addressing import Addresser, Ready, Route, Unsent
from monitor.brokers.kafka.batches import Batch
from monitor.brokers.kafka.intervals import Intervals
from monitor.brokers.kafka.ledger import Rows, group_of, ledger_key, ledger_value
from monitor.brokers.kafka.letter_source import LetterSource
from monitor.brokers.kafka.letters import read_headers, read_letter
from monitor.brokers.kafka.stretches import Lane, Move, lane_of
from monitor.brokers.kafka.transactor import FENCED, Report, Transactor, translated
from monitor.clock import Clock
from monitor.errors import BrokerError, LeaseLost
from monitor.letters import LEDGER_TOPIC, Choose, Fate, Job, Outcome, Outgoing, Refusal, Step

_TO_CLOSE_SECONDS = 1.0
_TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE, KafkaError.RECORD_LIST_TOO_LARGE}


@dataclass(frozen=True, slots=True)
class DeadTopic:
    """The dead-letter topic of a job. `settings` are librdkafka's, `read_rows` reads what the ledger says of it."""

    settings: Mapping[str, Any]
    topic_id: str
    log_starts: Mapping[int, int]
    read_rows: Callable[[float], Rows]


class TopicMover:
    """See `letters.Mover`."""

    def __init__(self, dead: DeadTopic, job: Job, choose: Choose, route: Route, clock: Clock) -> None:
        self._dead, self._job, self._choose, self._route, self._clock = dead, job, choose, route, clock
        self._topic, self._group = job.queue, group_of(job.queue)
        self._lanes: dict[int, Lane] = {}
        strip = job.request.strip_failure_headers
        self._addresser = Addresser(route, job.id, strip_failure_headers=strip)
        self._judge = self._address if job.request.plain else self._consider
        self._careful = False
        self._failures: list[tuple[int, int, KafkaError]] = []
        self._opened: tuple[Transactor, LetterSource] | None = None

    # -- the protocol -------------------------------------------------------------------------------------------------

    def recover(self, deadline: float) -> Step:
        """Fence whoever had the transactional id, and take over from what the group has committed."""
        with translated(self._topic):
            transactor, source = self._open()
            transactor.fence(self._topics_to_write(), deadline)
            self._take_over(source, deadline)
            fates = self._tell_unjournaled(source, deadline)
            source.assign(self._lanes)
        return self._tell_recovered(fates)

    def step(self, limit: int, deadline: float) -> Step:
        """Send up to `limit` messages in one transaction."""
        if all(lane.finished for lane in self._lanes.values()):
            self._settle(deadline)
            return Step(finished=True, reached=self._reached())
        with translated(self._topic):
            batch = self._source.read(limit)
        while batch.messages or self._newly_finished():
            try:
                with translated(self._topic):
                    self._transact(batch, deadline)
            except _TooLarge:
                batch.forget()  # it is known now which ones, and they stay
                continue
            return self._tell(batch)
        return Step(reached=self._reached())

    def close(self) -> None:
        """Clean up, and let go."""
        if self._opened is None:
            return
        transactor, source = self._opened
        if not transactor.is_broken:
            with suppress(BrokerError, LeaseLost):
                self._settle(self._clock.monotonic() + _TO_CLOSE_SECONDS)
        handles = [transactor.producer, *source.handles, *self._more_handles()]
        self._opened = None
        del transactor, source
        # The library lets go of a broker that does not answer only after a while, and so somebody else has the last
        # reference.
        threading.Thread(target=_let_go, args=(handles,), name="kafka-close", daemon=True).start()

    # -- taking over --------------------------------------------------------------------------------------------------

    def _open(self) -> tuple[Transactor, LetterSource]:
        smallest = min((target.max_bytes for target in self._route.targets.values()), default=1_000_000)
        transactor = Transactor(self._dead.settings, self._topic, self._group, smallest, self._clock)
        source = LetterSource(self._dead.settings, self._topic, self._group, self._clock)
        self._opened = transactor, source
        return self._opened

    def _topics_to_write(self) -> list[str]:
        """Return the topics that transactions write to."""
        return [LEDGER_TOPIC, *self._route.targets]

    def _more_handles(self) -> list[Producer]:
        """Return what is to be closed besides."""
        return []

    @property
    def _transactor(self) -> Transactor:
        assert self._opened is not None  # noqa: S101 (opened by recover)
        return self._opened[0]

    @property
    def _source(self) -> LetterSource:
        assert self._opened is not None  # noqa: S101 (opened by recover)
        return self._opened[1]

    def _take_over(self, source: LetterSource, deadline: float) -> None:
        # Only now: whoever had the id before may have written to the ledger up to the moment when it was fenced.
        rows = self._dead.read_rows(deadline)
        bounds: Mapping[str, Sequence[int]] = self._job.bounds["partitions"]
        for it in source.committed(map(int, bounds), deadline):
            lane = lane_of(it, rows.get(it.partition, {}), *bounds[str(it.partition)])
            lane.take_over(it, self._dead.log_starts.get(it.partition, 0), self._job.id)
            self._lanes[it.partition] = lane

    def _tell_unjournaled(self, source: LetterSource, deadline: float) -> list[Fate]:
        """Find the messages that stayed behind in transactions of which the journal did not hear any more."""
        fates: list[Fate] = []
        for lane in self._lanes.values():
            known = self._journaled(lane)
            if lane.refused <= known[2]:
                continue
            for message in source.read_again(lane, known[0], lane.next, deadline):
                if int(message.offset() or 0) in lane.gone:
                    continue
                choice = self._judge(message)
                if choice is not None:
                    fates.append(self._explain(message, choice))
        return fates

    def _explain(self, message: Message, choice: Ready | Refusal) -> Fate:
        """Say why a message stayed behind: a decision that is made again, or what the broker said when it was sent."""
        if isinstance(choice, Refusal):
            return Fate(choice.message, choice.outcome, reason=choice.reason)
        reason = "the target did not take it; an interruption came before the reason was written down"
        return Fate(read_letter(message), Outcome.FAILED, reason=reason)

    def _tell_recovered(self, fates: Sequence[Fate]) -> Step:
        lanes = self._lanes.values()
        sent = sum(lane.sent - self._journaled(lane)[1] for lane in lanes)
        expired = sum(lane.expired - self._journaled(lane)[3] for lane in lanes)
        return Step(tuple(fates), moved=sent, expired=expired, reached=self._reached())

    def _journaled(self, lane: Lane) -> list[int]:
        return list(self._job.reached.get(str(lane.partition), (lane.low, 0, 0, 0)))

    # -- one step -----------------------------------------------------------------------------------------------------

    def _newly_finished(self) -> bool:
        return any(lane.ended and not lane.finished for lane in self._lanes.values())

    def _transact(self, batch: Batch, deadline: float) -> None:
        transactor = self._transactor
        self._failures.clear()
        try:
            self._send(transactor, batch)
            moves = batch.moves(self._lanes.values())
            if transactor.is_open or batch.fates or any(move.cursor != move.lane.cursor for move in moves):
                transactor.begin()
                self._commit(transactor, moves, deadline)
        except KafkaException as error:
            self._give_up(transactor, batch, error.args[0])
            raise
        for move in moves:
            move.apply()

    def _give_up(self, transactor: Transactor, batch: Batch, error: KafkaError) -> None:
        """Abort and raise `_TooLarge` when that was it; raising any other error is left to the caller."""
        failures = [error, *batch.errors, *(why for _, _, why in self._failures)]
        if not transactor.is_open or error.code() in FENCED or not any(it.code() in _TOO_LARGE for it in failures):
            transactor.is_broken = True
            return
        transactor.abort()
        refused = {(partition, offset) for partition, offset, why in self._failures if why.code() in _TOO_LARGE}
        if refused:
            # A batch is refused as a whole, and every message of it with it: only the largest is surely too large.
            largest = max((m for m in batch.messages if (m.partition(), m.offset()) in refused), key=_size)
            self._addresser.too_large.add((int(largest.partition() or 0), int(largest.offset() or 0)))
        self._careful = True  # once more, with reports that say which message they are about
        raise _TooLarge

    def _send(self, transactor: Transactor, batch: Batch) -> None:
        """Decide on each message, and send what goes. Every message passes here, so it is short."""
        judge, report = self._judge, batch.report
        for message in batch.messages:
            choice = judge(message)
            if not isinstance(choice, Ready):
                batch.leave(message, choice)
                continue
            if not transactor.is_open:
                transactor.begin()
            transactor.produce(choice, self._report_of(message) if self._careful else report)

    def _address(self, message: Message) -> Ready | Refusal:
        """Decide on a message that goes as it is: how it goes, or why it does not."""
        ready = self._addresser.address(message, message.key(), message.value(), read_headers(message))
        return ready if isinstance(ready, Ready) else _refusal(message, ready)

    def _consider(self, message: Message) -> Ready | Refusal | None:
        """Decide on one message: how it goes, why it does not, or None for one that is not selected."""
        choice = self._choose(read_letter(message))
        if not isinstance(choice, Outgoing):
            return choice
        it = choice.message
        headers = [(header.name, header.value) for header in it.headers]
        ready = self._addresser.address(message, it.key, it.value, headers)
        return ready if isinstance(ready, Ready) else _refusal(message, ready)

    def _report_of(self, message: Message) -> Report:
        return partial(self._delivered, int(message.partition() or 0), int(message.offset() or 0))

    def _delivered(self, partition: int, offset: int, error: Any, message: Any) -> None:
        if error is not None:
            self._failures.append((partition, offset, error))

    def _commit(self, transactor: Transactor, moves: Sequence[Move], deadline: float) -> None:
        for move in moves:
            for start, until in move.rows.items():
                self._write_row(transactor, move.lane.partition, start, until)
            if move.cursor != move.lane.cursor:
                self._write_row(transactor, move.lane.partition, 0, move.cursor)
        self._commit_offsets(transactor, moves, deadline)

    def _commit_offsets(self, transactor: Transactor, moves: Sequence[Move], deadline: float) -> None:
        offsets = [move.offset(self._topic, self._job.id) for move in moves]
        transactor.commit(offsets, self._source.consumer, deadline)

    def _write_row(self, transactor: Transactor, partition: int, start: int, until: int | None) -> None:
        """Name a range in the ledger, or take it out again where `until` is None."""
        value = None if until is None else ledger_value(until, self._dead.topic_id, self._job.id)
        key = ledger_key(self._topic, partition, start)
        transactor.produce(Ready(LEDGER_TOPIC, 0, key, value, []), partial(self._delivered, -1, -1))

    def _settle(self, deadline: float) -> None:
        """Take the ranges that the cursors have passed out of the ledger."""
        lanes = [lane for lane in self._lanes.values() if lane.passed()]
        if self._opened is None or not lanes:
            return
        transactor = self._transactor
        with translated(self._topic):
            transactor.begin()
            for lane in lanes:
                for start in lane.passed():
                    self._write_row(transactor, lane.partition, start, None)
            self._commit_offsets(transactor, [Move(lane, lane.next, Intervals(), 0, 0) for lane in lanes], deadline)
        for lane in lanes:
            for start in lane.passed():
                del lane.rows[start]

    # -- telling ------------------------------------------------------------------------------------------------------

    def _tell(self, batch: Batch) -> Step:
        finished = all(lane.finished for lane in self._lanes.values())
        if finished:
            self._settle(self._clock.monotonic() + _TO_CLOSE_SECONDS)
        return Step(
            tuple(batch.fates),
            moved=batch.sent,
            finished=finished,
            reached=self._reached(),
            ranges=batch.ranges(),
        )

    def _reached(self) -> dict[str, list[int]]:
        return {str(lane.partition): lane.reached() for lane in self._lanes.values()}


class KafkaMover(TopicMover):
    """Moves within one cluster, where what comes back is seen."""

    def look_for_bounces(self, deadline: float) -> Sequence[str]:
        """Return the redrive ids of this job's messages that have come to lie beyond the bounds since the last look."""
        with translated(self._topic):
            return self._source.look_beyond(self._job.id, deadline)


class _TooLarge(Exception):
    """A message did not fit after all; the transaction is aborted, and which one is known."""


def _refusal(message: Message, unsent: Unsent) -> Refusal:
    outcome = Outcome.FAILED if unsent.failed else Outcome.SKIPPED
    return Refusal(read_letter(message), outcome, unsent.reason)


def _let_go(handles: list[Consumer | Producer]) -> None:
    while handles:
        handle = handles.pop()
        if isinstance(handle, Consumer):
            handle.close()
        else:
            handle.purge()


def _size(message: Message) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in read_headers(message))
    return len(message.key() or b"") + len(message.value() or b"") + headers
