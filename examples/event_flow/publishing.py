"""How a service publishes: it writes its events into an outbox for each bus, from where a thread a bus takes them.

A bus that is away thus holds up neither the service nor the other buses; what waits is published when it is back.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from time import monotonic

from examples.event_flow.buses.base import Message
from examples.event_flow.flow import BUSES, Flow, set_up
from examples.event_flow.handling import Outcome
from examples.event_flow.outbox import Outbox
from examples.event_flow.running import Contact, Worker, keep_connected, log
from examples.event_flow.shop import Purchase, purchases

_BATCH = 100
_WAIT_SECONDS = 0.5
_GRACE_SECONDS = 2.0

ToMessage = Callable[[Purchase, datetime], Message]


def publishing_workers(service: str, to_message: ToMessage, flow: Flow, delay_seconds: float = 0.0) -> list[Worker]:
    """Return the threads of a service that publishes one event for each purchase, `delay_seconds` after it."""
    outboxes = {bus: Outbox() for bus in BUSES}
    relays = [
        Worker(f"{service}/{bus}", partial(_relay, f"{service}/{bus}", bus, outbox, flow))
        for bus, outbox in outboxes.items()
    ]
    return [Worker(f"{service}/shop", partial(_serve, to_message, outboxes, flow, delay_seconds)), *relays]


def _serve(to_message: ToMessage, outboxes: Mapping[str, Outbox], flow: Flow, delay_seconds: float) -> None:
    """Turn purchases into events until the end is asked for or the last order has come."""
    rng = flow.rng("arrivals")
    due = monotonic() + delay_seconds
    for purchase in islice(purchases(flow.seed, flow.poison_share), flow.orders):
        if flow.orders is None:
            due += rng.expovariate(flow.orders_per_second)
            flow.stop.pause(due - monotonic())
        message = to_message(purchase, datetime.now(UTC))
        if not all(_store(message, outbox, flow) for outbox in outboxes.values()):
            break
    for outbox in outboxes.values():
        outbox.close()


def _store(message: Message, outbox: Outbox, flow: Flow) -> bool:
    # Where an outbox is full, the shop waits: an order that nobody will ever hear of is worse than a slow shop.
    while not flow.stop.requested:
        if outbox.put(message, _WAIT_SECONDS):
            return True
    return False


def _relay(worker: str, bus: str, outbox: Outbox, flow: Flow) -> None:
    keep_connected(worker, partial(_publish_all, worker, bus, outbox, flow), flow.stop, flow.rng(worker))
    if len(outbox):
        log.warning("%s: %d events were not published", worker, len(outbox))


def _publish_all(worker: str, bus: str, outbox: Outbox, flow: Flow, contact: Contact) -> None:
    def confirmed(message: Message) -> None:
        outbox.remove(message)
        flow.tally.add(worker, Outcome.PUBLISHED)

    set_up(bus, flow.endpoints, flow.names)
    with closing(flow.open_publisher(bus)) as publisher:
        while not outbox.finished and not flow.stop.overdue(_GRACE_SECONDS):
            batch = outbox.look(_BATCH, _WAIT_SECONDS)
            if batch:
                publisher.publish(batch, confirmed)
            else:
                publisher.rest()
            contact.made()
