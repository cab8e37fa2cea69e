"""Depths from the cheapest source that answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from monitor.brokers.rabbitmq.readings import Readings
from monitor.brokers.rabbitmq.survey import Survey
from monitor.clock import Clock
from monitor.errors import BrokerError, Unreachable
from monitor.model import CollectionError

_SHARE = 0.6  # of the time that is left, where another source can still be asked


@dataclass(frozen=True, slots=True, eq=False)
class Depths:
    """The numbers that a cycle begins with. `target` told them; `survey` is where they came from, if from one.

    `errors` are single queues that refused.
    """

    readings: Readings
    target: str
    survey: Survey | None = None
    errors: tuple[CollectionError, ...] = ()


def depths_of(survey: Survey, target: str) -> Depths:
    """Return the depths that a survey has."""
    return Depths(survey.readings, target, survey)


Reader = Callable[[float], Depths]


class DepthChoice:
    """Asks sources in their order. One that failed is left alone for `rest` seconds while another one answers."""

    def __init__(self, readers: Sequence[Reader], clock: Clock, rest: float) -> None:
        self._readers, self._clock, self._rest = tuple(readers), clock, rest
        self._failures: dict[Reader, tuple[float, BrokerError]] = {}

    def read(self, deadline: float) -> tuple[Depths, list[BrokerError]]:
        """Return the depths, and what went wrong with better sources, now or when they were tried last.

        Raises the BrokerError of the best source when none answers.
        """
        now = self._clock.monotonic()
        resting = [reader for reader in self._readers if reader in self._failures and now < self._failures[reader][0]]
        order = [reader for reader in self._readers if reader not in resting] + resting
        tried: list[BrokerError] = []
        for place, reader in enumerate(order):
            try:
                depths = reader(deadline if place == len(order) - 1 else self._share(deadline))
            except BrokerError as error:
                tried.append(error)
                self._failures[reader] = (self._clock.monotonic() + self._rest, error)
            else:
                self._failures.pop(reader, None)
                return depths, [error for _, error in self._failures.values()]
        if tried:
            raise tried[0]
        raise Unreachable(
            "AMQP alone cannot list queues",
            remedy="name them in queues.include, or set prometheus_url or management_url",
        )

    def _share(self, deadline: float) -> float:
        now = self._clock.monotonic()
        return now + (deadline - now) * _SHARE
