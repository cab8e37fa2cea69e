"""How fast a job may go: a token bucket that begins empty, so that the rate is never exceeded from the start on.

What a slow broker made it miss in half a second may be made up for, in small steps; more than that is let go.
"""

from collections.abc import Callable

from monitor.errors import BadRequest

_SLOWEST, _FASTEST = 0.001, 1_000_000.0
_STEP_SECONDS = 0.1
_MADE_UP_SECONDS = 0.5


def check_rate(rate: float | None) -> None:
    """Raise BadRequest for a rate (messages a second) at which nobody would see anything move, or that says nothing."""
    if rate is not None and not _SLOWEST <= rate <= _FASTEST:
        told = f"rate: must be above 0, from {_SLOWEST} to {_FASTEST:,.0f} messages a second; to hold a job, pause it"
        raise BadRequest(told, parameter="rate")


class Pace:
    """Grants messages at a rate (a second); None is without limit. `rate` may be set at any time."""

    def __init__(self, rate: float | None, monotonic: Callable[[], float]) -> None:
        self.rate = rate
        self._monotonic = monotonic
        self._tokens, self._at = 0.0, monotonic()

    def grant(self, most: int) -> int:
        """Return how many may go now, 0 when none."""
        if self.rate is None:
            return most
        now = self._monotonic()
        largest = max(1.0, self.rate * _MADE_UP_SECONDS)
        self._tokens = min(largest, self._tokens + (now - self._at) * self.rate)
        self._at = now
        # Each step costs a transaction or a round trip, so it is worth waiting for more than one message.
        step = self._step(self.rate)
        return min(most, int(2 * step), int(self._tokens)) if self._tokens >= step else 0

    def spend(self, number: int) -> None:
        """Note that so many have gone."""
        if self.rate is not None:
            self._tokens -= number

    def wait_seconds(self) -> float:
        """Return how long it takes until some may go."""
        return 0.0 if self.rate is None else max(0.0, (self._step(self.rate) - self._tokens) / self.rate)

    def _step(self, rate: float) -> float:
        return max(1.0, rate * _STEP_SECONDS)
