"""What a redrive job is: its states, and the counts that add up.

A *plan* says what would be moved, where to and with which guarantee, before anything is touched. A *job* carries out
one plan. An *item* is one dead letter of a job; it has exactly one final outcome.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum

from monitor.letters import Outcome


class JobState(StrEnum):
    """Where a job stands."""

    PLANNED = "planned"
    AWAITING_APPROVAL = "awaiting_approval"
    SCHEDULED = "scheduled"
    CANARY = "canary"
    RUNNING = "running"
    PAUSED = "paused"
    VERIFYING = "verifying"
    COMPLETED = "completed"
    COMPLETED_WITH_FAILURES = "completed_with_failures"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    RECOVERING = "recovering"


FINAL_STATES = frozenset({JobState.COMPLETED, JobState.COMPLETED_WITH_FAILURES, JobState.CANCELLED, JobState.FAILED})


@dataclass(frozen=True, slots=True)
class Counts:
    """How many items have which outcome. `planned` is the sum of all others; a bounced item has left `sent`."""

    planned: int = 0
    sent: int = 0
    skipped: int = 0
    failed: int = 0
    expired: int = 0
    bounced: int = 0
    ambiguous: int = 0
    left: int = 0

    def plus(self, outcome: Outcome, number: int = 1) -> "Counts":
        """Return the counts after `number` untouched items got an outcome."""
        values = asdict(self)
        values[outcome.value] += number
        values["left"] -= number
        return Counts(**values)
