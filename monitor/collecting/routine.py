"""Work that is done again and again beside the cycles, in a thread of its own: what fails there costs only itself."""

import threading
from collections.abc import Callable, Mapping

from monitor.clock import Clock
from monitor.collecting.outcome import OutcomeLog, attempt


class Routine:
    """Does some jobs one after the other, every `seconds`, and once more when it is stopped.

    `jobs` are by name. What one raises is logged and keeps no other from being done.
    """

    def __init__(self, seconds: float, jobs: Mapping[str, Callable[[], object]], clock: Clock) -> None:
        self._seconds = seconds
        self._jobs = [(job, OutcomeLog(name, clock)) for name, job in jobs.items()]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="routine", daemon=True)

    def start(self) -> None:
        """Begin, and return; the jobs are done for the first time when `seconds` have passed."""
        self._thread.start()

    def stop(self, within: float) -> None:
        """Do the jobs for the last time; wait `within` seconds at most for that. May come twice."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(within)

    def run_once(self) -> None:
        """Do all jobs now."""
        for job, log in self._jobs:
            log.record(attempt(job).error)

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            self.run_once()
        self.run_once()
