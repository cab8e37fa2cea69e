"""Dead letters on each bus for the proofs of redrive: how a monitor reaches them, and what is where."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.soak import rabbitmq_redrive as rabbitmq
from benchmarks.soak import sqs_redrive as sqs
from monitor.model import encode_id
from stack.control import Stack
from stack.ports import reserve_ports
from stack.state import Options, RabbitmqEndpoints
from tests.integration.kafka.link import Link, linked_broker
from tests.integration.kafka.playground import Playground
from tests.integration.redrive.kafka.yard import Yard, spring_headers

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True, slots=True)
class Ground:
    """A dead-letter queue and its target. `clusters` is configuration, `queue` the dead-letter queue's id.

    `fill` puts so many numbered messages into the queue, `waiting` counts what is there, `arrived` takes what is at the
    target: how often each message is there. A monitor goes over `link`, if there is one. Each message has `mark` in it.
    """

    clusters: str
    queue: str
    link: Link | None
    fill: Callable[[int], None]
    arrived: Callable[[], Counter[bytes]]
    waiting: Callable[[], int]
    mark: bytes


@contextmanager
def on_kafka(bootstrap: str, link: Link | None = None) -> Iterator[Ground]:
    """Make topics. Kafka keeps its records, and only a plan could tell what waits: nothing is said of it here."""
    kafka = Playground(bootstrap)
    yard = Yard(kafka)
    names = f'{{include: ["{kafka.prefix}*"]}}'
    seen = link.address if link else bootstrap
    about = f'name: k, kind: kafka, bootstrap_servers: "{seen}", interval: 500ms, topics: {names}, groups: {names}'
    try:
        target, dead = yard.pair(4)
        yield Ground(
            f"  - {{{about}, redrive: {{}}}}\n",
            f"k/{dead}",
            link,
            lambda messages: yard.fill(dead, messages, spring_headers(target)),
            lambda: Counter(message.value() or b"" for message in yard.read(target)),
            lambda: 0,
            b'{"id": ',
        )
    finally:
        kafka.clean()


@contextmanager
def on_rabbitmq(where: RabbitmqEndpoints, link: Link | None = None) -> Iterator[Ground]:
    """Make a virtual host with both queues."""
    amqp = where.amqp if link is None else where.amqp.replace(f":{urlsplit(where.amqp).port}/", f":{link.port}/")
    with rabbitmq.virtual_host(where) as vhost:
        about = f'name: mail, kind: rabbitmq, interval: 500ms, amqp_url: "{amqp}", management_url: "{where.management}"'

        def fill(messages: int) -> None:
            with rabbitmq.channel_of(where, vhost) as channel:
                rabbitmq.fill(channel, messages)

        def arrived() -> Counter[bytes]:
            with rabbitmq.channel_of(where, vhost) as channel:
                return Counter(rabbitmq.drain(channel, rabbitmq.TARGET))

        def waiting() -> int:
            with rabbitmq.channel_of(where, vhost) as channel:
                return int(channel.queue_declare(rabbitmq.DEAD, passive=True).method.message_count)

        clusters = f"  - {{{about}, vhosts: {{include: [{vhost}]}}, redrive: {{}}}}\n"
        yield Ground(clusters, encode_id("mail", vhost, rabbitmq.DEAD), link, fill, arrived, waiting, b"message ")


@contextmanager
def on_sqs(endpoint: str, link: Link | None = None) -> Iterator[Ground]:
    """Make both queues."""
    with sqs.open_client(endpoint) as client, sqs.two_queues(client) as (name, dead, target):
        seen = f"http://{link.address}" if link else endpoint
        names = f"{{include: [{name}, {name.removesuffix('-dlq')}]}}"
        about = f'name: cloud, kind: aws, region: {sqs.REGION}, endpoint_url: "{seen}", interval: 1s, queues: {names}'

        def waiting() -> int:
            asked: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            found = client.get_queue_attributes(QueueUrl=dead, AttributeNames=asked)["Attributes"]
            return sum(int(found[name]) for name in asked)

        yield Ground(
            f"  - {{{about}, cloudwatch: {{enabled: false}}, redrive: {{}}}}\n",
            f"cloud/{name}",
            link,
            lambda messages: sqs.fill(client, dead, messages),
            lambda: Counter(body.encode() for body in sqs.drain(client, target)),
            waiting,
            b"message ",
        )


@contextmanager
def linked(folder: Path, target: int) -> Iterator[Link]:
    """Lay a link to a port."""
    link = Link(reserve_ports(["link"], folder)["link"], target)
    try:
        yield link
    finally:
        link.close()


@contextmanager
def own_ground(bus: str, folder: Path) -> Iterator[tuple[Ground, Stack]]:
    """Run a broker of one's own, behind a link."""
    if bus == "kafka":
        with linked_broker(folder) as (stack, link), on_kafka(stack.endpoints.kafka, link) as ground:
            yield ground, stack
        return
    stack = Stack(folder / "stack", Options(parts=(bus,)))
    stack.start()
    try:
        address = stack.endpoints.rabbitmq.amqp if bus == "rabbitmq" else stack.endpoints.aws
        with linked(folder, urlsplit(address).port or 0) as link:
            rabbit = bus == "rabbitmq"
            make = on_rabbitmq(stack.endpoints.rabbitmq, link) if rabbit else on_sqs(stack.endpoints.aws, link)
            with make as ground:
                yield ground, stack
    finally:
        stack.stop()
