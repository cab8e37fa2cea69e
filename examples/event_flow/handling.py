"""What a consumer does with one message, whatever the bus: read, skip what was done before, react, retry, give up."""

import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

from examples.event_flow.events import BadEvent, Event, Schema, read

_LONGEST_STACKTRACE = 8_000  # RabbitMQ wants all headers in one frame of 128 KiB, Kafka charges them to the record


class DownstreamFailed(Exception):
    """The mail server or the warehouse did not do what it was asked for; asking again may help."""


class HandlingFailed(Exception):
    """A service has given up on a message; `__cause__` says why."""

    def __init__(self, service: str, cause: Exception) -> None:
        super().__init__(f"{service}: {cause}")


class Outcome(StrEnum):
    """How it ended with one message at one service, on one bus."""

    PUBLISHED = "published"
    PROCESSED = "processed"
    DUPLICATE = "duplicate"  # processed before, so that nothing was done
    IGNORED = "ignored"  # an event that this service has no use for
    POSTPONED = "postponed"  # failed; the bus delivers it again
    DEAD_LETTERED = "dead_lettered"
    ABANDONED = "abandoned"  # the service ends; the bus delivers it again


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


class SeenIds:
    """The ids of the events that were processed, the last `capacity` of them."""

    def __init__(self, capacity: int = 100_000) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._capacity = capacity

    def add(self, event_id: str) -> None:
        """Remember an id; forget the oldest one where there are too many."""
        self._ids[event_id] = None
        if len(self._ids) > self._capacity:
            self._ids.popitem(last=False)

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._ids


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and after how long a failed reaction is tried again; waits double, less a random part."""

    attempts: int
    first_wait_seconds: float
    rng: Random

    def wait_seconds(self, attempt: int) -> float:
        """Return how long to wait after the failure of attempt 1, 2, ..."""
        return self.first_wait_seconds * 2.0 ** (attempt - 1) * self.rng.uniform(0.5, 1.0)


Pause = Callable[[float], bool]
"""Waits that many seconds; False says that the service ends and the message must be left to the bus."""


Reactions = Mapping[type[Schema], Callable[[Any], None]]
"""What a service does with the data of an event, by the schema of the data."""


class Handler:
    """Handles the messages of one service on one bus, one at a time."""

    def __init__(
        self,
        service: str,
        reactions: Reactions,
        retry: Retry,
        seen: SeenIds,
    ) -> None:
        """Take the reactions; they raise DownstreamFailed where trying again may help."""
        self._service, self._reactions, self._retry, self._seen = service, reactions, retry, seen

    def handle(self, payload: bytes, pause: Pause) -> Outcome | Failure:
        """Handle one message and say how it went.

        A payload that cannot be understood fails at the first attempt: it will not get better.
        """
        try:
            event = read(payload)
        except BadEvent as bad:
            return self._failure(bad, attempts=1)
        reaction = self._reactions.get(type(event.data))
        if reaction is None:
            return Outcome.IGNORED
        if event.id in self._seen:
            return Outcome.DUPLICATE
        return self._react(reaction, event, pause)

    def _react(self, reaction: Callable[[Any], None], event: Event, pause: Pause) -> Outcome | Failure:
        attempt = 1
        while True:
            try:
                reaction(event.data)
            except DownstreamFailed as failed:
                if attempt == self._retry.attempts:
                    return self._failure(failed, attempt)
                if not pause(self._retry.wait_seconds(attempt)):
                    return Outcome.ABANDONED
                attempt += 1
            else:
                self._seen.add(event.id)
                return Outcome.PROCESSED

    def _failure(self, cause: Exception, attempts: int) -> Failure:
        error = HandlingFailed(self._service, cause)
        error.__cause__ = cause
        return Failure(error, attempts)
