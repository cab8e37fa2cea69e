"""A subscription that is looked at again and again, short to tell."""

from collections.abc import Sequence

import numpy as np

from monitor.analysis.assessment import History, Rules, assess
from monitor.config import Objective, Owner
from monitor.model import (
    Age,
    AgeMethod,
    Parts,
    Role,
    Snapshot,
    Subscription,
    System,
    Verdict,
    as_floats,
)

START = 1_700_000_000.0
MINUTE = 60.0

Position = tuple[float | None, float | None]
"""What was published to and consumed from a part; the difference waits."""


def parts_of(
    backlogs: Sequence[float | None],
    positions: Sequence[Position],
    ids: Sequence[int] | None = None,
    *,
    counted: bool = False,
) -> Parts:
    """Parts that all belong to the first subscription."""
    return Parts(
        ids=np.array(range(len(backlogs)) if ids is None else ids, np.int64),
        subscription=np.zeros(len(backlogs), np.int32),
        backlog=as_floats(backlogs),
        consumed=as_floats(consumed for _, consumed in positions),
        published=as_floats(published for published, _ in positions),
        counted=np.full(len(backlogs), counted),
    )


class Story:
    """One subscription of one system, looked at every `interval` seconds by the default rules."""

    def __init__(
        self,
        system: System = System.KAFKA,
        interval: float = 15.0,
        objectives: Sequence[Objective] = (),
        owners: Sequence[Owner] = (),
        role: Role = Role.WORK,
    ) -> None:
        self.rules = Rules.of(interval, owners, objectives)
        self.interval, self.system, self.role = interval, system, role
        self.history: History | None = None
        self.now = 0.0

    def wait(self, seconds: float) -> None:
        """Let time pass without a look."""
        self.now += seconds

    def look(
        self,
        *positions: Position,
        backlogs: Sequence[float | None] | None = None,
        ids: Sequence[int] | None = None,
        consumers: int | None = 1,
        in_flight: float | None = None,
        age: float | None = None,
        age_method: AgeMethod = AgeMethod.INTERPOLATED,
        retention: float | None = None,
        lost: float | None = None,
        lost_while_watched: float | None = None,
        rewinds: float | None = None,
        missing: int = 0,
        whole: bool = False,
        counted: bool = False,
    ) -> Verdict:
        """Look once, then let an interval pass. `backlogs` stand where they are not the difference of the positions.

        All that is `lost` went while it was watched, if not said otherwise.
        """
        waits = backlogs or [p - c if p is not None and c is not None else None for p, c in positions]
        parts = parts_of(waits, positions or [(None, None)] * len(waits), ids, counted=counted)
        known = not missing and not np.isnan(parts.backlog).any()
        subscription = Subscription(
            "orders/mailer/order-events",
            self.system,
            "orders",
            "order-events",
            "mailer",
            backlog_messages=float(parts.backlog.sum()) if known else None,
            oldest_age=Age(age, age_method) if age is not None else Age.unknown(),
            in_flight_messages=in_flight,
            consumers=consumers,
            published_messages_total=_sum(parts.published) if known else None,
            consumed_messages_total=_sum(parts.consumed) if known else None,
            retention_seconds=retention,
            lost_messages_total=lost,
            lost_while_watched=lost if lost_while_watched is None else lost_while_watched,
            rewinds_total=rewinds,
            expected=len(waits) + missing,
            measured=len(waits),
            role=self.role,
        )
        snapshot = Snapshot(
            "orders",
            "kafka",
            START + self.now,
            0.1,
            subscriptions=(subscription,),
            parts=None if whole else parts,
        )
        (verdict,), self.history = assess(snapshot, self.history, self.rules, self.now)
        self.now += self.interval
        return verdict

    def look_until(self, seconds: float, *positions: Position, **fields: object) -> list[Verdict]:
        """Look at the same again and again for `seconds`; return the verdicts."""
        until, verdicts = self.now + seconds, []
        while self.now <= until:
            verdicts.append(self.look(*positions, **fields))  # type: ignore[arg-type]
        return verdicts


def _sum(column: np.ndarray) -> float | None:
    return None if np.isnan(column).any() else float(column.sum())
