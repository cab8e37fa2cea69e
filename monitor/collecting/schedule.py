"""When each cluster is read: one job a cluster on its own interval, and none waits for another."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, JobSubmissionEvent
from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.job import Job
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from monitor.analysis.assessment import Rules
from monitor.clock import Clock
from monitor.collecting.store import Store
from monitor.collecting.watch import Opener, ReadBy, Watch
from monitor.config import Cluster

_SLOWEST_PULSE_SECONDS = 1.0
_PULSES_PER_INTERVAL = 4

_QUIET = logging.getLogger(f"{__name__}.apscheduler")
_QUIET.setLevel(logging.ERROR)  # a skipped run is counted and shown; a line for each would fill the log


class DaemonThreads(BaseExecutor):  # type: ignore[misc]
    """An executor with a daemon thread a run: the library's own pools are joined at exit, without a bound."""

    def start(self, scheduler: Any, alias: str) -> None:
        """Be started by the scheduler."""
        super().start(scheduler, alias)
        self._logger = _QUIET

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        threading.Thread(target=self._run, args=(job, run_times), name=f"run {job.id}", daemon=True).start()

    def _run(self, job: Job, run_times: list[datetime]) -> None:
        self._run_job_success(job.id, run_job(job, job._jobstore_alias, run_times, self._logger.name))


class Schedule:
    """Reads every cluster on its interval, the first time at once, and never twice at the same time.

    `open_collector` makes a collector for a cluster; it is called at the first cycle and again whenever a collector had
    to be closed. `rules` gives the rules by which a cluster is judged. Clusters that `read_by` says another monitor
    reads are left to it.
    """

    def __init__(
        self,
        clusters: Sequence[Cluster],
        open_collector: Opener,
        store: Store,
        rules: Callable[[Cluster], Rules],
        clock: Clock,
        read_by: ReadBy = lambda _: None,
    ) -> None:
        self._store, self._clock = store, clock
        self._watch = partial(
            Watch, open_collector=open_collector, store=store, rules=rules, clock=clock, read_by=read_by
        )
        self._clusters = {cluster.name: cluster for cluster in clusters}
        self._watches: Mapping[str, Watch] = {name: self._watch(cluster) for name, cluster in self._clusters.items()}
        self._scheduler = BackgroundScheduler(
            executors={"default": DaemonThreads()}, logger=_QUIET, timezone=UTC, daemon=True
        )
        self._scheduler.add_listener(self._skip, EVENT_JOB_MAX_INSTANCES)
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin all first cycles and return."""
        for cluster in self._clusters.values():
            self._begin(cluster)
        self._scheduler.start()
        threading.Thread(target=self._beat, name="pulse", daemon=True).start()

    def replace(self, clusters: Sequence[Cluster], anew: Callable[[Cluster], bool]) -> None:
        """Read these clusters from now on.

        Those whose sections are as before go on undisturbed, judged by the rules of now, unless `anew` says that they
        need another collector. To be called after the store has them.
        """
        before, watches = self._clusters, dict(self._watches)
        self._clusters = {cluster.name: cluster for cluster in clusters}
        changed = [it for it in clusters if before.get(it.name) != it or anew(it)]
        ended = {*(before.keys() - self._clusters.keys()), *(it.name for it in changed if it.name in before)}
        for name in ended:
            self._scheduler.remove_job(name)
            watches.pop(name).stop()
        for watch in watches.values():
            watch.judge_anew()
        self._watches = {**watches, **{cluster.name: self._watch(cluster) for cluster in changed}}
        for cluster in changed:
            self._begin(cluster)

    def _begin(self, cluster: Cluster) -> None:
        self._scheduler.add_job(
            self._watches[cluster.name].run,
            IntervalTrigger(seconds=cluster.interval, timezone=UTC),
            id=cluster.name,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,  # late is better than not at all, and counted by the watch
            next_run_time=datetime.now(UTC),
        )

    def stop(self, within: float = 2.0) -> None:
        """End all cycles, also those that hang, and close all collectors; wait `within` seconds at most for that.

        May come twice.
        """
        self._stopped.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        closings = [watch.stop() for watch in self._watches.values()]
        until = self._clock.monotonic() + within
        for closing in filter(None, closings):
            closing.join(max(0.0, until - self._clock.monotonic()))

    def _skip(self, event: JobSubmissionEvent) -> None:
        watch = self._watches.get(event.job_id)
        if watch:  # a cluster that the configuration has just let go of may have been due
            watch.skip()

    def _beat(self) -> None:
        """Do what must be done by time alone, also when every cycle hangs."""
        while not self._stopped.wait(self._pulse_seconds()):
            self._store.expire()
            for name, watch in self._watches.items():
                # The scheduler waits by the wall clock: set back an hour, it would not come again for an hour.
                if watch.overdue():
                    self._hurry(name)

    def _pulse_seconds(self) -> float:
        shortest = min((cluster.interval for cluster in self._clusters.values()), default=_SLOWEST_PULSE_SECONDS)
        return min(_SLOWEST_PULSE_SECONDS, shortest / _PULSES_PER_INTERVAL)

    def _hurry(self, name: str) -> None:
        with suppress(JobLookupError):  # the scheduler was shut down since the last look
            self._scheduler.modify_job(name, next_run_time=datetime.now(UTC))
