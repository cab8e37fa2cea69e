"""A process that watches three clusters which never answer, and ends on SIGTERM. Usage: hanging_monitor HOST:PORT."""

import signal
import sys
import threading

from monitor.analysis.assessment import Rules
from monitor.clock import Clock
from monitor.collecting.schedule import Schedule
from monitor.collecting.store import Store
from monitor.config import Cluster
from tests.integration.collecting.sockets import ReadingCollector, cluster


class NeverClosed(ReadingCollector):
    """Neither ends its read nor comes back from `close`."""

    def close(self) -> None:
        threading.Event().wait()


def _open(section: Cluster) -> ReadingCollector:
    kinds = {"well-behaved": ReadingCollector, "never-closed": NeverClosed}
    return kinds[section.name](section) if section.name in kinds else ReadingCollector(section, deaf=True)


def main() -> None:
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: ended.set())
    clusters = [cluster(name, sys.argv[1], deadline=60.0) for name in ("well-behaved", "deaf", "never-closed")]
    store = Store(clusters, Clock())
    schedule = Schedule(clusters, _open, store, lambda it: Rules.of(it.interval), Clock())
    schedule.start()
    ended.wait()
    schedule.stop()


if __name__ == "__main__":
    main()
