"""Kafka is killed in the middle of work, and comes back."""

from examples.event_flow.downstream import MAIL_SERVER, Condition
from examples.event_flow.scenarios.ground import Ground
from examples.event_flow.scenarios.model import Scenario, Step
from examples.event_flow.scenarios.steps import (
    EVERY_ORDER_ONCE,
    SERVICES,
    Verdict,
    caught_up,
    is_clean,
    order,
    put,
    seen,
    start,
)
from stack.control import Stack

_BACK_SECONDS = 120.0


def _is_up(up: bool) -> Step:
    def look(ground: Ground) -> Verdict:
        found = {bus: ground.client.collector(ground.clusters[bus])["up"] for bus in ground.clusters}
        others = all(found[bus] for bus in found if bus != "kafka")
        return found["kafka"] is up and others, ", ".join(f"{bus} {is_up}" for bus, is_up in found.items())

    state = "reads Kafka again" if up else "says that Kafka cannot be read, and goes on with the others"
    return seen(f"the monitor {state}", look, _BACK_SECONDS)


def _kill(ground: Ground) -> str:
    Stack(ground.setting.endpoints_file.parent).kill("kafka")
    return "killed"


def _restart(ground: Ground) -> str:
    Stack(ground.setting.endpoints_file.parent).restart("kafka")
    return "started again"


SCENARIO = Scenario(
    "broker-loss",
    "The Kafka broker is killed while orders are worked on. The other buses go on; what is on its disk is still there.",
    disturb=(
        put(Condition(extra_seconds=0.1), MAIL_SERVER, text="have a mail take 0.1 s"),
        start(*SERVICES),
        order(5.0),
        Step("kill the Kafka broker -9", _kill),
    ),
    expect=(_is_up(False),),
    mend=(Step("start the Kafka broker", _restart), put(Condition(), MAIL_SERVER, text="let it run at full speed")),
    prove=(_is_up(True), order(0.5), caught_up(_BACK_SECONDS), is_clean(), EVERY_ORDER_ONCE),
)
