"""What these credentials may not see: brokers leave it out of their answers and tell no error, so it is asked for."""

from monitor.brokers.kafka.client import KafkaClient
from monitor.clock import Clock
from monitor.errors import BrokerError

_AGAIN_SECONDS = 600.0
_LONGEST_SECONDS = 2.0
_DESCRIBE = frozenset({"DESCRIBE", "ALL"})
_NO_TOPICS = "No topic can be seen: there is none, or Describe on the topics is not granted."
_HIDDEN_GROUPS = (
    "Describe on the cluster is not granted: groups that may not be described one by one are hidden, without an error."
)


class Visibility:
    """Asks now and then, since rights change while the monitor runs."""

    def __init__(self, client: KafkaClient, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self.sees_all_groups = False  # until it is known
        self._asked_at: float | None = None

    def tell(self, topics: int, seconds: float) -> tuple[str, ...]:
        """Return what is, or may be, hidden; `topics` is how many are listed. Takes no longer than `seconds`."""
        now = self._clock.monotonic()
        if self._asked_at is None or now - self._asked_at >= _AGAIN_SECONDS:
            self._ask(min(seconds, _LONGEST_SECONDS), now)
        hidden = self._asked_at is not None and not self.sees_all_groups
        return (*((_NO_TOPICS,) if not topics else ()), *((_HIDDEN_GROUPS,) if hidden else ()))

    def _ask(self, seconds: float, now: float) -> None:
        try:
            described = self._client.describe_cluster(seconds)
        except BrokerError:
            return  # which says nothing about rights; the next cycle asks again
        self._asked_at = now
        self.sees_all_groups = bool(_DESCRIBE & {operation.name for operation in described.authorized_operations or ()})
