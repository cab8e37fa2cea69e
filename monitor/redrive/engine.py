"""Runs the jobs: one thread each, taken up by itself at the start of the monitor and after every interruption.

A job belongs to the server. What people want of it (run, pause, cancel, another rate) stands in the database, so that
any monitor that shares it can be asked.
"""

import threading
from contextlib import suppress

from monitor.errors import StorageError
from monitor.redrive.journal import StoredJob
from monitor.redrive.model import JobState
from monitor.redrive.runner import Means, Runner

_LOOK_FOR_JOBS_SECONDS = 1.0


class Engine:
    """All jobs of the monitor."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._runners: dict[str, Runner] = {}
        self._lock = threading.Lock()
        self._supervisor = threading.Thread(target=self._supervise, name="redrive", daemon=True)

    def start(self) -> None:
        """Take up what is unfinished, and whatever comes."""
        self._supervisor.start()

    def stop(self, seconds: float) -> None:
        """Let every job come to a clean halt, if it does in time; the next start goes on with them either way."""
        clock = self._means.clock
        until = clock.monotonic() + seconds
        self._stopping.set()
        self.wake()
        with self._lock:
            runners = list(self._runners.values())
        for runner in runners:
            runner.join(max(0.0, until - clock.monotonic()))
        self._means.claims.close()

    def wake(self) -> None:
        """Look for new jobs, and at what is wanted of the running ones, now."""
        self._wake.set()
        with self._lock:
            for runner in self._runners.values():
                runner.wake.set()

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            with suppress(StorageError):
                for job in self._means.stores.journal.unfinished():
                    if job.state != JobState.AWAITING_APPROVAL:
                        self._take_up(job)
            self._wake.wait(_LOOK_FOR_JOBS_SECONDS)
            self._wake.clear()

    def _take_up(self, job: StoredJob) -> None:
        with self._lock:
            known = self._runners.get(job.id)
            if known is not None and known.is_alive():
                return
            if self._stopping.is_set() or not self._means.claims.take(job.id):
                return
            runner = Runner(job.id, self._means, self._stopping)
            self._runners[job.id] = runner
        runner.start()
