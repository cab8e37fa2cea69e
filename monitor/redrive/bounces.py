"""Whether what a job sends comes back as dead letters: seen where looking does no harm, else from arrivals."""

from dataclasses import dataclass

from monitor.clock import Clock
from monitor.letters import Action, Mover, SeesBounces
from monitor.redrive.journal import Journal, StoredJob
from monitor.redrive.journaled import JournaledMover
from monitor.redrive.model import Counts
from monitor.redrive.surroundings import Surroundings

_LOOK_EVERY_SECONDS = 0.5
_LOOK_SECONDS = 5.0
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


class BounceWatch:
    """Watches one job. One thread uses it."""

    def __init__(self, job: StoredJob, mover: Mover, journal: Journal, around: Surroundings, clock: Clock) -> None:
        self._job, self._mover, self._journal, self._around, self._clock = job, mover, journal, around, clock
        self._looked_at = float("-inf")
        self._doubtful = job.may_have_bounced or 0
        looker = mover.held if isinstance(mover, JournaledMover) else mover
        self.sees = isinstance(looker, SeesBounces)

    @property
    def is_due(self) -> bool:
        """Say whether it is time to look again."""
        return self._clock.monotonic() - self._looked_at >= _LOOK_EVERY_SECONDS

    @property
    def can_tell(self) -> bool:
        """Say whether anything is known of what comes back."""
        return self.sees or self._arrivals() is not None

    def find(self) -> list[str]:
        """Return the redrive ids of messages that came back since the last look."""
        self._looked_at = self._clock.monotonic()
        if not isinstance(self._mover, SeesBounces) or not self.sees:
            return []
        return list(self._mover.look_for_bounces(self._looked_at + _LOOK_SECONDS))

    def judge(self, counts: Counts) -> Verdict:
        """Return how things stand, and keep how many may have come back."""
        arrivals = None if self.sees else self._arrivals()
        if arrivals is not None:
            doubtful = max(0, min(counts.sent, int(arrivals) - counts.bounced))
            if doubtful != self._doubtful:
                self._doubtful = doubtful
                self._journal.update_job(self._job.id, may_have_bounced=doubtful)
        return Verdict(counts.bounced, self._doubtful, counts.sent + counts.bounced)

    def _arrivals(self) -> float | None:
        if self._job.action != Action.REDRIVE or self._job.arrivals_before is None:
            return None
        now = self._around.count_arrivals(self._job.dead_letters)
        return None if now is None else now - self._job.arrivals_before
