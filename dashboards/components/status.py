"""What states are called and look like: a word and a shape each, so that colour is never alone."""

from typing import Literal, NamedTuple

Color = Literal["red", "orange", "yellow", "blue", "green", "violet", "gray"]


class Look(NamedTuple):
    """How a state is shown: a shape and a word, with a colour beside them (`hue` is that colour in charts)."""

    symbol: str
    word: str
    color: Color
    hue: str

    def __str__(self) -> str:
        return f"{self.symbol} {self.word}"

    @property
    def badge(self) -> str:
        """The state as a badge, for Markdown."""
        return f":{self.color}-badge[{self.symbol} {self.word}]"


STATUSES = {
    "losing": Look("▼", "losing", "red", "#d62728"),
    "stopped": Look("■", "stopped", "red", "#e4572e"),
    "stalled": Look("◐", "stalled", "orange", "#f28e2b"),
    "unknown": Look("?", "unknown", "violet", "#8e6bbf"),
    "rewound": Look("↺", "rewound", "blue", "#4c78a8"),
    "lagging": Look("▲", "lagging", "yellow", "#d4a017"),
    "ok": Look("✔", "ok", "green", "#2a9d5c"),
}
"""The statuses of a subscription, from worst to best."""

GOOD = frozenset(("ok", "lagging"))
"""What nobody has to look at: lagging is behind, and catching up."""

PROBLEMS = {
    "none_configured": "no dead-letter queue",
    "target_missing": "target does not exist",
    "retention_too_short": "retention too short",
    "not_allowed": "not allowed to write there",
    "other_region": "in another region",
    "drops_everything": "drops everything",
}
"""What is wrong with the set-up of a dead-letter queue."""

MUTED = "muted"
"""The word for what is to wake nobody."""


def look_of(status: str) -> Look:
    """Return how a status is shown; one that this version does not know is shown as its own word."""
    return STATUSES.get(status) or Look("?", status, "violet", STATUSES["unknown"].hue)


def say_problem(problem: str) -> str:
    """Say what is wrong with a dead-letter queue's set-up."""
    return PROBLEMS.get(problem, problem.replace("_", " "))


def collector_look(up: bool | None) -> Look:
    """Return how the state of a collector is shown."""
    if up is None:
        return Look("…", "starting", "gray", "#888888")
    return Look("✔", "up", "green", "#2a9d5c") if up else Look("✖", "down", "red", "#d62728")
