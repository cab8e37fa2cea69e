"""How a service consumes: a thread a bus, each with its own connection, inbox and circuit breaker.

The three buses carry the same events side by side, each to the same services. What came by one bus is therefore no
duplicate on another: the flow is shown three times, it does not have three ways in.
"""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from pybreaker import CircuitBreaker, CircuitBreakerListener, CircuitBreakerState
from tenacity import wait_random_exponential

from examples.event_flow.buses.base import Consumer
from examples.event_flow.downstream import World
from examples.event_flow.flow import Flow, set_up
from examples.event_flow.handling import DownstreamRefused, Handler, Policy, Reactions
from examples.event_flow.inbox import Inbox
from examples.event_flow.metrics import Meter
from examples.event_flow.running import Contact, Worker, keep_connected, log

_ATTEMPTS = 3
_LONGEST_FIRST_WAIT_SECONDS = 0.4
_LONGEST_WAIT_SECONDS = 5.0
_FAILURES_IN_A_ROW = _ATTEMPTS  # so that an outage is noticed before the first message dies of it
_OPEN_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Consuming:
    """One service on one bus: what it does about events, and how it connects.

    `reactions` are made anew for each connection, for the database of what is downstream. `tables` is the SQL of what
    they write. `events_per_order` is how many events it gets for each order, `attempts` how often it tries a message in
    a row.
    """

    service: str
    bus: str
    reactions: Callable[[World], Reactions]
    tables: str
    connect: Callable[[Contact], Consumer]
    events_per_order: int
    attempts: int = _ATTEMPTS


def consuming_worker(consuming: Consuming, flow: Flow) -> Worker:
    """Return the thread of a service that consumes from one bus."""
    service, bus = consuming.service, consuming.bus
    worker = f"{service}/{bus}"
    meter = flow.metrics.meter(service, bus)

    def session(contact: Contact) -> None:
        set_up(bus, flow.endpoints, flow.names)
        with (
            closing(Inbox(flow.store_of(service), consuming.tables, bus, time.time)) as inbox,
            closing(World(flow.world)) as world,
            closing(consuming.connect(contact)) as consumer,
        ):
            policy = Policy(consuming.attempts, _waits(), _breaker(worker, inbox, meter), flow.newest_version)
            handler = Handler(service, bus, consuming.reactions(world), policy, inbox, meter)
            consumer.run(handler.handle, partial(flow.tally.add, worker))

    run = partial(keep_connected, worker, session, flow.stop, flow.rng(worker))
    return Worker(worker, run, consuming.events_per_order)


def _waits() -> wait_random_exponential:
    """Anything from no time at all up to a bound that doubles, so that consumers that failed together spread out."""
    return wait_random_exponential(multiplier=_LONGEST_FIRST_WAIT_SECONDS, max=_LONGEST_WAIT_SECONDS)


def _breaker(worker: str, inbox: Inbox, meter: Meter) -> CircuitBreaker:
    """One for each consumer: a breaker of this library lets but one call through at a time."""
    return CircuitBreaker(
        fail_max=_FAILURES_IN_A_ROW,
        reset_timeout=_OPEN_SECONDS,
        exclude=[DownstreamRefused],
        listeners=[_BreakerNotes(worker, inbox, meter)],
        name=worker,
        throw_new_error_on_trip=False,  # the dead letter is to tell what downstream did
    )


class _BreakerNotes(CircuitBreakerListener):
    def __init__(self, worker: str, inbox: Inbox, meter: Meter) -> None:
        self._worker, self._inbox, self._meter = worker, inbox, meter

    def state_change(
        self, cb: CircuitBreaker, old_state: CircuitBreakerState | None, new_state: CircuitBreakerState
    ) -> None:
        if new_state.name != "half-open":  # of a trial every other second, only its end is worth a line
            log.info("%s: the circuit is %s", self._worker, new_state.name)
            self._inbox.note_breaker(new_state.name)
        self._meter.note_breaker(new_state.name)
