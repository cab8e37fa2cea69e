"""The mail server is down: circuit breakers open, messages wait instead of dying."""

from examples.event_flow.downstream import MAIL_SERVER, Condition
from examples.event_flow.scenarios.model import Scenario
from examples.event_flow.scenarios.steps import (
    EVERY_ORDER_ONCE,
    SERVICES,
    breaker_was,
    caught_up,
    has_backlog,
    is_clean,
    order,
    put,
    start,
)

SCENARIO = Scenario(
    "downstream-outage",
    "The mail server does not answer. Circuit breakers open, and the orders wait instead of dying.",
    disturb=(put(Condition(is_down=True), MAIL_SERVER, text="take the mail server down"), start(*SERVICES), order()),
    expect=(breaker_was("open", "notification"), has_backlog("notification", 1.0, consumers=True), is_clean()),
    mend=(put(Condition(), MAIL_SERVER, text="bring the mail server back"),),
    prove=(breaker_was("closed", "notification"), caught_up(), is_clean(), EVERY_ORDER_ONCE),
)
