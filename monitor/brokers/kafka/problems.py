"""What a cycle could not get, gathered: a broker that is away concerns thousands of partitions and is one problem."""

from collections import Counter
from typing import Any

from monitor.brokers.kafka.translation import translate
from monitor.errors import BadAnswer, BrokerError
from monitor.model import CollectionError

_MOST = 100


class Problems:
    """Errors of one cycle, counted by reason, what was asked, and what was said."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._first: BrokerError | None = None

    def add(self, error: Any, target: str, times: int = 1) -> None:
        """Note an error of the product or of the library."""
        told = error if isinstance(error, BrokerError) else translate(error)
        self._first = self._first or told
        problem = (told.reason, target, f"{told.problem}; {told.remedy}" if told.remedy else told.problem)
        if problem not in self._counts and len(self._counts) >= _MOST:
            problem = (told.reason, "others", "there are more such problems than are told")
        self._counts[problem] += times

    def add_ahead(self, group: str, topic: str, partitions: int) -> None:
        """Note that groups, for example this one, have committed beyond the end of logs of a topic."""
        text = (
            f"committed offsets are beyond the end of the log, for example of group {group}: it was cut or made again"
        )
        self.add(BadAnswer(text), f"topic {topic}", partitions)

    def worst(self) -> BrokerError | None:
        """Return the first problem, as an error to raise; None if there is none."""
        return self._first

    def told(self) -> tuple[CollectionError, ...]:
        """Return each problem once, with how often it was met."""
        return tuple(
            CollectionError(reason, target, text if times == 1 else f"{text} ({times:,} times)")
            for (reason, target, text), times in self._counts.items()
        )
