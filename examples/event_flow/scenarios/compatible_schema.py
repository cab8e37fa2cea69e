"""Orders is deployed with one field more, which readers that do not know it ignore."""

from examples.event_flow.scenarios.model import Scenario
from examples.event_flow.scenarios.steps import EVERY_ORDER_ONCE, SERVICES, caught_up, is_clean, order, start

SCENARIO = Scenario(
    "compatible-schema",
    "Orders is deployed with one optional field more. Nobody needs to be told, and nothing dies.",
    disturb=(start(*SERVICES), order(0.5), order(change="compatible")),
    expect=(caught_up(), is_clean()),
    prove=(EVERY_ORDER_ONCE,),
)
