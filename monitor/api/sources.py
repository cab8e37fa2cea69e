"""What the API answers from."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from monitor.clock import Clock
from monitor.exposition.page import Page
from monitor.model import ClusterView, Mute

PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True)
class Sources:
    """The present state, by functions that return at once.

    `views` gives the latest view of every cluster, `page` the metrics, `series` how many of them are a cluster's,
    `mute_of` the mute that holds for an id.
    """

    views: Callable[[], Iterable[ClusterView]]
    page: Callable[[], Page]
    series: Callable[[str], int | None]
    clock: Clock
    mute_of: Callable[[str], Mute | None] = lambda _: None
