"""What `eventflow check` does: every cluster asked at once, each for a bounded time."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.clock import Clock
from monitor.config import Cluster
from monitor.errors import EventflowError
from monitor.model import Finding

if TYPE_CHECKING:  # the registry imports every client library, and a table of findings needs none
    from monitor.brokers.registry import Collector

Opener = Callable[[Cluster], "Collector"]

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
    clusters: Sequence[Cluster], opener: Opener, clock: Clock, within: float, grace: float = _GRACE_SECONDS
) -> list[Report]:
    """Check all clusters in parallel, for `within` seconds and a little `grace`; what hangs is reported as such."""
    deadline = clock.monotonic() + within
    checks = [_Check(cluster, opener, deadline) for cluster in clusters]
    return [check.report(max(0.0, deadline + grace - clock.monotonic()), within) for check in checks]


class _Check:
    """One cluster's check, in a daemon thread: a client library that hangs must not keep the command from ending."""

    def __init__(self, cluster: Cluster, opener: Opener, deadline: float) -> None:
        self._cluster, self._opener, self._deadline = cluster, opener, deadline
        self._findings: tuple[Finding, ...] | None = None
        self._thread = threading.Thread(target=self._run, name=f"check {cluster.name}", daemon=True)
        self._thread.start()

    def report(self, wait_seconds: float, within: float) -> Report:
        self._thread.join(wait_seconds)
        findings = self._findings
        if findings is None:
            remedy = "see whether the address is right and nothing on the way drops the traffic"
            findings = (Finding(self._cluster.name, ok=False, message=f"no answer within {within:g} s", remedy=remedy),)
        return Report(self._cluster.name, self._cluster.kind, findings)

    def _run(self) -> None:
        self._findings = self._look()

    def _look(self) -> tuple[Finding, ...]:
        try:
            collector = self._opener(self._cluster)
        except EventflowError as error:
            return (Finding(self._cluster.name, ok=False, message=str(error)),)
        try:
            return tuple(collector.check(self._deadline))
        finally:
            collector.close()
