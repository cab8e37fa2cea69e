"""What the services want from a bus, whichever it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from examples.event_flow.handling import Failure, Pause
from examples.event_flow.outcomes import Outcome


class BusAway(Exception):
    """The bus cannot be reached, does not answer in time, or refuses; it is worth trying again later."""


@dataclass(frozen=True, slots=True)
class Message:
    """An event ready for the road, with what the buses route it by; `number` is its place in an outbox, if in one."""

    event_id: str
    type: str
    order_id: str
    body: bytes
    number: int | None = field(default=None, compare=False)


class Publisher(Protocol):
    """Publishes to one bus; belongs to one thread."""

    def publish(self, batch: Sequence[Message], confirmed: Callable[[Message], None]) -> None:
        """Publish and call `confirmed` for each message that the bus has taken responsibility for.

        Raises BusAway as soon as one is not confirmed; those are to be published again.
        """

    def rest(self) -> None:
        """Keep the connection alive while there is nothing to publish. Raises BusAway."""

    def close(self) -> None:
        """Let go of the connection; never raises, whatever state it is in."""


Handle = Callable[[bytes, Pause], Outcome | Failure]
"""Handles one payload, and says how it went."""


class Consumer(Protocol):
    """Consumes from one bus; belongs to one thread."""

    def run(self, handle: Handle, report: Callable[[Outcome], None]) -> None:
        """Consume until the end is asked for; report the outcome of each message.

        A message is settled on the bus only after it was handled, so that a crash means once more, never not at all.
        Raises BusAway.
        """

    def close(self) -> None:
        """Let go of the connection; never raises, whatever state it is in."""
