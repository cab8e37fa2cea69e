"""The cycles of one cluster: begun one at a time, bounded by a deadline, given up where they hang."""

import threading
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import replace
from math import floor
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from monitor.analysis.assessment import History, Rules, assess
from monitor.clock import Clock
from monitor.collecting.outcome import Outcome, OutcomeLog, as_collection_error, attempt
from monitor.collecting.store import Store
from monitor.config import Cluster
from monitor.errors import BrokerError, TimedOut
from monitor.logs import about
from monitor.model import Snapshot, Verdict

if TYPE_CHECKING:  # the registry imports every client library, and nothing in here needs one
    from monitor.brokers.registry import Collector

Value = TypeVar("Value")
Judged = tuple[Snapshot, tuple[Verdict, ...], History]
Opener = Callable[[Cluster], "Collector"]
ReadBy = Callable[[str], str | None]
"""Gives the address of the monitor that reads a cluster, empty while none is known to; None when this one does."""

_ASKED_SHARE = 0.8
"""The share of the deadline that a collector is told: it then has time left to hand over what it got."""

_GIVEN_UP_SHARE = 0.95
"""The share of the deadline after which a cycle is given up. By default the deadline is the interval: a cycle that was
given up exactly then would cost the next run as well, which is due at that moment."""

_OVERDUE_INTERVALS = 2.0


def _by_this_one(cluster: str) -> str | None:
    return None


class Errand(Generic[Value]):
    """Work in a daemon thread of its own, which may never come back. `bell` is rung when it does."""

    def __init__(self, name: str, work: Callable[[], Value], bell: threading.Event) -> None:
        self.outcome: Outcome[Value] | None = None
        self.back = False
        self._work, self._bell = work, bell
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), name=name, daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait until the work is back, `seconds` at most."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self.outcome = attempt(self._work)
        except SystemExit:  # asks for the end of this thread, which is what follows
            self.outcome = Outcome(None, RuntimeError("the work ended its thread"))
        finally:
            self.back = True
            self._bell.set()


class Visit:
    """One cycle. Its result is taken only by whoever still waits for it, so that a late one changes nothing.

    `rules` are asked for in the cycle, since they may have to be read.
    """

    def __init__(
        self,
        section: Cluster,
        collector: "Collector | None",
        history: History | None,
        rules: Callable[[], Rules],
        clock: Clock,
    ) -> None:
        self.collector = collector
        self._section, self._history, self._rules, self._clock = section, history, rules, clock
        self._given_up = False

    def make(self, open_collector: Opener) -> Judged:
        """Open a collector if there is none, read everything once, and judge it."""
        begun_at = self._clock.monotonic()
        collector = self.collector or self._opened(open_collector)
        snapshot = collector.collect(begun_at + _ASKED_SHARE * self._section.cycle_deadline)
        before, self._history = self._history, None  # let go with this call: it holds the columns of the last cycle
        verdicts, history = assess(snapshot, before, self._rules(), begun_at)
        return snapshot, verdicts, history

    def give_up(self) -> "Collector | None":
        """Want the result no longer; return what there is to close."""
        self._given_up = True
        return self.collector

    def _opened(self, open_collector: Opener) -> "Collector":
        self.collector = open_collector(self._section)
        if self._given_up:  # while it was being opened, when `give_up` had nothing to return yet
            self.collector.close()
            raise TimedOut("could not be opened in time", target=self._section.name)
        return self.collector


class Watch:
    """Everything that is under way for one cluster.

    `run` is called by the schedule, in a thread of this cluster and never twice at once; every other call may come from
    any thread and returns at once. A cycle that passes its deadline is given up: it counts as failed, its collector is
    closed and replaced, and `run` returns once at most one thread of this cluster is still out. So at most one is ever
    lost, and the next cycle waits for neither.
    """

    def __init__(
        self,
        section: Cluster,
        open_collector: Opener,
        store: Store,
        rules: Callable[[Cluster], Rules],
        clock: Clock,
        read_by: ReadBy = _by_this_one,
    ) -> None:
        self._section = section
        self._open, self._store, self._clock, self._read_by = open_collector, store, clock, read_by
        self._find_rules = rules
        self._rules: Rules | None = None
        self._log = OutcomeLog(f"cluster {section.name}", clock)
        self._cycles = 0
        self._bell = threading.Event()
        self._stopping = False
        self._collector: Collector | None = None
        self._history: History | None = None
        self._visit: Visit | None = None
        self._out: list[Errand[Any]] = []
        self._due_lock = threading.Lock()  # guards the two below: the scheduler's thread counts in them as well
        self._last_due_at: float | None = None
        self._missed = 0

    def run(self) -> None:
        """Make one cycle and score it; its events in the log are told by cluster and number."""
        self._cycles += 1
        with about(cluster=self._section.name, cycle=self._cycles):
            self._run()

    def _run(self) -> None:
        self._note_due(missed=False)
        self._tell_missed()
        elsewhere = self._read_by(self._section.name)
        if elsewhere is not None:
            self._leave(elsewhere)
            return
        begun_at = self._clock.monotonic()
        visit = self._visit = Visit(self._section, self._collector, self._history, self._rules_now, self._clock)
        if self._stopping:  # asked after the visit is known, since `stop` looks for it after it has said so
            return
        errand = self._send("cycle", lambda: visit.make(self._open))
        self._wait(lambda: errand.back, begun_at + _GIVEN_UP_SHARE * self._section.cycle_deadline)
        if self._stopping:
            return
        self._score(visit, errand, self._clock.monotonic() - begun_at)

    def judge_anew(self) -> None:
        """Have the next cycle judged by what the configuration says now."""
        if self._rules:
            # What was left by a process before has been taken over; what has been counted since is in the history.
            self._rules = replace(self._find_rules(self._section), left=self._rules.left)

    def skip(self) -> None:
        """Note that a run was due while the one before was still under way. It is told by that one's thread."""
        self._note_due(missed=True)
        self._bell.set()

    def overdue(self) -> bool:
        """Say whether the scheduler should have called again by now, by the clock that never jumps."""
        with self._due_lock:
            last = self._last_due_at
        return last is not None and self._clock.monotonic() - last > _OVERDUE_INTERVALS * self._section.interval

    def stop(self) -> Errand[None] | None:
        """End `run` now, wherever it is, and begin to close the collector. Returns the closing, if there is any."""
        self._stopping = True
        self._bell.set()
        collector = (self._visit.give_up() if self._visit else None) or self._collector
        return Errand(f"close {self._section.name}", collector.close, self._bell) if collector else None

    def _rules_now(self) -> Rules:
        if self._rules is None:
            self._rules = self._find_rules(self._section)
        return self._rules

    def _leave(self, elsewhere: str) -> None:
        """Leave the cluster to the monitor at this address, and begin anew if it ever comes back."""
        collector, self._collector = self._collector, None
        self._history = self._rules = None
        if collector:
            self._send("close", collector.close)
        self._store.leave(self._section.name, elsewhere)

    def _score(self, visit: Visit, errand: Errand[Judged], seconds: float) -> None:
        late = TimedOut(f"no answer in {seconds:.3g} s", target=self._section.name)
        outcome = errand.outcome or Outcome(None, late)
        self._log.record(outcome.error)
        if outcome.value is not None:
            snapshot, verdicts, self._history = outcome.value
            self._collector = visit.collector
            self._store.succeed(self._section.name, snapshot, verdicts, seconds)
            return
        error = outcome.error or late
        self._store.fail(self._section.name, as_collection_error(error, self._section.name), seconds)
        if isinstance(error, BrokerError) and errand.back:
            self._collector = visit.collector
        else:
            self._replace_collector(visit)

    def _replace_collector(self, visit: Visit) -> None:
        """Close a collector that hangs, or that failed in a way nobody foresaw and may be in any state."""
        self._collector = None
        self._history = self._history and self._history.with_new_collector()
        collector = visit.give_up()
        if collector:
            self._send("close", collector.close)
        self._wait(lambda: len(self._still_out()) <= 1, None)

    def _send(self, what: str, work: Callable[[], Value]) -> Errand[Value]:
        errand = Errand(f"{what} {self._section.name}", work, self._bell)
        self._out = [*self._still_out(), errand]
        return errand

    def _still_out(self) -> list[Errand[Any]]:
        return [errand for errand in self._out if not errand.back]

    def _wait(self, done: Callable[[], bool], until: float | None) -> None:
        """Wait until `done`, until the moment `until`, or until the watch is stopped; tell missed runs meanwhile."""
        while not (done() or self._stopping):
            left = None if until is None else until - self._clock.monotonic()
            if left is not None and left <= 0:
                return
            self._bell.wait(left)
            self._bell.clear()  # before the next look, so that what happens after it rings again
            self._tell_missed()

    def _note_due(self, *, missed: bool) -> None:
        """Count the runs that were due since the last call: more than one if the scheduler itself came late."""
        now, interval = self._clock.monotonic(), self._section.interval
        with self._due_lock:
            due = 1
            if self._last_due_at is None:
                self._last_due_at = now
            else:
                due = max(1, floor((now - self._last_due_at) / interval))
                # Kept on the scheduler's grid, but never off by more than one interval: that grid is wall-clock time.
                self._last_due_at = max(min(self._last_due_at + due * interval, now), now - interval)
            self._missed += due if missed else due - 1

    def _tell_missed(self) -> None:
        with self._due_lock:
            missed, self._missed = self._missed, 0
        if missed:
            self._store.miss(self._section.name, missed)
