"""What all jobs together have done, for the metrics: read from the journal, so it goes on after a restart."""

from collections import Counter
from collections.abc import Mapping, Sequence

from monitor.errors import StorageError
from monitor.letters import Outcome
from monitor.redrive.journal import Journal
from monitor.redrive.model import Counts, JobState

Way = tuple[str, str, str, str, str]
"""System, cluster, source, target, outcome."""


class Totals:
    """The sums over all jobs. While the database cannot be read they stay as they were. One thread a call."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._ways: dict[str, tuple[str, str, str, str]] = {}
        self._messages: dict[Way, int] = {}
        self._states: Mapping[str, int] = dict.fromkeys(JobState, 0)

    def read(self) -> None:
        """Take over what the journal has now."""
        try:
            tallies = self._journal.tallies()
            messages: Counter[Way] = Counter()
            for plan, _, counts in tallies:
                way = self._way(plan)
                messages.update({(*way, outcome): number for outcome, number in _events(counts).items()})
        except StorageError:
            return
        # An item whose outcome changes moves from one sum to another, and a counter must not fall.
        self._messages = {way: max(number, self._messages.get(way, 0)) for way, number in messages.items()}
        self._states = {**dict.fromkeys(JobState, 0), **Counter(state for _, state, _ in tallies)}

    def states(self) -> Mapping[str, int]:
        """Return how many jobs are in each state."""
        return self._states

    def messages(self, cluster: str) -> Sequence[tuple[Way, int]]:
        """Return the sums of one cluster."""
        return [(way, number) for way, number in self._messages.items() if way[1] == cluster]

    def _way(self, plan: str) -> tuple[str, str, str, str]:
        if plan not in self._ways:
            body = self._journal.plan(plan).body
            self._ways[plan] = (body["system"], body["cluster"], body["source"], body["target"] or "")
        return self._ways[plan]


def _events(counts: Counts) -> dict[str, int]:
    """Return the counts as things that happened: what came back had been sent before."""
    names = (Outcome.SKIPPED, Outcome.FAILED, Outcome.EXPIRED, Outcome.BOUNCED, Outcome.AMBIGUOUS)
    return {Outcome.SENT: counts.sent + counts.bounced, **{name: getattr(counts, name) for name in names}}
