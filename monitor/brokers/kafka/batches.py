"""One transaction of a redrive in the making: what goes, what stays, and where it landed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, Message

from monitor.brokers.kafka.intervals import Intervals
from monitor.brokers.kafka.stretches import Lane, Move
from monitor.letters import Fate, Refusal


@dataclass(slots=True)
class Batch:
    """One transaction in the making."""

    messages: list[Message]
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

    def leave(self, message: Message, choice: Refusal | None) -> None:
        """Take note of a message that is not sent; without a choice it is not selected."""
        partition, offset = int(message.partition() or 0), int(message.offset() or 0)
        self.left.setdefault(partition, []).append(offset)
        if choice is not None:
            self.refused[partition] = self.refused.get(partition, 0) + 1
            self.fates.append(Fate(choice.message, choice.outcome, reason=choice.reason))

    def moves(self, lanes: Iterable[Lane]) -> list[Move]:
        """Return how the partitions that it touches move on."""
        last: dict[int, int] = {}
        for message in self.messages:
            last[message.partition()] = message.offset()  # type: ignore[index,assignment]
        moves = []
        for lane in lanes:
            number = lane.partition
            ending = lane.ended and not lane.finished
            if number not in last and not ending:
                continue
            place = lane.high if ending else last[number] + 1
            added, start = Intervals(), lane.next
            for offset in [*self.left.get(number, ()), place]:
                added.add(start, offset)  # where nothing was handed out between two messages, there is nothing
                start = offset + 1
            moves.append(Move(lane, place, added, self.sent.get(number, 0), self.refused.get(number, 0)))
        return moves

    def ranges(self) -> tuple[dict[str, Any], ...]:
        """Return from which offsets to which its messages went."""
        if not self.sent:
            return ()
        targets = [
            {"topic": topic, "partition": partition, "first": first, "last": last}
            for (topic, partition), (first, last) in sorted(self.landed.items())
        ]
        span = {str(p): [m.offset() for m in self.messages if m.partition() == p] for p in self.sent}
        sources = [{"partition": int(p), "first": it[0], "last": it[-1]} for p, it in sorted(span.items())]
        return ({"sent": sum(self.sent.values()), "from": sources, "to": targets},)
