"""Payments overtake the orders that they are for."""

from examples.event_flow.scenarios.model import Scenario
from examples.event_flow.scenarios.steps import (
    EVERY_ORDER_ONCE,
    EVERY_PAYMENT_ONCE,
    SERVICES,
    caught_up,
    is_clean,
    pay_before_order,
    start,
)

SCENARIO = Scenario(
    "out-of-order",
    "Payments overtake the orders that they are for; the services make nothing of the order of events.",
    disturb=(start(*SERVICES), pay_before_order()),
    expect=(caught_up(), is_clean()),
    prove=(EVERY_ORDER_ONCE, EVERY_PAYMENT_ONCE),
)
