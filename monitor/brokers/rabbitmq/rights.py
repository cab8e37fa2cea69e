"""What redrive must be allowed on a RabbitMQ cluster, and which of it is missing; `docs/permissions.md` lists it.

Only administrators are told permissions, so each is tried, in a way that the broker carries through without any effect:
- Reading: a consumer with an argument of the wrong type is refused for that, and only after the permission was looked
  at (`rabbit_channel`, `rabbit_amqqueue:basic_consume`; tried on 3.10 and 4.0). Nothing is delivered.
- Writing: a message published within a transaction is checked at once, and goes nowhere when that is rolled back.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from pika.exceptions import ChannelClosedByBroker

from monitor.brokers.rabbitmq.amqp import REFUSED
from monitor.brokers.rabbitmq.readings import QueueKey, label_of
from monitor.brokers.rabbitmq.session import Line, Session, settle
from monitor.errors import BrokerError
from monitor.model import Finding
from monitor.words import say_names

_PREFIX = "redrive: "
_MOST_QUEUES = 100
_NO_NUMBER = {"x-priority": "none"}
_NOWHERE = "eventflow.check"

Connect = Callable[[Session, str], Line]


def try_rights(
    session: Session, connect: Connect, dead: Collection[QueueKey], fallback: str, deadline: float
) -> Iterator[Finding]:
    """Try, in each virtual host with dead-letter queues, whether messages may be taken and sent.

    `connect` opens a connection into a virtual host, `fallback` is the one that is entered where there are no such
    queues.
    """
    vhosts = sorted({vhost for vhost, _ in dead}) or [fallback]
    for vhost in vhosts:
        queues = sorted(name for home, name in dead if home == vhost)
        try:
            line = connect(session, vhost)
        except BrokerError as error:
            remedy = error.remedy or "check redrive.amqp_url, and that its user may enter this virtual host"
            yield Finding(f"{_PREFIX}{error.target}", False, error.problem, remedy)
            continue
        yield _try_reading(session, line, queues[:_MOST_QUEUES], deadline)
        yield _try_writing(session, line, deadline)


def _try_reading(session: Session, line: Line, queues: Sequence[str], deadline: float) -> Finding:
    target = f"{_PREFIX}reading in {line.vhost}"
    if not queues:
        return Finding(target, False, "no dead-letter queue is known to try it on", "", required=False)
    refused = [name for name in queues if not _is_allowed(session, line, _Consume(name), deadline)]
    if not refused:
        return Finding(target, True, f"allowed on {say_names(queues)}")
    told = say_names([label_of((line.vhost, name)) for name in refused])
    remedy = f"let the permission read of the user match {say_names(refused)}"
    return Finding(target, False, f"read is missing on {told}", remedy)


def _try_writing(session: Session, line: Line, deadline: float) -> Finding:
    target = f"{_PREFIX}writing in {line.vhost}"
    if _is_allowed(session, line, _Publish(), deadline):
        return Finding(target, True, "allowed to queues, by the default exchange")
    remedy = "let the permission write of the user match amq.default, by which queues are reached"
    return Finding(target, False, "write is missing on the default exchange", remedy)


def _is_allowed(session: Session, line: Line, trial: "_Trial", deadline: float) -> bool:
    return bool(session.ask(lambda done: trial.begin(line, done), deadline, line.target))


class _Trial:
    """One thing tried, on a channel of its own; for the loop's thread. `done` gets whether it is allowed."""

    def begin(self, line: Line, done: "Future[Any]") -> None:
        """Open the channel and try."""

        def on_closed(_channel: object, reason: Exception) -> None:
            denied = isinstance(reason, ChannelClosedByBroker) and reason.reply_code == REFUSED
            settle(done, not denied)

        def on_open(channel: Any) -> None:
            channel.add_on_close_callback(on_closed)
            self.run(channel)

        line.connection.channel(on_open_callback=on_open)

    def run(self, channel: Any) -> None:
        """Do what is to be tried; the channel's end tells how it went."""
        raise NotImplementedError


class _Consume(_Trial):
    def __init__(self, queue: str) -> None:
        self._queue = queue

    def run(self, channel: Any) -> None:
        channel.basic_consume(self._queue, lambda *_: None, arguments=_NO_NUMBER)


class _Publish(_Trial):
    def run(self, channel: Any) -> None:
        def publish(_frame: object) -> None:
            channel.basic_publish("", _NOWHERE, b"")
            channel.tx_rollback(callback=lambda _: channel.close())

        channel.tx_select(callback=publish)
