"""How a service publishes: it writes its events into its outbox, from where a thread a bus takes them.

A bus that is away thus holds up neither the service nor the other buses; what waits is published when it is back.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from time import monotonic

from examples.event_flow.buses.base import Message
from examples.event_flow.flow import Flow, set_up
from examples.event_flow.outbox import Outbox
from examples.event_flow.outcomes import Outcome
from examples.event_flow.running import Contact, Worker, keep_connected, log
from examples.event_flow.shop import Purchase, purchases

_BATCH = 100
_WAIT_SECONDS = 0.5
_GRACE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Publishing:
    """A service that publishes an event for each purchase, `delay_seconds` after it.

    `tables` is the SQL of what `note` writes down of a purchase, and `note` returns whether that is new.
    """

    service: str
    tables: str
    message: Callable[[Purchase, datetime], Message]
    note: Callable[[Purchase, sqlite3.Connection], bool]
    delay_seconds: float = 0.0


def publishing_workers(publishing: Publishing, flow: Flow) -> list[Worker]:
    """Return the threads of a service that publishes: one that serves the shop, and a relay for each bus."""
    service = publishing.service
    outbox = Outbox(flow.store_of(service), publishing.tables, flow.buses)
    relays = [Worker(f"{service}/{bus}", partial(_relay, f"{service}/{bus}", bus, outbox, flow)) for bus in flow.buses]
    return [Worker(f"{service}/shop", partial(_serve, publishing, outbox, flow)), *relays]


def _serve(publishing: Publishing, outbox: Outbox, flow: Flow) -> None:
    """Turn purchases into events until the end is asked for or the last order has come."""
    rng = flow.rng("arrivals")
    due = monotonic() + publishing.delay_seconds
    with closing(outbox):
        for purchase in islice(purchases(flow.seed, flow.poison_share), flow.orders):
            if flow.orders is None:
                due += rng.expovariate(flow.orders_per_second)
                flow.stop.pause(due - monotonic())
            if flow.stop.requested:
                break
            outbox.put(publishing.message(purchase, datetime.now(UTC)), partial(publishing.note, purchase))


def _relay(worker: str, bus: str, outbox: Outbox, flow: Flow) -> None:
    try:
        keep_connected(worker, partial(_publish_all, worker, bus, outbox, flow), flow.stop, flow.rng(worker))
        if waiting := outbox.waiting(bus):
            log.warning("%s: %d events are left for the next start", worker, waiting)
    finally:
        outbox.leave(bus)


def _publish_all(worker: str, bus: str, outbox: Outbox, flow: Flow, contact: Contact) -> None:
    set_up(bus, flow.endpoints, flow.names)
    with closing(flow.open_publisher(bus)) as publisher:
        while not outbox.finished(bus) and not flow.stop.overdue(_GRACE_SECONDS):
            batch = outbox.look(bus, _BATCH, _WAIT_SECONDS)
            confirmed: list[Message] = []
            try:
                if batch:
                    publisher.publish(batch, confirmed.append)
                else:
                    publisher.rest()
            finally:  # what a bus that went away in the middle has confirmed is not published again
                outbox.remove(confirmed)
                for _ in confirmed:
                    flow.tally.add(worker, Outcome.PUBLISHED)
            contact.made()
