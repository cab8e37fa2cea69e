"""The page that `/metrics` serves: assembled at the end of a cycle, served as it lies."""

import logging
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import monitor
from monitor.exposition.choice import EVERYTHING, Choice
from monitor.exposition.families import FAMILIES, Family
from monitor.exposition.gzipping import Piece, as_gzip, concatenate, deflate
from monitor.exposition.own import OwnMetrics
from monitor.exposition.render import NOTHING_FURTHER, ClusterText, render_cluster
from monitor.exposition.text import encode, header
from monitor.model import ClusterView, Table

_LOG = logging.getLogger(__name__)
_GZIP = zlib.MAX_WBITS | 16
_INFLATED_AT_ONCE = 1 << 18
_DEFLATED_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True)
class Page:
    """The text of all metrics at one moment.

    `gzip` is the body for a client that accepts it, `size` the length in bytes of the plain one.

    Only the compressed body lies in memory: of a million samples the plain one takes 100 MB, and Prometheus, which
    asks for gzip, never wants it.
    """

    gzip: bytes
    size: int

    @property
    def plain(self) -> bytes:
        """The whole plain body."""
        return zlib.decompress(self.gzip, _GZIP)

    def read_plain(self) -> Iterator[bytes]:
        """Yield the plain body in pieces of at most 256 KB, so that a large one need not be in memory at once."""
        inflater = zlib.decompressobj(_GZIP)
        for start in range(0, len(self.gzip), _DEFLATED_AT_ONCE):
            # In slices, since what one call leaves over is copied for the next.
            rest = self.gzip[start : start + _DEFLATED_AT_ONCE]
            while rest:
                yield inflater.decompress(rest, _INFLATED_AT_ONCE)
                rest = inflater.unconsumed_tail
        yield inflater.flush()


class MetricsPage:
    """Keeps the page up to date. `update` comes from the threads of the collectors, `page` from those of the server.

    `further` gives the tables of what is known of a cluster beside its view, `choice_of` says what of it all is shown.
    """

    def __init__(
        self,
        version: str = monitor.__version__,
        further: Callable[[ClusterView], Mapping[str, Table]] = lambda _: NOTHING_FURTHER,
        choice_of: Callable[[str], Choice] = lambda _: EVERYTHING,
    ) -> None:
        self._own, self._further, self._choice_of = OwnMetrics(version), further, choice_of
        self._lock = threading.Lock()
        self._texts: Mapping[str, ClusterText] = {}
        self._page = self._assemble()

    def update(self, view: ClusterView, *, cycle_ended: bool) -> None:
        """Take over what is known of a cluster now.

        To be called once before the first cycle and whenever the view changes; `cycle_ended` says that the change is
        the outcome of a cycle, whose duration is then counted. One call a cluster at a time; calls for different
        clusters may overlap, and only putting the page together waits.
        """
        before = self._texts.get(view.health.cluster)
        text = render_cluster(view, before, self._further(view), self._choice_of(view.health.cluster))
        for mistake in text.mistakes - (before.mistakes if before else frozenset()):
            _LOG.error("cluster %s: %s", text.cluster, mistake)
        with self._lock:
            if cycle_ended:
                self._own.observe_cycle(view.health)
            self._texts = dict(sorted({**self._texts, text.cluster: text}.items()))
            self._page = self._assemble()

    def forget(self, cluster: str, kind: str) -> None:
        """Take every series of a cluster off the page: it is not read here any more."""
        with self._lock:
            self._own.forget_cycles(cluster, kind)
            self._texts = {name: text for name, text in self._texts.items() if name != cluster}
            self._page = self._assemble()

    def count_history_failure(self) -> None:
        """Count a minute whose history could not be written; the page tells it from its next update on."""
        self._own.count_history_failure()

    def tell_reload(self, *, successful: bool, at: float) -> None:
        """Take over how reading the configuration has gone the last time; the page tells it at once."""
        with self._lock:
            self._own.tell_reload(successful=successful, at=at)
            self._page = self._assemble()

    def tell_jobs(self, states: Mapping[str, int]) -> None:
        """Take over how many redrive jobs are in each state; the page tells it from its next update on."""
        self._own.tell_jobs(states)

    def page(self) -> Page:
        """Return the page as it lies; never waits."""
        return self._page

    def series(self, cluster: str) -> int | None:
        """Return how many series the page has of a cluster; None for one that it does not know."""
        text = self._texts.get(cluster)
        return text.samples if text else None

    def dropped(self, cluster: str) -> int | None:
        """Return how many series of a cluster the page leaves out by its limit; None for one that it does not know."""
        text = self._texts.get(cluster)
        return text.dropped if text else None

    def _assemble(self) -> Page:
        pieces = [deflate(self._own.text())]
        for family in FAMILIES:
            blocks = [text.blocks[family.name].piece for text in self._texts.values() if family.name in text.blocks]
            if blocks:
                pieces += [_header_piece(family), *blocks]
        whole = concatenate([*pieces, _END])
        return Page(as_gzip(whole), whole.size)


_END = deflate(b"\n")


@cache
def _header_piece(family: Family) -> Piece:
    return deflate(encode(header(family)))
