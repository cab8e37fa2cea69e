"""The outbox between a service and one bus: events wait there until the bus has confirmed them."""

import threading
from itertools import islice

from examples.event_flow.buses.base import Message


class Outbox:
    """A bounded, ordered store of messages that are still to be published. Two threads share it."""

    def __init__(self, capacity: int = 50_000) -> None:
        self._messages: dict[str, Message] = {}
        self._capacity = capacity
        self._closed = False
        self._changed = threading.Condition()

    def put(self, message: Message, timeout_seconds: float) -> bool:
        """Add a message; False says that there was no room in all that time."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._messages) < self._capacity, timeout_seconds):
                return False
            self._messages[message.event_id] = message
            self._changed.notify_all()
            return True

    def look(self, limit: int, timeout_seconds: float) -> list[Message]:
        """Return the oldest messages, which stay in the outbox; empty where none came in all that time."""
        with self._changed:
            self._changed.wait_for(lambda: self._messages or self._closed, timeout_seconds)
            return list(islice(self._messages.values(), limit))

    def remove(self, message: Message) -> None:
        """Take out a message that the bus has confirmed."""
        with self._changed:
            self._messages.pop(message.event_id, None)
            self._changed.notify_all()

    def close(self) -> None:
        """Say that no more messages come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def finished(self) -> bool:
        """Whether everything has been published and nothing more comes."""
        with self._changed:
            return self._closed and not self._messages

    def __len__(self) -> int:
        with self._changed:
            return len(self._messages)
