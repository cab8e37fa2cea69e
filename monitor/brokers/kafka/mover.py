"""Moves the dead letters of one job within a Kafka cluster, exactly once for readers of committed data.

One transaction holds what is sent, the cursor of the dead-letter topic and the ledger's records; the cursor's metadata
carry how far the job has read and how many it has sent, so that after an interruption the broker itself knows the
truth. The transactional id belongs to the dead-letter topic: whoever opens it fences everybody who had it before.
Any error inside of a transaction ends this mover; the next one finds the transaction finished or aborted.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from monitor.brokers.kafka.addressing import STAMPS, Addresser, Ready, Route, Unsent
from monitor.brokers.kafka.intervals import Intervals
from monitor.brokers.kafka.ledger import Rows, gone_before, group_of, ledger_key, ledger_value
from monitor.brokers.kafka.letters import read_headers, read_letter
from monitor.brokers.kafka.quiet import QuietLog
from monitor.brokers.kafka.translation import translate
from monitor.clock import Clock
from monitor.errors import BadAnswer, BrokerError, LeaseLost, TimedOut
from monitor.letters import (
    HEADER_ID,
    HEADER_JOB,
    LEDGER_TOPIC,
    Choose,
    Fate,
    Job,
    Outcome,
    Outgoing,
    Refusal,
    Step,
)

_CONSUME_SECONDS = 0.1
_SILENCE_SECONDS = 20.0
_TO_CLOSE_SECONDS = 1.0
_TO_ABORT_SECONDS = 10.0
_CALL_SECONDS = 5.0
_INTRODUCED = 10  # topics; more than a dead-letter topic has origins as a rule
_GRACE_SECONDS = 2.0
_CAME_TO_THE_END = 100  # with fewer messages at once, what there is has been read
_BATCH_OVERHEAD = 61  # bytes before the first record of a batch (format v2)
_FENCED = {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}
_TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE, KafkaError.RECORD_LIST_TOO_LARGE}


@dataclass(slots=True)
class Lane:
    """One partition of the dead-letter topic within the bounds of the job.

    `next` is the next offset to read, `cursor` what the group has committed. Cumulative counts belong to the job.
    """

    partition: int
    low: int
    high: int
    next: int
    cursor: int
    gone: Intervals
    rows: dict[int, int]
    sent: int = 0
    refused: int = 0
    expired: int = 0
    ended: bool = False  # nothing of it is still to be handed out

    @property
    def finished(self) -> bool:
        """Say whether everything within the bounds has been read."""
        return self.next >= self.high

    def passed(self) -> list[int]:
        """Return where the ledger's ranges begin that the cursor has passed; the cursor's own is not among them."""
        return [start for start, until in self.rows.items() if start and until <= self.cursor]

    def reached(self) -> list[int]:
        """Return what the journal keeps of this lane."""
        return [self.next, self.sent, self.refused, self.expired]


@dataclass(slots=True)
class _Batch:
    """One transaction in the making."""

    messages: list[Message]
    first: dict[int, int] = field(default_factory=dict)  # by partition: where it began
    left: dict[int, list[int]] = field(default_factory=dict)  # by partition: offsets that stay
    sent: dict[int, int] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    fates: list[Fate] = field(default_factory=list)
    landed: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    errors: list[KafkaError] = field(default_factory=list)

    def report(self, error: KafkaError | None, message: Any) -> None:
        """Take note of a delivery: where it landed, or why not."""
        if error is not None:
            self.errors.append(error)
            return
        place = message.offset()
        span = self.landed.get(key := (message.topic(), message.partition()))
        if span is None:
            self.landed[key] = [place, place]
        elif place > span[1]:
            span[1] = place
        elif place < span[0]:
            span[0] = place


class KafkaMover:
    """See `letters.Mover`. `settings` are librdkafka's; `read_rows` reads what the ledger says."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        job: Job,
        choose: Choose,
        route: Route,
        read_rows: Callable[[float], Rows],
        topic_id: str,
        log_starts: Mapping[int, int],
        clock: Clock,
    ) -> None:
        self._settings, self._job, self._choose, self._route = settings, job, choose, route
        self._read_rows, self._topic_id, self._starts, self._clock = read_rows, topic_id, log_starts, clock
        self._topic, self._group = job.queue, group_of(job.queue)
        self._lanes: dict[int, Lane] = {}
        strip = job.request.strip_failure_headers
        self._addresser = Addresser(route, job.id, strip_failure_headers=strip)
        self._careful = self._broken = False
        self._failures: list[tuple[int, int, KafkaError]] = []
        self._consumer: Consumer | None = None
        self._producer: Producer | None = None
        self._watch: Consumer | None = None
        self._heard_at = clock.monotonic()

    # -- the protocol -------------------------------------------------------------------------------------------------

    def recover(self, deadline: float) -> Step:
        """Fence whoever had the transactional id, and take over from what the group has committed."""
        with _translated(self._topic):
            self._producer = self._open_producer(deadline)
            self._consumer = self._open_consumer(self._group)
            self._introduce(self._consumer, [self._topic], deadline)
            self._take_over(self._consumer, deadline)
            fates = self._tell_unjournaled(deadline)
            self._assign()
        return self._tell_recovered(fates)

    def step(self, limit: int, deadline: float) -> Step:
        """Send up to `limit` messages in one transaction."""
        if all(lane.finished for lane in self._lanes.values()):
            self._settle(deadline)
            return Step(finished=True, reached=self._reached())
        with _translated(self._topic):
            messages = self._read(limit)
        while messages or self._newly_finished():
            batch = _Batch(messages)
            try:
                with _translated(self._topic):
                    self._transact(batch, deadline)
            except _TooLarge:
                continue  # it is known now which ones, and they stay
            return self._tell(batch)
        return Step(reached=self._reached())

    def close(self) -> None:
        """Clean up, and let go."""
        if self._producer is not None and not self._broken:
            with suppress(BrokerError, LeaseLost):
                self._settle(self._clock.monotonic() + _TO_CLOSE_SECONDS)
        handles = [self._producer, self._watch, self._consumer]
        self._consumer = self._watch = self._producer = None
        # The library lets go of a broker that does not answer only after a while.
        threading.Thread(target=_let_go, args=(handles,), name="kafka-close", daemon=True).start()

    def look_for_bounces(self, deadline: float) -> Sequence[str]:
        """Return the redrive ids of this job's messages that have come to lie beyond the bounds since the last look."""
        with _translated(self._topic):
            return self._look(deadline)

    # -- taking over --------------------------------------------------------------------------------------------------

    def _open_producer(self, deadline: float) -> Producer:
        smallest = min((target.max_bytes for target in self._route.targets.values()), default=1_000_000)
        producer = Producer(
            {
                **self._settings,
                "transactional.id": self._group,
                "transaction.timeout.ms": 60_000,
                "message.max.bytes": 1_000_000_000,  # the broker's own limit is the one that counts
                "batch.size": max(1_000, min(1_000_000, smallest - _BATCH_OVERHEAD)),
                "partitioner": "murmur2_random",  # as the Java client does; the library's own default is another
                "linger.ms": 5,
                "queue.buffering.max.messages": 1_000_000,
            },
            logger=QuietLog(),
        )
        self._introduce(producer, [LEDGER_TOPIC, *self._route.targets], deadline)
        while True:
            try:
                producer.init_transactions(max(0.5, min(5.0, self._left(deadline))))
            except KafkaException as error:
                # While the broker still aborts the transaction of whoever had this id before, it asks to come back.
                if not error.args[0].retriable() or self._left(deadline) <= 0:
                    raise
            else:
                return producer

    def _introduce(self, handle: Producer | Consumer, topics: Sequence[str], deadline: float) -> None:
        """Have the library connect and learn of topics before it is asked for anything else.

        A call that comes before the first connection, or that is about topics unknown to it, it takes up again only by
        timers of half a second and of one second.
        """
        for name in topics[:_INTRODUCED]:
            handle.list_topics(name, max(0.5, min(_CALL_SECONDS, self._left(deadline))))

    def _open_consumer(self, group: str) -> Consumer:
        return Consumer(
            {
                **self._settings,
                "group.id": group,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "allow.auto.create.topics": False,
                "queued.max.messages.kbytes": 32_768,
                "fetch.wait.max.ms": 100,
            },
            logger=QuietLog(),
        )

    def _take_over(self, consumer: Consumer, deadline: float) -> None:
        # Only now: whoever had the id before may have written to the ledger up to the moment when it was fenced.
        rows = self._read_rows(deadline)
        bounds: Mapping[str, Sequence[int]] = self._job.bounds["partitions"]
        asked = [TopicPartition(self._topic, int(partition)) for partition in bounds]
        committed = consumer.committed(asked, max(1.0, self._left(deadline)))
        for it in committed:
            if it.error:
                raise translate(it.error, self._topic)
            self._lanes[it.partition] = self._lane(it, rows.get(it.partition, {}), *bounds[str(it.partition)])

    def _lane(self, committed: TopicPartition, rows: Mapping[int, int], low: int, high: int) -> Lane:
        number, start = committed.partition, self._starts.get(committed.partition, 0)
        gone = gone_before(committed.offset if committed.offset >= 0 else None, rows)
        lane = Lane(number, low, high, low, gone.after(0), gone, dict(rows))
        told = _read_metadata(committed.metadata)
        if told.get("j") == self._job.id:
            lane.next, lane.sent, lane.refused, lane.expired = told["s"], told["n"], told["r"], told["x"]
        if start > lane.next:
            expired = min(start, high) - lane.next - gone.count(lane.next, min(start, high))
            lane.expired += max(0, expired)
            lane.next = start
        if start > lane.cursor:
            lane.gone.add(lane.cursor, start)
            lane.cursor = lane.gone.after(start)
        return lane

    def _tell_unjournaled(self, deadline: float) -> list[Fate]:
        """Find the messages that stayed behind in transactions of which the journal did not hear any more."""
        fates: list[Fate] = []
        for lane in self._lanes.values():
            known = self._journaled(lane)
            if lane.refused <= known[2]:
                continue
            for message in self._read_again(lane, known[0], lane.next, deadline):
                if int(message.offset() or 0) in lane.gone:
                    continue
                refusal = self._judge(message)
                if isinstance(refusal, Refusal):
                    fates.append(Fate(refusal.message, refusal.outcome, reason=refusal.reason))
        return fates

    def _read_again(self, lane: Lane, low: int, high: int, deadline: float) -> list[Message]:
        assert self._consumer is not None  # noqa: S101 (opened by recover)
        self._consumer.assign([TopicPartition(self._topic, lane.partition, low)])
        found: list[Message] = []
        place = low
        while place < high:
            if self._left(deadline) <= 0:
                raise TimedOut("what stayed behind could not be read again in time", target=self._topic)
            for message in self._consumer.consume(1000, _CONSUME_SECONDS):
                _, place = self._place_of(message)
                if message.error() is None and place <= high:
                    found.append(message)
        return found

    def _tell_recovered(self, fates: Sequence[Fate]) -> Step:
        lanes = self._lanes.values()
        sent = sum(lane.sent - self._journaled(lane)[1] for lane in lanes)
        expired = sum(lane.expired - self._journaled(lane)[3] for lane in lanes)
        return Step(tuple(fates), moved=sent, expired=expired, reached=self._reached())

    def _journaled(self, lane: Lane) -> list[int]:
        return list(self._job.reached.get(str(lane.partition), (lane.low, 0, 0, 0)))

    def _assign(self) -> None:
        assert self._consumer is not None  # noqa: S101 (opened by recover)
        open_lanes = [lane for lane in self._lanes.values() if not lane.finished]
        self._consumer.assign([TopicPartition(self._topic, lane.partition, lane.next) for lane in open_lanes])
        self._heard_at = self._clock.monotonic()

    # -- one step -----------------------------------------------------------------------------------------------------

    def _read(self, limit: int) -> list[Message]:
        """Read up to `limit` messages that lie within the bounds and wait; note where each partition has come to."""
        assert self._consumer is not None  # noqa: S101 (opened by recover)
        lanes, messages = self._lanes, []
        ahead = sum(lane.high - lane.next for lane in lanes.values() if not lane.finished)
        came = self._consumer.consume(min(limit, ahead), _CONSUME_SECONDS)  # it waits until there are so many
        now = self._clock.monotonic()
        if came:
            self._heard_at = now
        elif now - self._heard_at > _SILENCE_SECONDS:
            raise TimedOut("the dead letters are not handed out", target=self._topic)
        for message in came:
            if message.error() is not None:
                self._note_end(message)
                continue
            lane = lanes[message.partition()]  # type: ignore[index]
            offset: int = message.offset()  # type: ignore[assignment]
            if offset >= lane.high:
                self._finish(lane)
            elif offset not in lane.gone:
                messages.append(message)
        return messages

    def _note_end(self, message: Message) -> None:
        partition, place = self._place_of(message)
        lane = self._lanes[partition]
        if place >= lane.high:
            self._finish(lane)

    def _place_of(self, message: Message) -> tuple[int, int]:
        """Return a message's partition and the next offset after it, also of the event that a log's end is reached."""
        error, partition, offset = message.error(), int(message.partition() or 0), int(message.offset() or 0)
        if error is None:
            return partition, offset + 1
        if error.code() == KafkaError._PARTITION_EOF:
            return partition, offset
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise BadAnswer("records expired while they were read", target=self._topic)
        raise translate(error, self._topic)

    def _finish(self, lane: Lane) -> None:
        assert self._consumer is not None  # noqa: S101 (opened by recover)
        if not lane.ended:
            lane.ended = True
            self._consumer.pause([TopicPartition(self._topic, lane.partition)])

    def _newly_finished(self) -> bool:
        return any(lane.ended and not lane.finished for lane in self._lanes.values())

    def _transact(self, batch: _Batch, deadline: float) -> None:
        producer = self._producer
        assert producer is not None  # noqa: S101 (opened by recover)
        began = False
        self._failures.clear()
        try:
            for message in batch.messages:
                choice = self._judge(message)
                if not isinstance(choice, Ready):
                    self._leave(batch, message, choice)
                    continue
                if not began:
                    producer.begin_transaction()
                    began = True
                self._produce(producer, batch, message, choice)
            moves = self._moves(batch)
            if began or batch.fates or any(move.cursor != move.lane.cursor for move in moves):
                if not began:
                    producer.begin_transaction()
                    began = True
                self._commit(producer, moves, deadline)
        except KafkaException as error:
            self._give_up(producer, batch, error.args[0], began)
            raise
        for move in moves:
            move.apply()

    def _give_up(self, producer: Producer, batch: _Batch, error: KafkaError, began: bool) -> None:
        """Abort and raise `_TooLarge` when that was it; raising any other error is left to the caller.

        Of any other error nothing is made good here: the next mover's first call ends the transaction, either way.
        """
        failures = [error, *batch.errors, *(why for _, _, why in self._failures)]
        if not began or error.code() in _FENCED or not any(it.code() in _TOO_LARGE for it in failures):
            self._broken = True
            return
        producer.abort_transaction(_TO_ABORT_SECONDS)
        refused = {(partition, offset) for partition, offset, why in self._failures if why.code() in _TOO_LARGE}
        if refused:
            # A batch is refused as a whole, and every message of it with it: only the largest is surely too large.
            largest = max((m for m in batch.messages if (m.partition(), m.offset()) in refused), key=_size)
            self._addresser.too_large.add((int(largest.partition() or 0), int(largest.offset() or 0)))
        self._careful = True  # once more, with reports that say which message they are about
        raise _TooLarge

    def _judge(self, message: Message) -> Ready | Refusal | None:
        """Decide on one message: how it goes, why it does not, or None for one that is not selected."""
        if self._job.request.plain:
            ready = self._addresser.address(message, message.key(), message.value(), read_headers(message))
        else:
            choice = self._choose(read_letter(message))
            if not isinstance(choice, Outgoing):
                return choice
            it = choice.message
            headers = [(header.name, header.value) for header in it.headers]
            ready = self._addresser.address(message, it.key, it.value, headers)
        if isinstance(ready, Unsent):
            outcome = Outcome.FAILED if ready.failed else Outcome.SKIPPED
            return Refusal(read_letter(message), outcome, ready.reason)
        return ready

    def _produce(self, producer: Producer, batch: _Batch, message: Message, it: Ready) -> None:
        partition: int = message.partition()  # type: ignore[assignment]
        report: Callable[[Any, Any], None] = batch.report
        if self._careful:
            report = partial(self._delivered, partition, int(message.offset() or 0))
        while True:
            try:
                producer.produce(it.topic, it.value, it.key, it.partition, report, headers=it.headers)  # type: ignore[arg-type]
            except BufferError:
                producer.poll(0.05)
            else:
                break
        batch.sent[partition] = batch.sent.get(partition, 0) + 1

    def _delivered(self, partition: int, offset: int, error: Any, message: Any) -> None:
        if error is not None:
            self._failures.append((partition, offset, error))

    def _leave(self, batch: _Batch, message: Message, choice: Refusal | None) -> None:
        partition, offset = int(message.partition() or 0), int(message.offset() or 0)
        batch.left.setdefault(partition, []).append(offset)
        if choice is not None:
            batch.refused[partition] = batch.refused.get(partition, 0) + 1
            batch.fates.append(Fate(choice.message, choice.outcome, reason=choice.reason))

    def _moves(self, batch: _Batch) -> list["_Move"]:
        """Return how the partitions that the batch touched move on."""
        last: dict[int, int] = {}
        for message in batch.messages:
            last[message.partition()] = message.offset()  # type: ignore[index,assignment]
        moves = []
        for lane in self._lanes.values():
            number = lane.partition
            ending = lane.ended and not lane.finished
            if number not in last and not ending:
                continue
            place = lane.high if ending else last[number] + 1
            added, start = Intervals(), lane.next
            for offset in [*batch.left.get(number, ()), place]:
                added.add(start, offset)  # where nothing was handed out between two messages, there is nothing
                start = offset + 1
            moves.append(_Move(lane, place, added, batch.sent.get(number, 0), batch.refused.get(number, 0)))
        return moves

    def _commit(self, producer: Producer, moves: Sequence["_Move"], deadline: float) -> None:
        for move in moves:
            for start, until in move.rows.items():
                self._write_row(producer, move.lane.partition, start, until)
            if move.cursor != move.lane.cursor:
                self._write_row(producer, move.lane.partition, 0, move.cursor)
        self._send_offsets(producer, [self._offset(move) for move in moves], deadline)
        self._retry(producer.commit_transaction, deadline)

    def _send_offsets(self, producer: Producer, offsets: list[TopicPartition], deadline: float) -> None:
        assert self._consumer is not None  # noqa: S101 (opened by recover)
        group = self._consumer.consumer_group_metadata()
        self._retry(lambda seconds: producer.send_offsets_to_transaction(offsets, group, seconds), deadline)

    def _offset(self, move: "_Move") -> TopicPartition:
        lane = move.lane
        told = {
            "j": self._job.id,
            "s": move.place,
            "n": lane.sent + move.sent,
            "r": lane.refused + move.refused,
            "x": lane.expired,
        }
        return TopicPartition(self._topic, lane.partition, move.cursor, json.dumps(told))

    def _write_row(self, producer: Producer, partition: int, start: int, until: int | None) -> None:
        """Name a range in the ledger, or take it out again where `until` is None."""
        value = None if until is None else ledger_value(until, self._topic_id, self._job.id)
        report = partial(self._delivered, -1, -1)
        producer.produce(LEDGER_TOPIC, value, ledger_key(self._topic, partition, start), 0, report)

    def _settle(self, deadline: float) -> None:
        """Take the ranges that the cursors have passed out of the ledger."""
        producer, lanes = self._producer, [lane for lane in self._lanes.values() if lane.passed()]
        if producer is None or not lanes:
            return
        with _translated(self._topic):
            producer.begin_transaction()
            for lane in lanes:
                for start in lane.passed():
                    self._write_row(producer, lane.partition, start, None)
            moves = [_Move(lane, lane.next, Intervals(), 0, 0) for lane in lanes]
            self._send_offsets(producer, [self._offset(move) for move in moves], deadline)
            self._retry(producer.commit_transaction, deadline)
        for lane in lanes:
            for start in lane.passed():
                del lane.rows[start]

    def _retry(self, call: Callable[[float], object], deadline: float) -> None:
        while True:
            try:
                self._call_aside(call, max(0.5, min(_CALL_SECONDS, self._left(deadline))))
            except KafkaException as error:
                if not error.args[0].retriable() or self._left(deadline) <= 0:
                    raise
            else:
                return

    def _call_aside(self, call: Callable[[float], object], seconds: float) -> None:
        """Call the library, and leave the call behind when it takes longer than it was told to.

        After a restart of the group's coordinator `send_offsets_to_transaction` never comes back, whatever its timeout.
        """
        done: Future[object] = Future()

        def run() -> None:
            try:
                done.set_result(call(seconds))
            except KafkaException as error:
                done.set_exception(error)

        threading.Thread(target=run, name="kafka-transaction", daemon=True).start()
        try:
            done.result(seconds + _GRACE_SECONDS)
        except TimeoutError:
            self._broken = True
            raise TimedOut("the transaction does not come to an end", target=self._topic) from None

    # -- telling ------------------------------------------------------------------------------------------------------

    def _tell(self, batch: _Batch) -> Step:
        moved = sum(batch.sent.values())
        targets = [
            {"topic": topic, "partition": partition, "first": first, "last": last}
            for (topic, partition), (first, last) in sorted(batch.landed.items())
        ]
        span = {str(p): [m.offset() for m in batch.messages if m.partition() == p] for p in batch.sent}
        sources = [{"partition": int(p), "first": it[0], "last": it[-1]} for p, it in sorted(span.items())]
        ranges = ({"sent": moved, "from": sources, "to": targets},) if moved else ()
        finished = all(lane.finished for lane in self._lanes.values())
        if finished:
            self._settle(self._clock.monotonic() + _TO_CLOSE_SECONDS)
        return Step(tuple(batch.fates), moved=moved, finished=finished, reached=self._reached(), ranges=ranges)

    def _reached(self) -> dict[str, list[int]]:
        return {str(lane.partition): lane.reached() for lane in self._lanes.values()}

    def _left(self, deadline: float) -> float:
        return deadline - self._clock.monotonic()

    def _look(self, deadline: float) -> list[str]:
        if self._watch is None:
            self._watch = self._open_consumer(self._group)
            self._watch.assign([TopicPartition(self._topic, it.partition, it.high) for it in self._lanes.values()])
        job, found = self._job.id.encode(), []
        while self._left(deadline) > 0:
            came = self._watch.consume(1000, _CONSUME_SECONDS)
            for message in came:
                if message.error() is not None:
                    self._place_of(message)
                    continue
                stamps = dict(it for it in read_headers(message) if it[0] in STAMPS)
                if stamps.get(HEADER_JOB) == job:
                    found.append((stamps.get(HEADER_ID) or b"").decode("utf-8", "replace"))
            if len(came) < _CAME_TO_THE_END:
                break
        return found


class _Move:
    """How one partition moves on by a batch: `added` are the offsets that wait no longer."""

    def __init__(self, lane: Lane, place: int, added: Intervals, sent: int, refused: int) -> None:
        self.lane, self.place, self.added, self.sent, self.refused = lane, place, added, sent, refused
        self.cursor = lane.cursor
        while (further := lane.gone.after(added.after(self.cursor))) != self.cursor:
            self.cursor = further
        self.rows = {start: end for start, end in added if start > self.cursor}

    def apply(self) -> None:
        """Make it so, when the transaction is through."""
        lane = self.lane
        for start, end in self.added:
            lane.gone.add(start, end)
        lane.rows.update(self.rows)
        lane.cursor, lane.next = self.cursor, self.place
        lane.sent += self.sent
        lane.refused += self.refused


class _TooLarge(Exception):
    """A message did not fit after all; the transaction is aborted, and which one is known."""


def _let_go(handles: list[Consumer | Producer | None]) -> None:
    while handles:
        handle = handles.pop()
        if isinstance(handle, Consumer):
            handle.close()
        elif isinstance(handle, Producer):
            handle.purge()


def _read_metadata(metadata: str | None) -> dict[str, Any]:
    try:
        told = json.loads(metadata or "{}")
    except ValueError:
        return {}  # somebody else has committed for this group
    return told if isinstance(told, dict) else {}


def _size(message: Message) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in read_headers(message))
    return len(message.key() or b"") + len(message.value() or b"") + headers


@contextmanager
def _translated(target: str) -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        fault = error.args[0]
        if fault.code() in _FENCED:
            raise LeaseLost(f"{target}: another monitor redrives it, or the broker gave this one up") from error
        raise translate(fault, target) from error
