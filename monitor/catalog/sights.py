"""What is seen of a cluster, as far as a catalog speaks of it: destinations and who reads them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from monitor.catalog.model import Place
from monitor.letters import GROUP_PREFIX
from monitor.model import ClusterView, Role, Subscription

_OWN = "eventflow."
_INTERNAL = "__"


@dataclass(frozen=True, slots=True)
class Sight:
    """One cluster: who reads each of its destinations, these in order, and what dead letters and retries lie in."""

    cluster: str
    kind: str
    readers: Mapping[str, Sequence[Subscription]]
    aside: frozenset[str]

    def covered_by(self, place: Place) -> list[str]:
        """Return the destinations that are meant by a place of the catalog."""
        if place.pattern:
            return [it for it in dict.fromkeys(chain(self.readers, self.aside)) if place.covers(it)]
        return [place.destination] if place.destination in self.readers or place.destination in self.aside else []

    def is_aside(self, destination: str) -> bool:
        """Say whether a destination holds dead letters or waits for a retry."""
        return destination in self.aside


def look_at(view: ClusterView) -> Sight | None:
    """Return what is seen of a cluster; None while nothing is known of it."""
    snapshot = view.snapshot
    if snapshot is None:
        return None
    aside = {it.queue for it in snapshot.dead_letters if it.holds_dead_letters}
    aside |= {it.destination for it in snapshot.subscriptions if it.role is not Role.WORK}
    topics = snapshot.tables.get("topics")
    named = [label for label in (topics.labels if topics else ()) if label.name == "topic"]
    seen = {*(it.destination for it in snapshot.subscriptions), *(name for label in named for name in label.values)}
    readers: dict[str, list[Subscription]] = {it: [] for it in sorted(seen) if not it.startswith((_OWN, _INTERNAL))}
    for subscription in snapshot.subscriptions:
        if subscription.destination in readers and not subscription.subscriber.startswith(GROUP_PREFIX):
            readers[subscription.destination].append(subscription)
    return Sight(view.health.cluster, view.health.kind, readers, frozenset(aside))
