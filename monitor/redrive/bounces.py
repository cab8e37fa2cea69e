"""Whether what a job sends comes back as dead letters: seen where looking does no harm, else from arrivals."""

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from monitor.clock import Clock
from monitor.errors import BrokerError
from monitor.letters import Action, CountsAll, CountsWaiting, Mover, RedriveBus, SeesBounces
from monitor.redrive.journal import Journal, StoredJob
from monitor.redrive.journaled import JournaledMover
from monitor.redrive.model import Counts
from monitor.redrive.surroundings import Surroundings

_LOOK_EVERY_SECONDS = 0.5
_LOOK_SECONDS = 5.0
_COUNT_EVERY_SECONDS = 3.0  # a connection each time
_FEWEST, _SHARE = 10, 0.2


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many came back (`bounced`), and how many may have (`doubtful`), of so many sent."""

    bounced: int
    doubtful: int
    sent: int

    @property
    def is_bad(self) -> bool:
        """Say whether so many came back that it makes no sense to go on."""
        number = self.bounced + self.doubtful
        return number >= _FEWEST and number > _SHARE * self.sent

    def is_bad_canary(self, first: int) -> bool:
        """Say the same of the first messages, of which few prove much."""
        return self.bounced + self.doubtful > _SHARE * first

    def tell(self) -> str:
        """Return it for people."""
        if not self.doubtful:
            return f"{self.bounced} of {self.sent} messages came back as dead letters"
        return (
            f"of {self.sent} messages {self.bounced} came back as dead letters, and {self.doubtful} more dead letters "
            "arrived that may be of them"
        )


class Arrivals:
    """Counts the dead letters that came in, by a number that only ever rises with each. One thread uses it.

    Where the broker tells what waits, it is what waits, is in the hand, or has gone; where it tells so late, what has
    gone by then, so that it is rather too few than too many; elsewhere the collector's count.
    """

    def __init__(
        self, job: StoredJob, plan: Mapping[str, Any], bus: RedriveBus, mover: Mover, around: Surroundings, clock: Clock
    ) -> None:
        self._job, self._plan, self._bus, self._mover, self._around, self._clock = job, plan, bus, mover, around, clock
        self._gone: deque[tuple[float, int]] = deque()  # how many had gone when, as far back as it matters
        self.is_settled = True  # all that had gone at the last count was in it

    def count(self, counts: Counts) -> float | None:
        """Return the number, None where nobody knows it."""
        if self._job.action != Action.REDRIVE:
            return None
        # What cannot be asked now is not known: it is no reason to interrupt a job that sends.
        with suppress(BrokerError):
            if isinstance(self._bus, CountsWaiting):
                return self._ask(self._bus, counts)
            if isinstance(self._bus, CountsAll) and isinstance(self._mover, JournaledMover):
                return self._ask_late(self._bus, counts)
            return self._around.count_arrivals(self._plan)
        return None

    def _ask(self, bus: CountsWaiting, counts: Counts) -> float:
        still_there = self._mover.still_there if isinstance(self._mover, JournaledMover) else 0
        waiting = bus.count_waiting(self._plan["bounds"], self._clock.monotonic() + _LOOK_SECONDS)
        return waiting + still_there + counts.sent + counts.bounced

    def _ask_late(self, bus: CountsAll, counts: Counts) -> float:
        now, all_gone = self._clock.monotonic(), counts.sent + counts.bounced
        there = bus.count_all(str(self._plan["source"]), now + _LOOK_SECONDS)
        self._gone.append((now, all_gone))
        while len(self._gone) > 1 and self._gone[1][0] <= now - bus.counts_late_seconds:
            self._gone.popleft()
        at, gone = self._gone[0]
        gone = gone if at <= now - bus.counts_late_seconds else 0
        self.is_settled = gone == all_gone
        return there + gone

    @property
    def is_prompt(self) -> bool:
        """Say whether the broker itself is asked, and counts at once."""
        if isinstance(self._bus, CountsAll):
            return self._bus.counts_late_seconds == 0 and isinstance(self._mover, JournaledMover)
        return isinstance(self._bus, CountsWaiting)

    def begin(self) -> float | None:
        """Return the number before anything is sent; what somebody looks at just now waits, too."""
        number = self.count(Counts())
        if number is not None and isinstance(self._bus, CountsWaiting | CountsAll):
            return max(number, float(self._plan["bounds"]["count"]))
        return number


class BounceWatch:
    """Watches one job. One thread uses it."""

    def __init__(self, job: StoredJob, mover: Mover, arrivals: Arrivals, journal: Journal, clock: Clock) -> None:
        self._job, self._mover, self._arrivals, self._journal, self._clock = job, mover, arrivals, journal, clock
        self._looked_at = self._counted_at = float("-inf")
        self._before = job.arrivals_before
        self._doubtful = job.may_have_bounced or 0
        looker = mover.held if isinstance(mover, JournaledMover) else mover
        self.sees = isinstance(looker, SeesBounces)

    def begin(self) -> float | None:
        """Return how many dead letters had come in before the job, which is what later ones are compared with."""
        self._before = None if self.sees else self._arrivals.begin()
        return self._before

    def go_on(self, counts: Counts) -> None:
        """Compare with what is there after an interruption, if that is more.

        What a broker gives back after a crash, although it was removed, is no bounce.
        """
        if self._before is None or not self._arrivals.is_prompt:
            return
        now = self._arrivals.count(counts)
        if now is not None:
            self._before = max(self._before, now - counts.bounced - self._doubtful)

    @property
    def is_due(self) -> bool:
        """Say whether it is time to look again."""
        return self._clock.monotonic() - self._looked_at >= _LOOK_EVERY_SECONDS

    @property
    def can_tell(self) -> bool:
        """Say whether anything is known of what comes back."""
        return self.sees or (self._before is not None and self._arrivals.is_settled)

    @property
    def is_prompt(self) -> bool:
        """Say whether it is known at once, and not only after the next cycle of the collector."""
        return self.sees or (self._before is not None and self._arrivals.is_prompt)

    def find(self) -> list[str]:
        """Return the redrive ids of messages that came back since the last look."""
        self._looked_at = self._clock.monotonic()
        if not isinstance(self._mover, SeesBounces) or not self.sees:
            return []
        return list(self._mover.look_for_bounces(self._looked_at + _LOOK_SECONDS))

    def judge(self, counts: Counts, *, every: float = _COUNT_EVERY_SECONDS) -> Verdict:
        """Return how things stand, and keep how many may have come back, counted anew after `every` seconds."""
        if not self.sees and self._before is not None:
            self._count(counts, self._before, every)
        return Verdict(counts.bounced, self._doubtful, counts.sent + counts.bounced)

    def _count(self, counts: Counts, before: float, every: float) -> None:
        at = self._clock.monotonic()
        if at - self._counted_at < every:
            return
        self._counted_at = at
        now = self._arrivals.count(counts)
        if now is not None:
            doubtful = max(0, min(counts.sent, int(now - before) - counts.bounced))
            if doubtful != self._doubtful:
                self._doubtful = doubtful
                self._journal.update_job(self._job.id, may_have_bounced=doubtful)
