"""How a service consumes: a thread a bus, each with its own connection and its own memory of what was processed.

The three buses carry the same events side by side, each to the same services. What came by one bus is therefore no
duplicate on another: the flow is shown three times, it does not have three ways in.
"""

from collections.abc import Callable
from contextlib import closing
from functools import partial

from examples.event_flow.buses.base import Consumer
from examples.event_flow.flow import Flow, set_up
from examples.event_flow.handling import Handler, Reactions, Retry, SeenIds
from examples.event_flow.running import Contact, Worker, keep_connected

_ATTEMPTS = 3
_FIRST_WAIT_SECONDS = 0.2


def consuming_worker(
    service: str,
    bus: str,
    reactions: Reactions,
    connect: Callable[[Contact], Consumer],
    flow: Flow,
    *,
    events_per_order: int,
    attempts: int = _ATTEMPTS,
) -> Worker:
    """Return the thread of a service that consumes from one bus, with `attempts` in a row for each message."""
    worker = f"{service}/{bus}"
    rng = flow.rng(worker)
    handler = Handler(service, reactions, Retry(attempts, _FIRST_WAIT_SECONDS, rng), SeenIds())

    def session(contact: Contact) -> None:
        set_up(bus, flow.endpoints, flow.names)
        with closing(connect(contact)) as consumer:
            consumer.run(handler.handle, partial(flow.tally.add, worker))

    return Worker(worker, partial(keep_connected, worker, session, flow.stop, rng), events_per_order)
