"""Single messages of a job as the journal has them: a row each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor.letters import Outcome

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str)  # json.dumps makes one each time


@dataclass(frozen=True, slots=True)
class Item:
    """One message of a job: how far it got (`intent`, `sent`, `removed`, `settled`), and its outcome, if any."""

    position: str
    redrive_id: str
    stage: str
    outcome: Outcome | None
    at_target: str = ""
    reason: str = ""
    coordinates: Mapping[str, Any] | None = None


def item_of(row: Mapping[Any, Any]) -> Item:
    """Return what a row of `redrive_items` says."""
    outcome = None if row["outcome"] is None else Outcome(row["outcome"])
    told = json.loads(row["coordinates"])
    return Item(row["position"], row["redrive_id"], row["stage"], outcome, row["at_target"], row["reason"], told)


def row_of(job: str, item: Item, now: float) -> dict[str, Any]:
    """Return the row of `redrive_items` for an item of a job."""
    return {
        "job": job,
        "position": item.position,
        "redrive_id": item.redrive_id,
        "stage": item.stage,
        "outcome": item.outcome,
        "at_target": item.at_target,
        "reason": item.reason,
        "coordinates": dump(item.coordinates or {}),
        "at": now,
    }


def dump(value: Any) -> str:
    """Return a value as the journal keeps it: canonical JSON."""
    return _ENCODER.encode(value)
