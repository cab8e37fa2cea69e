"""What goes wrong with a job until it gets on again."""

from monitor.errors import EventflowError

_SHORTEST_BACKOFF, _LONGEST_BACKOFF = 0.25, 5.0
_HOPELESS_TRIES = 5


class Failures:
    """Counts them. A broker that comes back says one thing after the other, which is no reason to give up."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: the job gets on."""
        self._number = self._alike = 0
        self._kind: type[EventflowError] | None = None

    def add(self, error: EventflowError) -> None:
        """Count one."""
        self._number += 1
        self._alike = self._alike + 1 if type(error) is self._kind else 1
        self._kind = type(error)

    @property
    def is_hopeless(self) -> bool:
        """Say whether the same has come so often that another try would bring it again."""
        return self._alike >= _HOPELESS_TRIES

    @property
    def backoff_seconds(self) -> float:
        """How long to wait before the next try."""
        return min(_LONGEST_BACKOFF, _SHORTEST_BACKOFF * 2.0 ** min(self._number, 10))
