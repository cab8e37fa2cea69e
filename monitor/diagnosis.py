"""Everything that a configuration names, checked: the clusters by all client libraries, and the database."""

from dataclasses import asdict, dataclass
from typing import Any

from monitor.brokers.redrivers import open_redriver
from monitor.brokers.registry import open_collector
from monitor.checks import Report, check_clusters
from monitor.clock import Clock
from monitor.config import Configuration
from monitor.model import Finding
from monitor.storage.database import check_database


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found out about everything that a configuration names."""

    database: Finding
    clusters: tuple[Report, ...]

    @property
    def ok(self) -> bool:
        """Say whether everything that is required is there."""
        return self.database.ok and all(report.ok for report in self.clusters)

    def as_json(self) -> dict[str, Any]:
        """Return it as `eventflow check --json` prints it."""
        clusters = [{**asdict(report), "ok": report.ok} for report in self.clusters]
        return {"ok": self.ok, "clusters": clusters, "database": asdict(self.database)}


def diagnose(configuration: Configuration, clock: Clock, within: float) -> Diagnosis:
    """Check the database and all clusters of a configuration, changing nothing; see `check_clusters`."""
    mapped = configuration.dead_letters
    reports = check_clusters(
        configuration.clusters,
        lambda it: open_collector(it, mapped, clock),
        clock,
        within,
        redriver=lambda it: open_redriver(it, mapped, clock),
    )
    return Diagnosis(check_database(configuration.database_url.get_secret_value()), tuple(reports))
