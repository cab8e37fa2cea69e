"""A virtual host of a real broker with dead letters in it, and a bus that redrives them."""

import json
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pika
from pydantic import SecretStr

from monitor.brokers.rabbitmq.held import RabbitHeld
from monitor.brokers.rabbitmq.redrive import RabbitRedriveBus
from monitor.clock import Clock
from monitor.config import RabbitCluster
from monitor.letters import DeadMessage, Job, Outgoing, PlanRequest, SendResult, Survey
from stack.state import RabbitmqEndpoints
from tests.waiting import wait_for

CLUSTER = "mail"
DLQ, WORK = "work.dlq", "work"


class Yard:
    """One virtual host with a work queue and its dead-letter queue."""

    def __init__(self, endpoints: RabbitmqEndpoints) -> None:
        self.endpoints = endpoints
        self.vhost = f"redrive-{secrets.token_hex(4)}"
        self._http = httpx.Client(base_url=endpoints.management, trust_env=False)
        self.put(f"vhosts/{self.vhost}")
        user = urlsplit(endpoints.management).username
        self.put(f"permissions/{self.vhost}/{user}", {"configure": ".*", "write": ".*", "read": ".*"})
        self._parameters = pika.URLParameters(endpoints.amqp)
        self._parameters.virtual_host = self.vhost
        self._parameters.heartbeat = 0  # between two tests nobody reads from it
        self.buses: list[RabbitRedriveBus] = []
        self.queues: set[str] = set()

    def open(self) -> None:
        """Connect for one test."""
        self._connection = pika.BlockingConnection(self._parameters)
        self.channel = self._connection.channel()
        self.channel.confirm_delivery()

    def put(self, path: str, body: dict[str, Any] | None = None) -> None:
        """Make something by the management API."""
        self._http.put(f"/api/{path}", json=body or {}).raise_for_status()

    def get(self, path: str) -> Any:
        """Ask the management API."""
        return self._http.get(f"/api/{path}").raise_for_status().json()

    def drop_connections(self, name: str) -> int:
        """Have the broker close the connections of a name."""
        found = [
            row for row in self.get("connections") if row.get("client_properties", {}).get("connection_name") == name
        ]
        for row in found:
            self._http.delete(f"/api/connections/{quote(row['name'], safe='')}")
        return len(found)

    def queue(self, name: str, kind: str = "classic", **arguments: Any) -> str:
        """Declare a durable queue; `max_length=1` is the argument `x-max-length`."""
        named = {f"x-{key.replace('_', '-')}": value for key, value in arguments.items() if value is not None}
        self.queues.add(name)
        self.channel.queue_declare(name, durable=True, arguments={"x-queue-type": kind, **named})
        return name

    def dead_letters(
        self,
        bodies: Iterable[bytes],
        kind: str = "classic",
        properties: pika.BasicProperties | None = None,
        **extra: Any,
    ) -> None:
        """Have a consumer of the work queue reject messages, so that the broker dead-letters them."""
        self.channel.exchange_declare("dlx", "direct")
        self.queue(WORK, dead_letter_exchange="dlx")
        self.queue(DLQ, kind, **extra)
        self.channel.queue_bind(DLQ, "dlx", WORK)
        number = self.publish(WORK, bodies, properties)
        last = 0
        for _ in range(number):
            method, _properties, _body = self.channel.basic_get(WORK)
            assert method is not None
            last = method.delivery_tag or last
        self.channel.basic_nack(last, multiple=True, requeue=False)
        until(lambda: self.ready(DLQ) >= number)

    def publish(self, queue: str, bodies: Iterable[bytes], properties: pika.BasicProperties | None = None) -> int:
        """Publish straight into a queue, each confirmed."""
        number = 0
        for body in bodies:
            self.channel.basic_publish("", queue, body, properties or pika.BasicProperties(delivery_mode=2))
            number += 1
        return number

    def ready(self, queue: str) -> int:
        """Count the messages that are ready."""
        return int(self.channel.queue_declare(queue, passive=True).method.message_count)

    def drain(self, queue: str) -> list[tuple[pika.BasicProperties, bytes]]:
        """Take all messages out of a queue."""
        found: list[tuple[pika.BasicProperties, bytes]] = []
        while True:
            _method, properties, body = self.channel.basic_get(queue, auto_ack=True)
            if properties is None or body is None:
                return found
            found.append((properties, body))

    def first_count(self, queue: str) -> int:
        """Take the first message and return how often it had come back."""
        headers: Any = self.drain(queue)[0][0].headers or {}
        return int(headers.get("x-delivery-count") or 0)

    def bodies(self, queue: str) -> list[bytes]:
        """Take all messages out of a queue and return their bodies in order."""
        return [body for _, body in self.drain(queue)]

    def bus(self) -> RabbitRedriveBus:
        """Make a bus; it is closed after the test."""
        config = RabbitCluster(
            name=CLUSTER,
            kind="rabbitmq",
            management_url=SecretStr(self.endpoints.management),
            amqp_url=SecretStr(self.endpoints.amqp),
        )
        self.buses.append(RabbitRedriveBus(config, (), Clock()))
        return self.buses[-1]

    def label(self, queue: str) -> str:
        """Return the queue's label."""
        return f"{self.vhost}/{queue}"

    def clear(self) -> None:
        """Remove what tests make, and close what they opened."""
        for bus in self.buses:
            bus.close()
        self.buses.clear()
        self._connection.close()  # what a test still holds goes back first
        with pika.BlockingConnection(self._parameters) as connection:
            channel = connection.channel()
            for queue in self.queues:
                channel.queue_delete(queue)
            for exchange in ("dlx", "back", "orders"):
                channel.exchange_delete(exchange)
        self.queues.clear()

    def close(self) -> None:
        """Let go of everything and remove the virtual host."""
        self._http.delete(f"/api/vhosts/{self.vhost}").raise_for_status()
        self._http.close()


def soon(seconds: float = 15.0) -> float:
    """Return a deadline."""
    return time.monotonic() + seconds


def until(condition: Callable[[], bool], within: float = 15.0) -> None:
    """Wait for a condition."""
    wait_for(condition, seconds=within)


def plan(yard: Yard, bus: RabbitRedriveBus, queue: str = DLQ, **wishes: Any) -> Survey:
    """Survey a queue."""
    label = yard.label(queue)
    return bus.survey(label, PlanRequest(label, **wishes), soon())


def open_job(yard: Yard, bus: RabbitRedriveBus, survey: Survey, queue: str = DLQ, **wishes: Any) -> RabbitHeld:
    """Open a job for a survey; the bounds go through JSON as the journal's do."""
    request = PlanRequest(yard.label(queue), **wishes)
    bounds = json.loads(json.dumps(survey.bounds))
    job = Job(f"job-{secrets.token_hex(3)}", request, yard.label(queue), survey.target or "", bounds)
    return bus.open(job, lambda _message: None)


def outgoing(messages: Sequence[DeadMessage]) -> list[Outgoing]:
    """Return messages as they go out; as in the engine, equal messages have equal redrive ids."""
    return [Outgoing(message, f"job:{message.position}", 1) for message in messages]


def move(held: RabbitHeld, number: int = 1000) -> list[SendResult]:
    """Do what an engine does, without a journal: take, send, remove what is confirmed, until nothing is left."""
    results: list[SendResult] = []
    while messages := held.take(number, soon()):
        sent = held.send(outgoing(messages), soon())
        confirmed = [message for message, result in zip(messages, sent, strict=True) if result.confirmed]
        assert all(held.remove(confirmed, soon()))
        held.release([message for message, result in zip(messages, sent, strict=True) if not result.confirmed])
        results += sent
    return results
