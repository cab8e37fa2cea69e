"""What a consumer does with one message, whatever the bus: read, skip what was done before, react, retry, give up.

What an event leads to has two halves. The call goes to a service downstream and may fail; it carries a key, so that it
can be made again. What is written at home is committed together with the id of the event, so that it is there once.
"""

import sqlite3
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pybreaker import STATE_OPEN, CircuitBreaker, CircuitBreakerError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_base

from examples.event_flow.events import Data, Event, read
from examples.event_flow.inbox import Inbox
from examples.event_flow.metrics import Meter
from examples.event_flow.outcomes import Outcome
from examples.event_flow.schemas import BadEvent

_LONGEST_STACKTRACE = 8_000  # RabbitMQ wants all headers in one frame of 128 KiB, Kafka charges them to the record
_LOOK_AGAIN_SECONDS = 0.2
_TRIALS = 60  # of an open circuit with one message; then it may be the message that the service downstream dies of


class DownstreamFailed(Exception):
    """The mail server or the warehouse did not do what it was asked for; asking again may help."""


class DownstreamRefused(DownstreamFailed):
    """It is up, and says no to this request: nothing that a circuit breaker should count."""


class ServiceEnds(Exception):
    """The service was told to end while it held a message."""


class HandlingFailed(Exception):
    """A service has given up on a message; `__cause__` says why."""

    def __init__(self, service: str, cause: Exception) -> None:
        super().__init__(f"{service}: {cause}")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a service gave up on a message, as its dead letter will tell."""

    error: HandlingFailed
    attempts: int

    @property
    def class_name(self) -> str:
        """The full name of the exception that says who gave up."""
        return _full_name(self.error)

    @property
    def cause_class_name(self) -> str | None:
        """The full name of the exception that says why."""
        return _full_name(self.error.__cause__) if self.error.__cause__ else None

    @property
    def message(self) -> str:
        """Who gave up and why, in one sentence."""
        return str(self.error)

    @property
    def stacktrace(self) -> str:
        """The traceback, cut to its end where it is long: the place of the failure stands last."""
        return "".join(traceback.format_exception(self.error))[-_LONGEST_STACKTRACE:]


def _full_name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a service does about an event.

    `call(key, data)` asks a service downstream, and raises DownstreamFailed. `write(db, bus, data)` writes at home what
    came of it, within the transaction that marks the event as processed.
    """

    call: Callable[[str, Any], None]
    write: Callable[[sqlite3.Connection, str, Any], object]


Reactions = Mapping[type[Data], Reaction]
"""What a service does about an event, by what it tells."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How a consumer deals with failures: how often it tries a message, after which waits, and when it stops asking."""

    attempts: int
    wait: wait_base
    breaker: CircuitBreaker
    newest_version: int = 1


Pause = Callable[[float], bool]
"""Waits that many seconds, and keeps hold of the message meanwhile; False says that the service ends, and the message
must be left to the bus."""


class Handler:
    """Handles the messages of one service on one bus, one at a time."""

    def __init__(
        self, service: str, bus: str, reactions: Reactions, policy: Policy, inbox: Inbox, meter: Meter
    ) -> None:
        self._service, self._bus, self._reactions, self._policy = service, bus, reactions, policy
        self._inbox, self._meter = inbox, meter

    def handle(self, payload: bytes, pause: Pause) -> Outcome | Failure:
        """Handle one message and say how it went.

        A payload that cannot be understood fails at the first attempt: it will not get better.
        """
        try:
            event = read(payload, self._policy.newest_version)
        except BadEvent as bad:
            return self._failure(bad, attempts=1)
        reaction = self._reactions.get(type(event.data))
        if reaction is None:
            return Outcome.IGNORED
        if self._inbox.knows(event.id):
            return Outcome.DUPLICATE
        with self._meter.time():
            return self._react(reaction, event, pause)

    def _react(self, reaction: Reaction, event: Event, pause: Pause) -> Outcome | Failure:
        retrying = self._retrying(pause)
        try:
            retrying(self._ask, reaction, event, pause)
        except ServiceEnds:
            return Outcome.ABANDONED
        except DownstreamFailed as failed:
            return self._failure(failed, int(retrying.statistics["attempt_number"]))
        written = self._inbox.settle(event.id, lambda db: reaction.write(db, self._bus, event.data))
        return Outcome.PROCESSED if written else Outcome.DUPLICATE

    def _retrying(self, pause: Pause) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type(DownstreamFailed),
            stop=stop_after_attempt(self._policy.attempts),
            wait=self._policy.wait,
            sleep=lambda seconds: _hold(pause, seconds),
            before_sleep=lambda _: self._meter.count_retry(),
            reraise=True,
        )

    def _ask(self, reaction: Reaction, event: Event, pause: Pause) -> None:
        """Ask downstream; while the circuit is open, hold the message, which is not to blame, and ask nothing."""
        trials = 0
        while True:
            try:
                # What came by one bus is no duplicate on another, here as in the inbox.
                self._policy.breaker.call(reaction.call, f"{self._bus}/{event.id}", event.data)
                return
            except CircuitBreakerError:
                _hold(pause, _LOOK_AGAIN_SECONDS)
            except DownstreamFailed:
                if self._policy.breaker.current_state != STATE_OPEN or trials == _TRIALS:
                    raise
                trials += 1

    def _failure(self, cause: Exception, attempts: int) -> Failure:
        error = HandlingFailed(self._service, cause)
        error.__cause__ = cause
        return Failure(error, attempts)


def _hold(pause: Pause, seconds: float) -> None:
    if not pause(seconds):
        raise ServiceEnds
