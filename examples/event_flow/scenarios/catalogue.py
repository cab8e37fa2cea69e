"""All scenarios by name, in the order in which they are told."""

from collections.abc import Mapping

from examples.event_flow.scenarios import (
    broker_loss,
    clock_skew,
    compatible_schema,
    crash_loop,
    dlq_about_to_expire,
    downstream_outage,
    duplicate_storm,
    event_storm,
    hot_key,
    incompatible_schema,
    looping_redrive,
    network_cut,
    out_of_order,
    poison_message,
    rebalance_storm,
    slow_consumer,
    stopped_consumer,
)
from examples.event_flow.scenarios.model import Scenario

_ALL = (
    poison_message,
    incompatible_schema,
    compatible_schema,
    duplicate_storm,
    out_of_order,
    downstream_outage,
    stopped_consumer,
    slow_consumer,
    crash_loop,
    event_storm,
    hot_key,
    clock_skew,
    rebalance_storm,
    looping_redrive,
    dlq_about_to_expire,
    network_cut,
    broker_loss,
)
SCENARIOS: Mapping[str, Scenario] = {module.SCENARIO.name: module.SCENARIO for module in _ALL}
