"""All scenarios by name, in the order in which they are told."""

from collections.abc import Mapping

from examples.event_flow.scenarios import (
    crash_loop,
    downstream_outage,
    duplicate_storm,
    event_storm,
    incompatible_schema,
    looping_redrive,
    poison_message,
    slow_consumer,
    stopped_consumer,
)
from examples.event_flow.scenarios.model import Scenario

_ALL = (
    poison_message,
    incompatible_schema,
    duplicate_storm,
    downstream_outage,
    stopped_consumer,
    slow_consumer,
    crash_loop,
    event_storm,
    looping_redrive,
)
SCENARIOS: Mapping[str, Scenario] = {module.SCENARIO.name: module.SCENARIO for module in _ALL}
