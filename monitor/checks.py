"""What `eventflow check` does: every cluster asked at once, each for a bounded time, by those who watch and redrive."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from monitor.clock import Clock
from monitor.config import Cluster
from monitor.errors import EventflowError
from monitor.model import Finding


class Checked(Protocol):
    """What can find out what is missing for its work, a collector or a redrive bus."""

    def check(self, deadline: float) -> Sequence[Finding]:
        """Find out what can be done and what is missing; `deadline` is in seconds of `Clock.monotonic`."""
        ...

    def close(self) -> None:
        """Let go of all connections."""
        ...


Opener = Callable[[Cluster], Checked]

_GRACE_SECONDS = 2.0
"""How much longer than told a check is waited for: to hand over what it found until then."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found out about one cluster."""

    cluster: str
    kind: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Say whether everything that is required is there."""
        return all(finding.ok for finding in self.findings if finding.required)


def check_clusters(
    clusters: Sequence[Cluster],
    opener: Opener,
    clock: Clock,
    within: float,
    grace: float = _GRACE_SECONDS,
    redriver: Opener | None = None,
) -> list[Report]:
    """Check all clusters in parallel, for `within` seconds and a little `grace`; what hangs is reported as such.

    Those with a section `redrive` are checked by `redriver` too, if there is one.
    """
    deadline = clock.monotonic() + within
    checks = {it.name: [_Check(it, opener, deadline)] for it in clusters}
    for cluster in clusters:
        if redriver is not None and cluster.redrive is not None:
            checks[cluster.name].append(_Check(cluster, redriver, deadline))
    reports = []
    for cluster in clusters:
        found = [it.findings(max(0.0, deadline + grace - clock.monotonic()), within) for it in checks[cluster.name]]
        reports.append(Report(cluster.name, cluster.kind, tuple(finding for part in found for finding in part)))
    return reports


class _Check:
    """One check of a cluster, in a daemon thread: a client library that hangs must not keep the command from ending."""

    def __init__(self, cluster: Cluster, opener: Opener, deadline: float) -> None:
        self._cluster, self._opener, self._deadline = cluster, opener, deadline
        self._found: tuple[Finding, ...] | None = None
        self._thread = threading.Thread(target=self._run, name=f"check {cluster.name}", daemon=True)
        self._thread.start()

    def findings(self, wait_seconds: float, within: float) -> tuple[Finding, ...]:
        self._thread.join(wait_seconds)
        found = self._found
        if found is None:
            remedy = "see whether the address is right and nothing on the way drops the traffic"
            found = (Finding(self._cluster.name, ok=False, message=f"no answer within {within:g} s", remedy=remedy),)
        return found

    def _run(self) -> None:
        self._found = self._look()

    def _look(self) -> tuple[Finding, ...]:
        try:
            checked = self._opener(self._cluster)
        except EventflowError as error:
            return (Finding(self._cluster.name, ok=False, message=str(error)),)
        try:
            return tuple(checked.check(self._deadline))
        finally:
            checked.close()
