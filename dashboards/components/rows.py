"""API items as the rows that people read. Pure functions over the API's JSON; absent stays None, never 0."""

from collections.abc import Sequence
from typing import Any

from dashboards.components.status import collector_look, look_of, say_problem
from monitor.api.items import CollectorItem, DeadLetterItem, SubscriptionItem
from monitor.words import NOT_KNOWN, say_age, say_count, say_duration, say_rate

Row = dict[str, Any]


def subscription_row(item: SubscriptionItem) -> Row:
    """Return one subscription as the columns of the table, exact numbers beside words."""
    return {
        "Status": str(look_of(item["status"])) + (" (muted)" if item["muted_until"] else ""),
        "Subscriber": item["subscriber"],
        "Destination": item["destination"],
        "Cluster": f"{item['cluster']} ({item['system']})",
        "Behind": say_age(item["oldest_age_seconds"], item["age_method"]),
        "Waiting": item["backlog_messages"],
        "In flight": item["in_flight_messages"],
        "In": say_rate(item["published_per_second"]),
        "Out": say_rate(item["consumed_per_second"]),
        "Drains in": say_drain(item),
        "Consumers": item["consumers"],
        "Owner": item["owner"] or "",
        "Why": (f"muted: {item['muted_reason']}; " if item["muted_until"] else "") + item["status_reason"],
    }


def say_drain(item: SubscriptionItem) -> str:
    """Say how long the backlog lasts at the present rates."""
    if item["drains"] is False:
        return "not at this rate"
    return "–" if item["drain_seconds"] in (None, 0) else say_duration(item["drain_seconds"])


def dead_letter_row(item: DeadLetterItem, now: float) -> Row:
    """Return one dead-letter queue as the columns of the table."""
    expires = item["expiry_timestamp_seconds"]
    return {
        "Queue": item["queue"],
        "Cluster": f"{item['cluster']} ({item['system']})",
        "Dead letters": item["messages"],
        "Oldest": say_age(item["oldest_age_seconds"], item["age_method"]) if item["messages"] else "–",
        "Next loss in": "–" if expires is None or not item["messages"] else say_duration(max(0.0, expires - now)),
        "Arrived": item["arrivals_total"],
        "Comes from": ", ".join(item["origins"]),
        "Set-up": ", ".join(map(say_problem, item["problems"])) or "✔",
        "Muted": item["muted_reason"] or "",
    }


def say_state(
    subscriptions: Sequence[SubscriptionItem],
    dead_letters: Sequence[DeadLetterItem],
    collectors: Sequence[CollectorItem],
) -> str:
    """Say in one line how things are: what cannot be seen first, then what is behind, then what is dead."""
    blind = [item["cluster"] for item in collectors if not item["up"]]
    bad = [item for item in subscriptions if item["status"] not in ("ok", "lagging") and item["role"] == "work"]
    dead = sum(item["messages"] or 0 for item in dead_letters)
    parts = []
    if blind:
        parts.append(f"{', '.join(blind)} cannot be read")
    if bad:
        parts.append(f"{len(bad)} of {len(subscriptions)} subscriptions need a look")
    if dead:
        parts.append(f"{say_count(dead)} dead letters wait")
    return "; ".join(parts) or f"All {len(subscriptions)} subscriptions keep up, and no dead letters wait"


def say_health(item: CollectorItem, now: float) -> tuple[str, str]:
    """Return the state of a collector in a word, and how old its data is."""
    word = str(collector_look(item["up"]))
    success = item["last_success_timestamp_seconds"]
    return word, NOT_KNOWN if success is None else f"{say_duration(max(0.0, now - success))} ago"
