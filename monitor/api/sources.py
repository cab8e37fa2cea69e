"""What the API answers from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from monitor.clock import Clock
from monitor.exposition.page import Page
from monitor.model import ClusterView, Mute

PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True)
class Sources:
    """The present state, by functions that return at once.

    `views` gives the latest view of every cluster, `page` the metrics, `series` how many of them are a cluster's,
    `mute_of` the mute that holds for an id, `dropped` how many series of a cluster are left out by its limit.
    """

    views: Callable[[], Sequence[ClusterView]]
    page: Callable[[], Page]
    series: Callable[[str], int | None]
    clock: Clock
    mute_of: Callable[[str], Mute | None] = lambda _: None
    dropped: Callable[[str], int | None] = lambda _: None
