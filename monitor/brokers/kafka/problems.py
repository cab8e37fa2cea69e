"""What a cycle could not get, gathered: a broker that is away concerns thousands of partitions and is one problem."""

from collections import Counter
from typing import Any

from monitor.brokers.kafka.translation import translate
from monitor.errors import BadAnswer, BrokerError
from monitor.model import CollectionError


class Problems:
    """Errors of one cycle, counted by reason, what was asked, and what was said."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._first: BrokerError | None = None

    def add(self, error: Any, target: str, times: int = 1) -> None:
        """Note an error of the product or of the library."""
        told = error if isinstance(error, BrokerError) else translate(error)
        self._first = self._first or told
        self._counts[told.reason, target, told.problem] += times

    def add_ahead(self, group: str, topic: str, partitions: int) -> None:
        """Note that a group has committed beyond the end of logs."""
        text = "the committed offset is beyond the end of the log: it was cut, or the topic was made again"
        self.add(BadAnswer(text), f"group {group}, topic {topic}", partitions)

    def worst(self) -> BrokerError | None:
        """Return the first problem, as an error to raise; None if there is none."""
        return self._first

    def told(self) -> tuple[CollectionError, ...]:
        """Return each problem once, with how often it was met."""
        return tuple(
            CollectionError(reason, target, text if times == 1 else f"{text} ({times:,} times)")
            for (reason, target, text), times in self._counts.items()
        )
