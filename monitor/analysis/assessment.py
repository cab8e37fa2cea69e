"""What a snapshot means, in the light of those before it."""

from dataclasses import dataclass
from typing import Self

from monitor.model import Snapshot, Status, Verdict


@dataclass(frozen=True, slots=True)
class Rules:
    """By what a cluster is judged. `interval` is the seconds between two snapshots."""

    interval: float


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What is remembered of the snapshots before."""

    def with_new_collector(self) -> Self:
        """Return the history for a collector that numbers its parts anew."""
        return self


def assess(snapshot: Snapshot, history: History | None, rules: Rules, at: float) -> tuple[tuple[Verdict, ...], History]:
    """Judge every subscription of a snapshot that was begun at the moment `at` of the clock that never jumps."""
    verdicts = tuple(
        Verdict(Status.UNKNOWN, "this is the first look", snapshot.taken_at) for _ in snapshot.subscriptions
    )
    return verdicts, history or History()
