"""Puts messages back into the queue that they were set aside from, and removes all that is in a queue."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from pika.exceptions import ChannelClosedByBroker

from monitor.brokers.rabbitmq.amqp import refused
from monitor.brokers.rabbitmq.messages import is_returned
from monitor.brokers.rabbitmq.properties import decode_properties, encode_properties, string_field
from monitor.brokers.rabbitmq.readings import QueueKey, label_of
from monitor.brokers.rabbitmq.sending import Letter, Sender
from monitor.brokers.rabbitmq.session import Line, Session, settle
from monitor.clock import Clock
from monitor.errors import Unreachable
from monitor.letters import HEADER_ID, DeadMessage, SendResult

_MARGIN_SECONDS = 0.5


class RabbitReturner:
    """Implements `letters.Returner` for one queue, by the default exchange. One thread uses it."""

    def __init__(self, session: Session, sender: Sender, queue: QueueKey, user: str, clock: Clock) -> None:
        self._session, self._sender, self._queue, self._user, self._clock = session, sender, queue, user, clock

    def put(self, messages: Sequence[DeadMessage], deadline: float) -> Sequence[SendResult]:
        """Send each with the properties that it had, and wait for the confirms."""
        label = label_of(self._queue)
        letters = [
            Letter(id_, "", self._queue[1], _as_it_was(message, id_, self._user), message.value or b"", label)
            for message in messages
            for id_ in [f"restored:{message.position}"]
        ]
        seconds = max(0.0, deadline - self._clock.monotonic() - _MARGIN_SECONDS)
        results: Sequence[SendResult] = self._session.ask(
            lambda done: self._sender.send(letters, seconds, done), deadline, label
        )
        return results

    def close(self) -> None:
        """Let go of the connection."""
        self._session.close()


def _as_it_was(message: DeadMessage, id_: str, user: str) -> bytes:
    """Return the properties of a message that goes back: as they were, but for what would not arrive as it is.

    Copies to other queues (CC) are left out, and counts that are the broker's own. The redrive id is set anew, since a
    message that no queue takes is known by it.
    """
    properties = decode_properties(message.raw)
    kept = (entry for entry in properties.headers or () if is_returned(entry.name))
    values = dict(properties.values)
    if properties.text("user_id") not in (None, user):
        del values["user_id"]
    headers = (*kept, string_field(HEADER_ID, id_.encode()))
    return encode_properties(replace(properties, values=values, headers=headers))


def purge(line: Line, queue: str, target: str, done: "Future[Any]") -> None:
    """Remove all messages that are ready; for the loop's thread. Done with how many that were."""

    def on_open(channel: Any) -> None:
        channel.add_on_close_callback(on_closed)
        channel.queue_purge(queue, callback=lambda frame: settle(done, int(frame.method.message_count)))

    def on_closed(_channel: object, reason: Exception) -> None:
        told = refused(reason, target) if isinstance(reason, ChannelClosedByBroker) else None
        settle(done, error=told or Unreachable("the connection was lost", target=target))

    line.connection.channel(on_open_callback=on_open)
