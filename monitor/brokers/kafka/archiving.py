"""Sets dead letters of a Kafka topic aside, and puts them back: marks in the ledger; the records stay where they are.

What is set aside is named in the ledger twice: as offsets that no longer wait, as a redrive names them, and under the
name of its archive, which no reader of the first takes for a topic. To restore is to take both out again; since the
cursor may have passed them meanwhile, what no longer waits is then written anew. Each step is one transaction under the
transactional id of the dead-letter topic, so that it excludes a redrive. Only what was handed out is marked, and never
a record that was gone already: the marks of an archive hold nothing else.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from monitor.brokers.kafka.intervals import Intervals
from monitor.brokers.kafka.ledger import Rows, gone_before, group_of, ledger_key, ledger_value
from monitor.brokers.kafka.letters import read_letter
from monitor.brokers.kafka.quiet import QuietLog
from monitor.brokers.kafka.transactor import translated
from monitor.brokers.kafka.translation import translate
from monitor.clock import Clock
from monitor.errors import BadAnswer, TimedOut
from monitor.letters import LEDGER_TOPIC, Choose, Fate, Job, Outgoing, Refusal, Step

_CONSUME_SECONDS = 0.1
_CALL_SECONDS = 5.0
_NEVER_IN_A_TOPIC = ":"

Mark = tuple[int, int]
"""The offsets from the first up to, not including, the second."""


def archive_name(archive: str, topic: str) -> str:
    """Return the name under which the ledger has the marks of an archive; no topic can have it."""
    return f"archive{_NEVER_IN_A_TOPIC}{archive}{_NEVER_IN_A_TOPIC}{topic}"


class LedgerWriter:
    """Writes rows of the ledger, a transaction at a time. One thread uses it."""

    def __init__(self, settings: Mapping[str, Any], topic: str, topic_id: str, job: str) -> None:
        self._topic, self._topic_id, self._job = topic, topic_id, job
        self._group = group_of(topic)
        self._settings = settings
        self._producer = Producer(
            {**settings, "transactional.id": self._group, "transaction.timeout.ms": 60_000}, logger=QuietLog()
        )

    def fence(self) -> None:
        """Shut out whoever had the id before, and have its transaction ended. Raises KafkaException."""
        self._producer.init_transactions(2 * _CALL_SECONDS)

    def write(self, rows: Iterable[tuple[str, int, int, int | None]], cursors: Mapping[int, int] | None = None) -> None:
        """Write rows (name, partition, first offset, offset after the last; None takes one out) in one transaction.

        `cursors` are what the group of redrives has read, by partition. Raises KafkaException.
        """
        producer = self._producer
        producer.begin_transaction()
        for name, partition, start, until in rows:
            value = None if until is None else ledger_value(until, self._topic_id, self._job)
            producer.produce(LEDGER_TOPIC, value, ledger_key(name, partition, start), 0)
        if cursors:
            self._send_cursors(cursors)
        producer.commit_transaction(2 * _CALL_SECONDS)

    def _send_cursors(self, cursors: Mapping[int, int]) -> None:
        consumer = Consumer({**self._settings, "group.id": self._group, "enable.auto.commit": False}, logger=QuietLog())
        try:
            offsets = [TopicPartition(self._topic, partition, cursor) for partition, cursor in cursors.items()]
            self._producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), _CALL_SECONDS)
        finally:
            consumer.close()

    def close(self) -> None:
        """Let go; what is begun is aborted by the next one with this id."""
        self._producer.purge()


class ArchiveMover:
    """Implements `letters.Mover` for a job that sets aside. `rows` and `marks` are what the ledger says now."""

    def __init__(
        self,
        consumer: Consumer,
        writer: LedgerWriter,
        job: Job,
        choose: Choose,
        read: Callable[[str, float], Rows],
        clock: Clock,
    ) -> None:
        self._consumer, self._writer, self._job, self._choose, self._clock = consumer, writer, job, choose, clock
        self._topic, self._name, self._read = job.queue, archive_name(job.id, job.queue), read
        bounds: Mapping[str, Sequence[int]] = job.bounds["partitions"]
        self._high = {int(partition): high for partition, (_, high) in bounds.items()}
        self._next = {int(p): int(job.reached.get(p, (low,))[0]) for p, (low, _) in bounds.items()}
        self._gone: dict[int, Intervals] = {}
        self._marked: dict[int, Intervals] = {}

    def recover(self, deadline: float) -> Step:
        """Read what the ledger has: what this job has marked is counted when it is met again."""
        with translated(self._topic):
            self._writer.fence()
        gone, marked = self._read(self._topic, deadline), self._read(self._name, deadline)
        self._gone = {partition: gone_before(None, gone.get(partition, {})) for partition in self._high}
        self._marked = {partition: Intervals(marked.get(partition, {}).items()) for partition in self._high}
        open_ones = [it for it in self._high if self._next[it] < self._high[it]]
        self._consumer.assign([TopicPartition(self._topic, it, self._next[it]) for it in open_ones])
        return Step()

    def step(self, limit: int, deadline: float) -> Step:
        """Mark up to `limit` messages."""
        with translated(self._topic):
            return self._step(limit, deadline)

    def close(self) -> None:
        """Let go."""
        self._consumer.close()
        self._writer.close()

    def _step(self, limit: int, deadline: float) -> Step:
        if self._is_finished():
            return Step(finished=True, reached=self._reached())
        chosen: defaultdict[int, list[int]] = defaultdict(list)
        fates: list[Fate] = []
        again = 0
        while not (chosen or fates or again or self._is_finished()):
            for message in self._consumer.consume(limit, _CONSUME_SECONDS):
                partition, offset = self._note(message)
                if offset is None or offset >= self._high[partition]:
                    continue
                if offset in self._marked[partition]:
                    again += 1
                elif offset not in self._gone[partition]:
                    self._decide(message, chosen[partition], fates)
            if self._clock.monotonic() > deadline:
                raise TimedOut("the dead letters are not handed out", target=self._topic)
        marks = {partition: self._runs(partition, offsets) for partition, offsets in chosen.items()}
        if any(marks.values()):
            names = (self._topic, self._name)
            self._writer.write((name, p, *run) for p, runs in marks.items() for run in runs for name in names)
        moved = again + sum(map(len, chosen.values()))
        spans = [{"partition": p, "first": runs[0][0], "last": runs[-1][1] - 1} for p, runs in marks.items() if runs]
        ranges = ({"sent": moved, "from": spans, "to": []},) if moved else ()
        return Step(tuple(fates), moved, self._is_finished(), self._reached(), ranges)

    def _decide(self, message: Message, chosen: list[int], fates: list[Fate]) -> None:
        choice = self._choose(read_letter(message))
        if isinstance(choice, Outgoing):
            chosen.append(int(message.offset() or 0))
        elif isinstance(choice, Refusal):
            fates.append(Fate(choice.message, choice.outcome, reason=choice.reason))

    def _note(self, message: Message) -> tuple[int, int | None]:
        """Note how far a partition is read; return it and the message's offset, None at the log's end."""
        error, partition, offset = message.error(), int(message.partition() or 0), int(message.offset() or 0)
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            if error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise BadAnswer("records expired while they were read", target=self._topic)
            raise translate(error, self._topic)
        at_end = error is not None
        self._next[partition] = min(self._high[partition], offset if at_end else offset + 1)
        return partition, None if at_end else offset

    def _runs(self, partition: int, offsets: Sequence[int]) -> list[Mark]:
        """Return the offsets as ranges that hold no other message.

        Between two that were handed out one after the other lies none, unless it was left or is gone already.
        """
        runs: list[Mark] = []
        gone, last = self._gone[partition], None
        for offset in offsets:
            if last is not None and runs and offset == last + 1 and gone.count(last, offset) == 0:
                runs[-1] = (runs[-1][0], offset + 1)
            else:
                runs.append((offset, offset + 1))
            last = offset
        return runs

    def _is_finished(self) -> bool:
        return all(self._next[partition] >= high for partition, high in self._high.items())

    def _reached(self) -> dict[str, list[int]]:
        return {str(partition): [place] for partition, place in self._next.items()}


class RestoreMover:
    """Implements `letters.Mover` for a job that puts a whole archive back, a partition a step."""

    def __init__(
        self,
        writer: LedgerWriter,
        job: Job,
        read: Callable[[str, float], Rows],
        log_starts: Mapping[int, int],
    ) -> None:
        self._writer, self._job, self._read, self._starts = writer, job, read, log_starts
        self._topic = job.queue
        self._name = archive_name(job.request.archive or "", job.queue)
        self._done: set[int] = set()
        self._restored = int(job.reached.get("restored", 0))

    def recover(self, deadline: float) -> Step:
        """Find out how much an interrupted run has put back: what is not marked any more."""
        with translated(self._topic):
            self._writer.fence()
        marks = self._read(self._name, deadline)
        left = sum(until - first for rows in marks.values() for first, until in rows.items())
        return self._tell(int(self._job.bounds["count"]) - left - self._restored)

    def step(self, limit: int, deadline: float) -> Step:
        """Put one partition back."""
        marks = self._read(self._name, deadline)
        # What was just committed may take a moment until it is read.
        partition = next((it for it, rows in sorted(marks.items()) if rows and it not in self._done), None)
        if partition is None:
            return Step(finished=True, reached={"restored": self._restored})
        self._done.add(partition)
        rows = self._read(self._topic, deadline).get(partition, {})
        start = self._starts.get(partition, 0)
        archived = Intervals(marks[partition].items())
        gone = gone_before(None, rows)
        left = Intervals(_without(gone, archived))
        left.add(0, start)  # nothing before the log's start can wait again
        written = [(self._topic, partition, first, until) for first, until in left]
        old = {first for first in rows if first not in {row[2] for row in written}}
        taken_out = [(self._topic, partition, first, None) for first in old]
        taken_out += [(self._name, partition, first, None) for first in marks[partition]]
        with translated(self._topic):
            self._writer.write([*taken_out, *written], {partition: left.after(0)})
        return self._tell(sum(until - first for first, until in archived), archived.count(0, start))

    def _tell(self, number: int, expired: int = 0) -> Step:
        self._restored += number
        return Step(moved=number - expired, expired=expired, reached={"restored": self._restored})

    def close(self) -> None:
        """Let go."""
        self._writer.close()


def _without(gone: Intervals, restored: Intervals) -> list[Mark]:
    """Return what is in the first and not in the second."""
    kept = []
    for start, end in gone:
        for first, until in restored.within(start, end):
            if start < first:
                kept.append((start, first))
            start = until
        if start < end:
            kept.append((start, end))
    return kept
