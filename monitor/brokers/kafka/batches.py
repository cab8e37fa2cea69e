"""One transaction of a redrive in the making: what goes, what stays, and where it landed."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, Message

from monitor.brokers.kafka.intervals import Intervals
from monitor.brokers.kafka.stretches import Lane, Move
from monitor.letters import Fate, Refusal


@dataclass(slots=True)
class Batch:
    """One transaction in the making. `offsets` are those of its messages, by partition and in their order."""

    messages: list[Message] = field(default_factory=list)
    offsets: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    left: dict[int, list[int]] = field(default_factory=dict)  # by partition: offsets that stay
    refused: dict[int, int] = field(default_factory=dict)
    fates: list[Fate] = field(default_factory=list)
    landed: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    errors: list[KafkaError] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """Return how many of its messages go."""
        return len(self.messages) - sum(map(len, self.left.values()))

    def forget(self) -> None:
        """Forget what was decided about its messages: they are looked at once more."""
        self.left, self.refused, self.fates, self.landed, self.errors = {}, {}, [], {}, []

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

    def leave(self, message: Message, choice: Refusal | None) -> None:
        """Take note of a message that is not sent; without a choice it is not selected."""
        partition, offset = int(message.partition() or 0), int(message.offset() or 0)
        self.left.setdefault(partition, []).append(offset)
        if choice is not None:
            self.refused[partition] = self.refused.get(partition, 0) + 1
            self.fates.append(Fate(choice.message, choice.outcome, reason=choice.reason))

    def moves(self, lanes: Iterable[Lane]) -> list[Move]:
        """Return how the partitions that it touches move on."""
        moves = []
        for lane in lanes:
            number = lane.partition
            ending = lane.ended and not lane.finished
            offsets, left = self.offsets.get(number, []), self.left.get(number, [])
            if not (offsets or ending):
                continue
            place = lane.high if ending else offsets[-1] + 1
            added, start = Intervals(), lane.next
            for offset in [*left, place]:
                added.add(start, offset)  # where nothing was handed out between two messages, there is nothing
                start = offset + 1
            moves.append(Move(lane, place, added, len(offsets) - len(left), self.refused.get(number, 0)))
        return moves

    def ranges(self) -> tuple[dict[str, Any], ...]:
        """Return from which offsets to which its messages went."""
        sent = self.sent
        if not sent:
            return ()
        targets = [
            {"topic": topic, "partition": partition, "first": first, "last": last}
            for (topic, partition), (first, last) in sorted(self.landed.items())
        ]
        sources = [
            {"partition": number, "first": offsets[0], "last": offsets[-1]}
            for number, offsets in sorted(self.offsets.items())
            if len(offsets) > len(self.left.get(number, ()))
        ]
        return ({"sent": sent, "from": sources, "to": targets},)
