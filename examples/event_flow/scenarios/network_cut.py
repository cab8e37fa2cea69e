"""The network between the services and RabbitMQ is cut."""

import socket

from examples.event_flow.downstream import MAIL_SERVER, Condition
from examples.event_flow.scenarios.ground import Ground
from examples.event_flow.scenarios.model import Scenario, Step
from examples.event_flow.scenarios.steps import (
    EVERY_ORDER_ONCE,
    SERVICES,
    caught_up,
    has_backlog,
    is_clean,
    order,
    put,
    start,
)


def _lead(ground: Ground) -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    ground.lead_rabbitmq_through(port)
    return f"through port {port}"


def _cut(ground: Ground) -> str:
    ground.cut()
    return "cut"


def _mend(ground: Ground) -> str:
    ground.connect()
    return "open again"


SCENARIO = Scenario(
    "network-cut",
    "The network between the services and RabbitMQ is cut while they work; publishers and the monitor reach it still.",
    disturb=(
        Step("lead the services to RabbitMQ through a network that can be cut", _lead),
        put(Condition(extra_seconds=0.2), MAIL_SERVER, text="have a mail take 0.2 s"),
        start(*SERVICES),
        order(5.0),
        Step("cut the network", _cut),
    ),
    expect=(has_backlog("notification", 1.0, consumers=False),),
    mend=(Step("mend the network", _mend), put(Condition(), MAIL_SERVER, text="let it run at full speed")),
    prove=(caught_up(), is_clean(), EVERY_ORDER_ONCE),
    buses=("rabbitmq",),
)
