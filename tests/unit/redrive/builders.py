"""A plan, and the view of a cluster in which somebody reads its target."""

from typing import Any

from monitor.model import Age, AgeMethod, ClusterView, Health, Snapshot, Status, Subscription, System, Verdict

PLAN = {"cluster": "k", "target": "orders", "bounds": {"targets": ["orders"]}, "origin_evidence": []}


def view_of(age: float | None, backlog: float | None, objective: float | None = 30.0, **about: Any) -> ClusterView:
    """Return a view, read at 1000, of one reader of the plan's target."""
    seconds, about = Age(age, AgeMethod.EXACT), {"in_flight_messages": 0, **about}
    it = Subscription("k/g/orders", System.KAFKA, "k", "orders", "g", backlog, seconds, **about)
    verdict = Verdict(Status.OK, "", 0.0, objective_age_seconds=objective)
    return ClusterView(Health("k", "kafka", 15.0), Snapshot("k", "kafka", 1000.0, 0.1, (it,)), (verdict,))
