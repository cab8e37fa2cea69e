"""What is wrong, worst first, each with since when, why and the one next step. Pure functions over the API's JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dashboards.components.status import GOOD, Look, collector_look, look_of, say_problem
from monitor.api.items import CollectorItem, DeadLetterItem, SubscriptionItem, SummaryItem
from monitor.words import say_age, say_count, say_duration

_BLIND = Look("✖", "cannot be read", "red", "#d62728")
_DEAD = Look("✉", "dead letters", "orange", "#f28e2b")
_SET_UP = Look("⚙", "set-up", "gray", "#888888")
_SOON_SECONDS = 86400.0

_STEPS = {
    "losing": ("make its consumers faster, or have the broker keep messages longer", "See what is lost"),
    "stopped": ("find its consumers, and start them", "See who consumed it"),
    "stalled": ("its consumers are there: look into their logs", "See where it hangs"),
    "unknown": ("see what could not be read", "See what is missing"),
    "rewound": ("expect what was processed to come again", "See how far"),
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong. All texts are as they came, to be made inert where they are drawn.

    `step` is the one thing to do next; `path` and `parameters` are the view that helps, `action` what its link says.
    `redrive` is the id of the dead-letter queue that a redrive would help.
    """

    look: Look
    title: str
    place: str
    why: str
    step: str
    action: str
    path: str
    parameters: dict[str, str] = field(default_factory=dict)
    since: float | None = None
    owner: str | None = None
    subject: str | None = None
    muted: str | None = None
    redrive: str | None = None


@dataclass(frozen=True, slots=True)
class Troubles:
    """What is wrong, by kind, each worst first; `muted` is what is to wake nobody, of all kinds."""

    blind: Sequence[Trouble]
    behind: Sequence[Trouble]
    dead: Sequence[Trouble]
    wrong: Sequence[Trouble]
    muted: Sequence[Trouble]


def find_troubles(
    collectors: Sequence[CollectorItem],
    subscriptions: Sequence[SubscriptionItem],
    queues: Sequence[DeadLetterItem],
    now: float,
) -> Troubles:
    """Return what is wrong. Subscriptions and queues keep their order; retry queues are never wrong."""
    behind = [_behind(item) for item in subscriptions if item["status"] not in GOOD and item["role"] == "work"]
    dead = [_dead(item, now) for item in queues if item["messages"]]
    wrong = [_wrong(item) for item in queues if item["problems"] and not item["messages"]]
    return Troubles(
        blind=[_blind(item) for item in collectors if item["up"] is False],
        behind=[it for it in behind if it.muted is None],
        dead=[it for it in dead if it.muted is None],
        wrong=[it for it in wrong if it.muted is None],
        muted=[it for it in (*behind, *dead, *wrong) if it.muted is not None],
    )


def place_of(item: SubscriptionItem) -> dict[str, str]:
    """Return the query parameters that name a subscription, as alerts use them."""
    names = ("system", "cluster", "destination", "subscriber")
    return {name: str(item[name]) for name in names}  # type: ignore[literal-required]


def say_subject(item: SubscriptionItem) -> str:
    """Say what a subscription is: who reads what, or the queue."""
    same = item["subscriber"] == item["destination"]
    return item["destination"] if same else f"{item['subscriber']} ← {item['destination']}"


def _behind(item: SubscriptionItem) -> Trouble:
    return Trouble(
        look_of(item["status"]),
        say_subject(item),
        f"{item['cluster']} ({item['system']})",
        item["status_reason"],
        *_step(item),
        "subscriptions",
        place_of(item),
        item["status_since"],
        item["owner"],
        item["id"],
        item["muted_reason"] if item["muted_until"] else ("abandoned" if item["abandoned"] else None),
    )


def _step(item: SubscriptionItem) -> tuple[str, str]:
    if item["status"] == "unknown" and item["measured"] >= item["expected"]:
        return "it will be judged when it was watched for long enough", "Look who consumes it"
    return _STEPS.get(item["status"], ("look at it", "Look at it"))


def _blind(item: CollectorItem) -> Trouble:
    first = item["errors"][0] if item["errors"] else None
    success = item["last_success_timestamp_seconds"]
    return Trouble(
        _BLIND,
        item["cluster"],
        item["system"],
        f"{first['reason']}: {first['message']}" if first else "no cycle has succeeded",
        "what is known of it gets old: see what fails",
        "See what fails",
        "clusters",
        {"cluster": item["cluster"]},
        success,
    )


def _dead(item: DeadLetterItem, now: float) -> Trouble:
    expires = item["expiry_timestamp_seconds"]
    told = [f"{say_count(item['messages'])} wait, the oldest {say_age(item['oldest_age_seconds'], item['age_method'])}"]
    if expires is not None and expires - now < _SOON_SECONDS:
        told.append(f"the next is lost in {say_duration(max(0.0, expires - now))} at worst")
    if item["origins"]:
        told.append(f"from {', '.join(item['origins'])}")
    told += map(say_problem, item["problems"])
    age = item["oldest_age_seconds"]
    return Trouble(
        _DEAD,
        item["queue"],
        f"{item['cluster']} ({item['system']})",
        "; ".join(told),
        "see why they died, then put them back",
        "See why they died",
        "dead-letters",
        {"system": item["system"], "cluster": item["cluster"], "queue": item["queue"]},
        None if age is None else item["as_of"] - age,
        subject=item["id"],
        muted=item["muted_reason"] if item["muted_until"] else None,
        redrive=item["id"],
    )


def _wrong(item: DeadLetterItem) -> Trouble:
    return Trouble(
        _SET_UP,
        item["queue"],
        f"{item['cluster']} ({item['system']})",
        ", ".join(map(say_problem, item["problems"])),
        "mend its set-up before something dies",
        "See its set-up",
        "dead-letters",
        {"system": item["system"], "cluster": item["cluster"], "queue": item["queue"]},
        subject=item["id"],
        muted=item["muted_reason"] if item["muted_until"] else None,
    )


def say_state(summary: SummaryItem) -> tuple[Look, str]:
    """Say in one line how things are, with the look of the worst of it; the text is as it came."""
    clusters = summary["clusters"]
    blind = [it["cluster"] for it in clusters if it["up"] is False]
    starting = [it["cluster"] for it in clusters if it["up"] is None]
    bad, dead = _total(it["need_a_look"] for it in clusters), _total(it["dead_letter_messages"] for it in clusters)
    every = _total(sum(it["statuses"].values()) for it in clusters if it["statuses"])
    parts = []
    if blind:
        parts.append(f"{', '.join(blind)} cannot be read")
    if bad:
        parts.append(f"{say_count(bad)} of {say_count(every)} subscriptions need a look")
    if dead:
        parts.append(f"{say_count(dead)} dead letters wait")
    if parts:
        return (_BLIND if blind else _worst(summary) if bad else _DEAD), "; ".join(parts)
    if not clusters:
        return Look("?", "nothing to watch", "gray", "#888888"), "no cluster is configured"
    if starting:
        return collector_look(None), f"{', '.join(starting)} not yet read"
    return look_of("ok"), f"All {say_count(every)} subscriptions keep up, and no dead letters wait"


def _worst(summary: SummaryItem) -> Look:
    found = {status for it in summary["clusters"] for status, number in (it["statuses"] or {}).items() if number}
    return next((look_of(status) for status in ("losing", "stopped", "stalled", "unknown", "rewound")
                 if status in found), look_of("unknown"))  # fmt: skip


def _total(numbers: Iterable[float | None]) -> float:
    return sum(number for number in numbers if number is not None)
