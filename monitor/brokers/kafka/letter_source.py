"""Reads the dead letters of a job from their topic, within its bounds; and what comes to lie beyond these."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from monitor.brokers.kafka.addressing import STAMPS
from monitor.brokers.kafka.batches import Batch
from monitor.brokers.kafka.letters import read_headers
from monitor.brokers.kafka.quiet import QuietLog
from monitor.brokers.kafka.stretches import Lane
from monitor.brokers.kafka.transactor import introduce
from monitor.brokers.kafka.translation import translate
from monitor.clock import Clock
from monitor.errors import BadAnswer, TimedOut
from monitor.letters import HEADER_ID, HEADER_JOB

_CONSUME_SECONDS = 0.1
_SILENCE_SECONDS = 20.0
_CAME_TO_THE_END = 100  # with fewer messages at once, what there is has been read


class LetterSource:
    """One consumer that assigns by hand, and another for what comes later. One thread uses it.

    Its calls raise KafkaException and BrokerErrors.
    """

    def __init__(self, settings: Mapping[str, Any], topic: str, group: str, clock: Clock) -> None:
        self._settings, self._topic, self._group, self._clock = settings, topic, group, clock
        self.consumer = self._open()
        self._watch: Consumer | None = None
        self._lanes: Mapping[int, Lane] = {}
        self._heard_at = clock.monotonic()

    @property
    def handles(self) -> list[Consumer]:
        """Return what is to be closed."""
        return [it for it in (self._watch, self.consumer) if it is not None]

    def committed(self, partitions: Iterable[int], deadline: float) -> list[TopicPartition]:
        """Return what the group has committed."""
        introduce(self.consumer, [self._topic], self._left(deadline))
        asked = [TopicPartition(self._topic, number) for number in partitions]
        found = self.consumer.committed(asked, max(1.0, self._left(deadline)))
        for it in found:
            if it.error:
                raise translate(it.error, self._topic)
        return found

    def assign(self, lanes: Mapping[int, Lane]) -> None:
        """Read these from where they stand, from now on."""
        self._lanes = lanes
        open_lanes = [lane for lane in lanes.values() if not lane.finished]
        self.consumer.assign([TopicPartition(self._topic, lane.partition, lane.next) for lane in open_lanes])
        self._heard_at = self._clock.monotonic()

    def read(self, limit: int) -> Batch:
        """Read up to `limit` messages that lie within the bounds and wait; note which partitions come to an end."""
        lanes, batch = self._lanes, Batch()
        riddled = {number for number, lane in lanes.items() if lane.is_riddled}
        ahead = sum(lane.high - lane.next for lane in lanes.values() if not lane.finished)
        came = self.consumer.consume(min(limit, ahead), _CONSUME_SECONDS)  # it waits until there are so many
        now = self._clock.monotonic()
        if came:
            self._heard_at = now
        elif now - self._heard_at > _SILENCE_SECONDS:
            raise TimedOut("the dead letters are not handed out", target=self._topic)
        for message in came:
            if message.error() is not None:
                partition, place = self._place_of(message)
                if place >= lanes[partition].high:
                    self._finish(lanes[partition])
                continue
            number: int = message.partition()  # type: ignore[assignment]
            offset: int = message.offset()  # type: ignore[assignment]
            lane = lanes[number]
            if offset >= lane.high:
                self._finish(lane)
            elif number not in riddled or offset not in lane.gone:
                batch.messages.append(message)
                batch.offsets[number].append(offset)
        return batch

    def read_again(self, lane: Lane, low: int, high: int, deadline: float) -> list[Message]:
        """Read a stretch of a partition as a whole; `assign` comes after it."""
        self.consumer.assign([TopicPartition(self._topic, lane.partition, low)])
        found: list[Message] = []
        place = low
        while place < high:
            if self._left(deadline) <= 0:
                raise TimedOut("what stayed behind could not be read again in time", target=self._topic)
            for message in self.consumer.consume(1000, _CONSUME_SECONDS):
                _, place = self._place_of(message)
                if message.error() is None and place <= high:
                    found.append(message)
        return found

    def look_beyond(self, job: str, deadline: float) -> Sequence[str]:
        """Return the redrive ids of a job's messages that came to lie beyond the bounds since the last look."""
        if self._watch is None:
            self._watch = self._open()
            self._watch.assign([TopicPartition(self._topic, it.partition, it.high) for it in self._lanes.values()])
        stamp, found = job.encode(), []
        while self._left(deadline) > 0:
            came = self._watch.consume(1000, _CONSUME_SECONDS)
            for message in came:
                if message.error() is not None:
                    self._place_of(message)
                    continue
                stamps = dict(it for it in read_headers(message) if it[0] in STAMPS)
                if stamps.get(HEADER_JOB) == stamp:
                    found.append((stamps.get(HEADER_ID) or b"").decode("utf-8", "replace"))
            if len(came) < _CAME_TO_THE_END:
                break
        return found

    def _open(self) -> Consumer:
        return Consumer(
            {
                **self._settings,
                "group.id": self._group,
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
        if not lane.ended:
            lane.ended = True
            self.consumer.pause([TopicPartition(self._topic, lane.partition)])

    def _left(self, deadline: float) -> float:
        return deadline - self._clock.monotonic()
