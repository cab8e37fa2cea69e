"""The clusters as redrive sees them: their queues, whether they may be touched, and the connections to them."""

import difflib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import unquote

from monitor.clock import Clock
from monitor.config import Cluster
from monitor.errors import BadAnswer, BrokerError, BrokerFailed, Conflict, NotFound, ReadOnly
from monitor.letters import RedriveBus, SendsElsewhere
from monitor.model import ClusterView, DeadLetterQueue

Opener = Callable[[Cluster], RedriveBus]


class Buses:
    """The redrive sides of all clusters, each opened when it is first needed. Thread-safe."""

    def __init__(
        self, clusters: Iterable[Cluster], views: Callable[[], Iterable[ClusterView]], opener: Opener, clock: Clock
    ) -> None:
        self._clusters = {cluster.name: cluster for cluster in clusters}
        self.views, self._opener, self._clock = views, opener, clock
        self._buses: dict[str, RedriveBus] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of all connections."""
        self.reconfigure(())

    def reconfigure(self, clusters: Iterable[Cluster], *, anew: bool = False) -> None:
        """Know these clusters from now on; connections to those that have changed are let go, all of them if `anew`."""
        with self._lock:
            before, self._clusters = self._clusters, {cluster.name: cluster for cluster in clusters}
            changed = [name for name in self._buses if anew or self._clusters.get(name) != before[name]]
            buses = [self._buses.pop(name) for name in changed]
        for bus in buses:
            bus.close()

    def of(self, cluster: str) -> RedriveBus:
        """Return the redrive side of a cluster. Raises BadAnswer when it is not configured any more."""
        with self._lock:
            if cluster not in self._clusters:
                raise BadAnswer("this cluster is not configured any more", target=cluster)
            if cluster not in self._buses:
                self._buses[cluster] = bus = self._opener(self._clusters[cluster])
                if isinstance(bus, SendsElsewhere):
                    bus.meet(self.to_redrive)
            return self._buses[cluster]

    def to_redrive(self, cluster: str) -> RedriveBus:
        """Return the redrive side of a cluster. Raises BadAnswer, and ReadOnly where nothing may be redriven now."""
        bus = self.of(cluster)
        self.check_rights(cluster)
        return bus

    def find(self, raw: str) -> DeadLetterQueue:
        """Return a dead-letter queue by its id; whatever is done to dead letters comes by here.

        Raises NotFound, which tells the nearest ids, and Conflict for what is listed but holds none.
        """
        known = {it.id: it for view in self.views() if view.snapshot for it in view.snapshot.dead_letters}
        found = _find_in(known, raw)
        if found is not None:
            return _with_dead_letters(found)
        nearest = difflib.get_close_matches(raw, known, n=3, cutoff=0.6)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise NotFound(f"there is no dead-letter queue {unquote(raw)!r}{hint}", nearest=nearest)

    def check_rights(self, cluster: str) -> None:
        """Raise ReadOnly unless the configuration gives the right to redrive."""
        configured = self._clusters.get(cluster)
        if configured is None or configured.redrive is None:
            raise ReadOnly(f"{cluster} is read-only: its configuration has no `redrive` section", cluster=cluster)

    def within(self, seconds: float) -> float:
        """Return the deadline of a call that may take so long."""
        return self._clock.monotonic() + seconds


def _find_in(known: Mapping[str, DeadLetterQueue], raw: str) -> DeadLetterQueue | None:
    for candidate in (raw, unquote(raw)):
        if candidate in known:
            return known[candidate]
    plain = [it for it in known.values() if unquote(it.id) == unquote(unquote(raw))]
    return plain[0] if len(plain) == 1 else None


def _with_dead_letters(queue: DeadLetterQueue) -> DeadLetterQueue:
    """Return the queue. Raises Conflict for a source, in which messages are that somebody works on."""
    if queue.holds_dead_letters:
        return queue
    wrong = ", ".join(problem.replace("_", " ") for problem in queue.problems)
    raise Conflict(f"{unquote(queue.id)} holds no dead letters: it is listed for its set-up alone ({wrong})")


@contextmanager
def broker_errors() -> Iterator[None]:
    """Turn what a broker refuses into an answer of the API."""
    try:
        yield
    except BrokerError as error:
        raise BrokerFailed(str(error), reason=error.reason) from error
