"""Runs a scenario and tells what came of it."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from examples.event_flow.buses.base import BusAway
from examples.event_flow.scenarios.ground import Ground, NotSeen, Setting
from examples.event_flow.scenarios.model import Scenario, Step
from monitor.errors import EventflowError
from stack.errors import StackError


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one step."""

    phase: str
    step: str
    seen: str
    seconds: float
    ok: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a scenario. It ends with the first step that is not as it must be, and is tidied up all the same."""

    name: str
    rows: tuple[Row, ...]
    steps: int

    @property
    def ok(self) -> bool:
        """Whether every step was as it must be."""
        return len(self.rows) == self.steps and all(row.ok for row in self.rows)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return sum(row.seconds for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {"name": self.name, "ok": self.ok, "seconds": self.seconds, "rows": [asdict(row) for row in self.rows]}


def run_scenario(scenario: Scenario, setting: Setting, told: Callable[[Row], None]) -> Result:
    """Run a scenario on a flow of its own, which is removed at the end, and tell each step as soon as it is over."""
    rows: list[Row] = []

    def take(phase: str, step: Step) -> bool:
        rows.append(_take(phase, step, ground))
        told(rows[-1])
        return rows[-1].ok

    ground = Ground(setting, scenario.name, scenario.buses)
    try:
        for phase, step in scenario.steps():
            if not take(phase, step):
                break
    finally:
        take("tidy up", TIDYING_UP)
    return Result(scenario.name, tuple(rows), len([*scenario.steps(), TIDYING_UP]))


def _take(phase: str, step: Step, ground: Ground) -> Row:
    began = time.monotonic()
    try:
        seen, ok = step.run(ground), True
    except (NotSeen, EventflowError, BusAway, StackError) as error:
        seen, ok = str(error), False
    return Row(phase, step.text, seen, time.monotonic() - began, ok)


def _tidy_up(ground: Ground) -> str:
    ground.close()
    return "removed"


TIDYING_UP = Step("end the services, and remove what they have made on the brokers", _tidy_up)
