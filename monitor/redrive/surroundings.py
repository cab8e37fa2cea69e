"""What happens around a job, as the collectors see it: how its target is doing, and what its readers have read.

All of it is as old as the last cycle of the cluster; what is not known says nothing.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from monitor.letters import PlanRequest
from monitor.model import ClusterView, DeadLetterQueue, Snapshot, Subscription, Verdict
from monitor.redrive.model import Counts
from monitor.words import say_count, say_duration

COMMITTED = "kafka_consumer_group_committed_offset"


class Surroundings:
    """What the collectors have seen last. Thread-safe."""

    def __init__(self, views: Callable[[], Iterable[ClusterView]]) -> None:
        self._views = views

    def find_backpressure(self, plan: Mapping[str, Any], request: PlanRequest) -> str | None:
        """Say why the target can take no more for now: too old by its objective, or more than the plan allows."""
        for it, verdict, _ in self._readers(plan):
            age, objective = it.oldest_age.seconds, verdict.objective_age_seconds
            if age is not None and objective is not None and age > objective:
                return f"{it.id} is {say_duration(age)} behind, and its objective is {say_duration(objective)}"
            backlog, most = it.backlog_messages, request.max_target_backlog
            if backlog is not None and most is not None and backlog > most:
                return f"{say_count(backlog)} messages wait for {it.id}, and the plan allows {say_count(most)}"
        return None

    def count_arrivals(self, plan: Mapping[str, Any]) -> float | None:
        """Return how many dead letters have come to where those of a plan's target go, None where nobody knows."""
        cluster, targets = target_cluster_of(plan), targets_of(plan)
        if cluster == plan["cluster"]:
            return next((it.arrivals_total for it in self._queues() if it.id == plan["dead_letters"]), None)
        there = [it for it in self._queues() if it.cluster == cluster and targets & {at.name for at in it.origins}]
        known = [it.arrivals_total for it in there if it.arrivals_total is not None]
        return sum(known) if known else None

    def judge_readers(
        self, plan: Mapping[str, Any], counts: Counts, ranges: Sequence[Mapping[str, Any]], ended_at: float | None
    ) -> list[dict[str, Any]]:
        """Return, for each reader of the target whose position is known, how much of what was sent it is past."""
        sent, judged = counts.sent + counts.bounced, []
        for it, _, snapshot in self._readers(plan):
            if ranges:
                there, processed = _count_read(it, snapshot, ranges)
                there, processed = min(there, sent), min(processed, sent)
            else:
                empty = it.backlog_messages == 0 and not it.in_flight_messages
                there, processed = sent, sent if empty and ended_at is not None and snapshot.taken_at > ended_at else 0
            judged.append({"subscription": it.id, "processed": processed, "unknown": there - processed})
        return judged

    def _readers(self, plan: Mapping[str, Any]) -> Iterator[tuple[Subscription, Verdict, Snapshot]]:
        targets = targets_of(plan)
        for view in self._views():
            if view.snapshot is not None and view.health.cluster == target_cluster_of(plan):
                for it, verdict in zip(view.snapshot.subscriptions, view.verdicts, strict=True):
                    if it.destination in targets:
                        yield it, verdict, view.snapshot

    def _queues(self) -> Iterator[DeadLetterQueue]:
        return (it for view in self._views() if view.snapshot for it in view.snapshot.dead_letters)


def target_cluster_of(plan: Mapping[str, Any]) -> str:
    """Return the cluster that a plan sends to."""
    return str(plan["bounds"].get("cluster", plan["cluster"]))


def targets_of(plan: Mapping[str, Any]) -> frozenset[str]:
    """Return the destinations that a plan sends to; where each message goes to its own origin, all that are known."""
    named = plan["bounds"].get("targets")
    if isinstance(named, list):
        return frozenset(named)
    target = str(plan["target"] or "")
    if not target.startswith("@"):
        return frozenset({target})
    evidence = plan["origin_evidence"]
    return frozenset(str(it.get("deliver_to") or it.get("origin")) for it in evidence)


def _count_read(it: Subscription, snapshot: Snapshot, ranges: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Return how many offsets the ranges have in what this one reads, and how many of them it is past."""
    committed = _committed(it, snapshot)
    spans = [to for it_ in ranges for to in it_["to"] if to["topic"] == it.destination]
    there = sum(int(to["last"]) - int(to["first"]) + 1 for to in spans)
    past = 0
    for to in spans:
        position = committed.get(str(to["partition"]), math.nan)
        if position > to["first"]:  # false for what is not known
            past += int(min(position, to["last"] + 1)) - int(to["first"])
    return there, past


def _committed(it: Subscription, snapshot: Snapshot) -> dict[str, float]:
    for table in snapshot.tables.values():
        if COMMITTED in table.columns:
            rows = table.rows_where(it.scope)
            partitions = next(label for label in table.labels if label.name == "partition")
            return {
                partitions.values[partitions.codes[row]]: float(table.columns[COMMITTED][row]) for row in rows.tolist()
            }
    return {}
