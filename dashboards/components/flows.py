"""Produced against consumed, grouped by destination or by service. Pure functions over the API's JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dashboards.components.charts import IN_HUE, Curve
from dashboards.components.status import STATUSES
from monitor.api.items import CurvesAnswer, SubscriptionItem

By = Literal["destination", "service"]

_HUES = ("#e07b39", "#2a9d5c", "#8e6bbf", "#c44e6e", "#7a6a53", "#3b8ea5")
_DASHES = ((5, 3), (2, 2), (8, 3, 2, 3), (8, 4), (3, 6), (1, 3))
_RANK = {status: rank for rank, status in enumerate(STATUSES)}


@dataclass(frozen=True, slots=True)
class Flow:
    """All subscriptions of one destination, or of one service; rates are messages a second, None is not known."""

    name: str
    cluster: str
    system: str
    items: tuple[SubscriptionItem, ...]
    produced: float | None
    consumed: float | None

    @property
    def worst_status(self) -> str:
        """The worst status among its subscriptions."""
        return min((it["status"] for it in self.items), key=lambda it: _RANK.get(it, 0))

    @property
    def falls_behind_by(self) -> float | None:
        """How much more comes in than goes out, over all its subscriptions; None where that is not known."""
        gaps = [
            it["published_per_second"] - it["consumed_per_second"]
            for it in self.items
            if it["published_per_second"] is not None and it["consumed_per_second"] is not None
        ]
        return sum(gaps) if gaps else None


def group(items: Iterable[SubscriptionItem], by: By) -> list[Flow]:
    """Group subscriptions, those with the most messages coming in first."""
    found: dict[tuple[str, str, str], list[SubscriptionItem]] = {}
    for item in items:
        name = item["destination"] if by == "destination" else item["subscriber"]
        found.setdefault((item["cluster"], item["system"], name), []).append(item)
    flows = [
        Flow(name, cluster, system, tuple(of), _produced(of, by), _total(it["consumed_per_second"] for it in of))
        for (cluster, system, name), of in found.items()
    ]
    return sorted(flows, key=lambda it: (-(it.produced or 0.0), it.cluster, it.name))


def _produced(items: Sequence[SubscriptionItem], by: By) -> float | None:
    """Every group reads all of a topic, so that its messages are produced once; services read several destinations."""
    rates = [it["published_per_second"] for it in items]
    return max((rate for rate in rates if rate is not None), default=None) if by == "destination" else _total(rates)


def _total(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def curves_of(flow: Flow, by: By, answer: CurvesAnswer) -> list[Curve]:
    """Return the lines of a flow: what was produced, and what each of its subscriptions consumed."""
    columns = {it["subject"].partition(":")[2]: it["values"] for it in answer["curves"]}
    known = [(item, columns[item["id"]]) for item in flow.items if item["id"] in columns]
    if not known:
        return []
    produced = [_column(values, "published_per_second") for _, values in known]
    join = max if by == "destination" else sum
    lines = [Curve("produced", [_joined(join, step) for step in zip(*produced, strict=True)], IN_HUE)]
    for place, (item, values) in enumerate(known):
        name = item["subscriber"] if by == "destination" else item["destination"]
        hue, dash = _HUES[place % len(_HUES)], _DASHES[place % len(_DASHES)]
        lines.append(Curve(f"consumed: {name}", _column(values, "consumed_per_second"), hue, dash))
    return lines


def _column(values: Mapping[str, Sequence[Any]], name: str) -> list[float | None]:
    return [None if value is None else float(value) for value in values[name]]


def _joined(join: Any, values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return join(known) if known else None
