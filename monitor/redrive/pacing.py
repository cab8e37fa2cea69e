"""How fast a job may go: a token bucket whose fill is small, so that the rate holds over short times too."""

from collections.abc import Callable

_FILL_SECONDS = 0.2


class Pace:
    """Grants messages at a rate; None is without limit. One thread uses it, another may set `rate`."""

    def __init__(self, rate: float | None, monotonic: Callable[[], float]) -> None:
        self.rate = rate
        self._monotonic = monotonic
        self._tokens, self._at = 0.0, monotonic()

    def grant(self, most: int) -> int:
        """Return how many may go now, 0 when none."""
        if self.rate is None:
            return most
        now = self._monotonic()
        largest = max(1.0, self.rate * _FILL_SECONDS)
        self._tokens = min(largest, self._tokens + (now - self._at) * self.rate)
        self._at = now
        # Waiting for half a fill makes fewer and larger steps: each costs a transaction.
        if self._tokens < max(1.0, largest / 2):
            return 0
        return min(most, int(self._tokens))

    def spend(self, number: int) -> None:
        """Note that so many have gone."""
        if self.rate is not None:
            self._tokens -= number

    def wait_seconds(self) -> float:
        """Return how long it takes until some may go."""
        if self.rate is None:
            return 0.0
        missing = max(1.0, self.rate * _FILL_SECONDS / 2) - self._tokens
        return max(0.0, missing / self.rate)
