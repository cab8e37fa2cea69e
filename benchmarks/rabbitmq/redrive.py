"""Messages a second from a dead-letter queue to its origin: a job with its journal beside a shovel, in one run.

    python -m benchmarks.rabbitmq.redrive --endpoints FILE [--messages 50000]

The shovel is the broker's own, with on-confirm and a prefetch of 1000; it works within the broker, at no cost of ours.
"""

import argparse
import contextlib
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pika
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from benchmarks.soak.jobs import carry_out
from monitor.brokers.rabbitmq.redrive import RabbitRedriveBus
from monitor.clock import Clock
from monitor.config import RabbitCluster
from monitor.letters import Job, PlanRequest
from stack.state import RabbitmqEndpoints, read_endpoints

BATCH = 1000
BODY = b"x" * 512


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--endpoints", type=Path, default=Path(".stack/endpoints.json"))
    parser.add_argument("--messages", type=int, default=50_000)
    asked = parser.parse_args()
    figures, seconds = measure(read_endpoints(asked.endpoints).rabbitmq, asked.messages)
    table = Table(title=f"RabbitMQ redrive, {asked.messages:,} messages of {len(BODY)} bytes")
    for heading in ("way", "messages a second", "beside the shovel"):
        table.add_column(heading, justify="right")
    for way, rate in figures.items():
        table.add_row(way, f"{rate:,.0f}", f"{rate / figures['shovel']:.2f}")
    Console().print(table)
    Console().print(f"processor time of the job: {seconds / asked.messages * 1e6:.0f} µs a message")


def measure(endpoints: RabbitmqEndpoints, messages: int) -> tuple[dict[str, float], float]:
    """Return messages a second by way, and the seconds of processor time that the redrive took of this process."""
    with place(endpoints) as (vhost, channel, http):
        fill(channel, messages)
        began = time.monotonic()
        shovel(endpoints, http, vhost)
        wait(lambda: ready(channel, "target") == messages)
        shovelled = messages / (time.monotonic() - began)
        http.delete(f"parameters/shovel/{vhost}/bench")
        channel.queue_purge("target")
        fill(channel, messages)
        used = time.process_time()
        redriven = messages / redrive(endpoints, vhost, messages)
        used = time.process_time() - used
        if ready(channel, "target") != messages:
            raise SystemExit("not all messages arrived")
        return {"shovel": shovelled, "redrive": redriven}, used


@contextlib.contextmanager
def place(endpoints: RabbitmqEndpoints) -> Iterator[tuple[str, Any, httpx.Client]]:
    """Make a virtual host with two queues; remove it at the end."""
    vhost = f"bench-{secrets.token_hex(4)}"
    with httpx.Client(base_url=f"{endpoints.management}/api/", trust_env=False, timeout=120) as http:
        http.put(f"vhosts/{vhost}").raise_for_status()
        user = urlsplit(endpoints.management).username
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        http.put(f"permissions/{vhost}/{user}", json=rights).raise_for_status()
        try:
            parameters = pika.URLParameters(endpoints.amqp)
            parameters.virtual_host, parameters.heartbeat = vhost, 0
            with pika.BlockingConnection(parameters) as connection:
                channel = connection.channel()
                for queue in ("dead", "target"):
                    channel.queue_declare(queue, durable=True)
                yield vhost, channel, http
        finally:
            http.delete(f"vhosts/{vhost}").raise_for_status()


def fill(channel: Any, messages: int) -> None:
    """Publish persistent messages into the dead-letter queue."""
    for number in range(messages):
        properties = pika.BasicProperties(delivery_mode=2, message_id=str(number))
        channel.basic_publish("", "dead", BODY, properties)
    wait(lambda: ready(channel, "dead") == messages)


def shovel(endpoints: RabbitmqEndpoints, http: httpx.Client, vhost: str) -> None:
    """Have the broker move everything by itself."""
    uri = f"{endpoints.amqp.rpartition('/')[0]}/{quote(vhost, safe='')}"
    value = {
        "src-protocol": "amqp091", "src-uri": uri, "src-queue": "dead", "src-prefetch-count": BATCH,
        "dest-protocol": "amqp091", "dest-uri": uri, "dest-queue": "target", "ack-mode": "on-confirm",
    }  # fmt: skip
    http.put(f"parameters/shovel/{vhost}/bench", json={"value": value}).raise_for_status()


def redrive(endpoints: RabbitmqEndpoints, vhost: str, messages: int) -> float:
    """Redrive as a job does, journal included; return the seconds."""
    config = RabbitCluster(
        name="bench",
        kind="rabbitmq",
        management_url=SecretStr(endpoints.management),
        amqp_url=SecretStr(endpoints.amqp),
    )
    clock, queue = Clock(), f"{vhost}/dead"
    bus, request = RabbitRedriveBus(config, (), clock), PlanRequest(queue, target="target")
    survey = bus.survey(queue, request, clock.monotonic() + 60)
    job = Job("bench", request, queue, survey.target or "", {**survey.bounds, "count": messages})
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(bus):
        began = time.monotonic()
        carry_out(bus, job, messages, Path(folder), clock)
        return time.monotonic() - began


def ready(channel: Any, queue: str) -> int:
    """Count the messages that are ready."""
    return int(channel.queue_declare(queue, passive=True).method.message_count)


def wait(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + 300
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("did not happen within 300 s")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
