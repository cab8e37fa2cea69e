"""What keeps services going: an end that everybody hears of, patience with brokers that are away, a few log lines."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from examples.event_flow.buses.base import BusAway
from examples.event_flow.outcomes import Outcome, Tally

log = logging.getLogger("event_flow")

_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 15.0
_REPORT_INTERVAL_SECONDS = 60.0
_JOIN_SECONDS = 3.0  # altogether; a thread that hangs in a call to a frozen broker is left behind as a daemon


class Stop:
    """The wish to end, with its time."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._since = 0.0

    def request(self) -> None:
        """Ask everybody to end; asking twice changes nothing."""
        if not self._event.is_set():
            self._since = time.monotonic()
            self._event.set()

    @property
    def requested(self) -> bool:
        """Whether it is time to end."""
        return self._event.is_set()

    def overdue(self, grace_seconds: float) -> bool:
        """Say whether the end was asked for, and more than the grace has passed since."""
        return self.requested and time.monotonic() - self._since > grace_seconds

    def pause(self, seconds: float) -> bool:
        """Wait, but no longer than to the end; False says that it has come."""
        return not self._event.wait(seconds)


class Contact:
    """Logs when a bus goes away and when it is back, and nothing in between."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._lost_at: float | None = None
        self.failures = 0

    def made(self) -> None:
        """Note that the bus answers."""
        if self._lost_at is not None:
            log.info("%s: the bus is back after %.0f s", self._worker, time.monotonic() - self._lost_at)
        self._lost_at, self.failures = None, 0

    def lost(self, reason: object) -> None:
        """Note that the bus does not answer, or not as it should."""
        if self._lost_at is None:
            log.warning("%s: the bus is away (%s); trying again", self._worker, reason)
            self._lost_at = time.monotonic()
        self.failures += 1


def keep_connected(worker: str, session: Callable[[Contact], None], stop: Stop, rng: Random) -> None:
    """Run `session` until it ends by itself or the end is asked for; begin again, after a while, if the bus goes away.

    The waits double with each failure in a row, up to 15 s, less a random part, so that a broker that comes back is not
    met by all its clients at once.
    """
    contact = Contact(worker)
    while not stop.requested:
        try:
            session(contact)
            return
        except BusAway as away:
            contact.lost(away)
            longest = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0 ** min(contact.failures - 1, 10))
            stop.pause(longest * rng.uniform(0.5, 1.0))


@dataclass(frozen=True, slots=True)
class Worker:
    """One thread of a service. `events_per_order` is what a consumer gets for each purchase, 0 for others."""

    name: str
    run: Callable[[], None]
    events_per_order: int = 0


class Crew:
    """The threads of a process: starts them, notices when one breaks down, and sees them off."""

    def __init__(self, workers: Sequence[Worker], stop: Stop, tally: Tally) -> None:
        self._workers, self._stop, self._tally = workers, stop, tally
        self._threads = [threading.Thread(target=self._run, args=(w,), name=w.name, daemon=True) for w in workers]
        self._broken = False
        self._reported: Counter[tuple[str, Outcome]] = Counter()

    def _run(self, worker: Worker) -> None:
        broken = True
        try:
            worker.run()
            broken = False
        finally:
            if broken:  # the traceback goes the way of every uncaught exception
                self._broken = True
                self._stop.request()

    def start(self) -> None:
        """Start all threads."""
        for thread in self._threads:
            thread.start()

    def wait(self, finished: Callable[[], bool]) -> None:
        """Wait until the end is asked for, all threads have ended, or `finished` says so; report once a minute."""
        next_report = time.monotonic() + _REPORT_INTERVAL_SECONDS
        while self._stop.pause(0.2) and any(thread.is_alive() for thread in self._threads) and not finished():
            if time.monotonic() >= next_report:
                self.report()
                next_report += _REPORT_INTERVAL_SECONDS

    def all_settled(self, orders: int) -> bool:
        """Say whether each consumer has done with what that many orders give it."""
        return all(self._tally.settled(w.name) >= w.events_per_order * orders for w in self._workers)

    def end(self) -> bool:
        """End all threads in good order; say whether none of them has broken down."""
        self._stop.request()
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        late = [thread.name for thread in self._threads if thread.is_alive()]
        if late:
            log.warning("left behind, waiting for a bus that does not answer: %s", ", ".join(late))
        self.report()
        return not self._broken

    def report(self) -> None:
        """Log what has happened since the last report, a line for each service that did anything."""
        counts = self._tally.copy()
        news = counts - self._reported
        self._reported = counts
        for service in dict.fromkeys(worker.name.partition("/")[0] for worker in self._workers):
            mine = sorted(
                (name.partition("/")[2], outcome, n)
                for (name, outcome), n in news.items()
                if name.partition("/")[0] == service
            )
            if mine:
                log.info("%s: %s", service, ", ".join(f"{bus} {n} {outcome}" for bus, outcome, n in mine))
