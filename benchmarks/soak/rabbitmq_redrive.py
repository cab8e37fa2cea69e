"""Redrives RabbitMQ dead letters while the monitor that does it is killed again and again; counts at the target.

    python -m benchmarks.soak.rabbitmq_redrive [--endpoints FILE] [--messages 20000] [--kills 10]

The whole monitor runs as its users run it, over one database, and is killed with -9. Nothing may be lost, and no more
may be doubled than the plan said for each interruption.
"""

import argparse
import contextlib
import random
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pika
from rich.console import Console
from rich.table import Table

from stack.control import Stack
from stack.state import Options, RabbitmqEndpoints, read_endpoints

ROOT = Path(__file__).parents[2]
DEAD, TARGET = "orders.dlq", "orders"
CLUSTER = "mail"
PATIENCE_SECONDS = 120.0
_FINAL = ("completed", "completed_with_failures", "cancelled", "failed")


@dataclass(frozen=True, slots=True)
class Proof:
    """What was counted: `unique` of the messages at the target, `doubled` beyond these, `stayed` in the queue."""

    messages: int
    kills: int
    unique: int
    doubled: int
    stayed: int
    allowed: int
    state: str
    adds_up: bool
    seconds: float

    @property
    def holds(self) -> bool:
        """Say whether nothing was lost, no more doubled than the plan said, and the report adds up."""
        complete = self.unique == self.messages and not self.stayed and self.state == "completed"
        return complete and self.doubled <= self.allowed and self.adds_up


def main(arguments: Sequence[str] = ()) -> int:
    """Run the proof and print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--endpoints", type=Path, help="of a stack that runs; a stack of its own is started without")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=10)
    asked = parser.parse_args(arguments)
    with broker(asked.endpoints) as endpoints:
        proof = prove(endpoints, asked.messages, asked.kills)
    table = Table(title="RabbitMQ redrive, the monitor killed with -9")
    for heading in (
        "messages",
        "kills",
        "arrived",
        "lost",
        "doubled",
        "allowed",
        "stayed",
        "state",
        "seconds",
        "holds",
    ):
        table.add_column(heading, justify="right")
    table.add_row(
        f"{proof.messages:,}", str(proof.kills), f"{proof.unique:,}", f"{proof.messages - proof.unique:,}",
        str(proof.doubled), str(proof.allowed), str(proof.stayed), proof.state, f"{proof.seconds:.0f}",
        str(proof.holds),
    )  # fmt: skip
    Console().print(table)
    return 0 if proof.holds else 1


@contextlib.contextmanager
def broker(running: Path | None) -> Iterator[RabbitmqEndpoints]:
    """Give the broker of a running stack, or one of its own that is stopped at the end."""
    if running is not None:
        yield read_endpoints(running).rabbitmq
        return
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack", Options(parts=("rabbitmq",)))
        stack.start()
        try:
            yield stack.endpoints.rabbitmq
        finally:
            stack.stop()


def prove(endpoints: RabbitmqEndpoints, messages: int, kills: int, rate: float | None = None) -> Proof:
    """Fill a dead-letter queue, redrive it with so many kills, and count."""
    began = time.monotonic()
    with (
        virtual_host(endpoints) as vhost,
        channel_of(endpoints, vhost) as channel,
        tempfile.TemporaryDirectory() as made,
    ):
        fill(channel, messages)
        config = write_config(Path(made), endpoints, vhost)
        with Monitor(config) as running:
            plan = make_plan(running.api, vhost, rate)
            job = start(running.api, plan)
            for share in range(kills):
                running.kill_at(job, int(messages * (share + random.random()) / (kills + 1)))
            ended = wait(lambda: (it := running.job(job))["state"] in _FINAL and it)
        counts = ended["counts"]
        adds_up = counts["planned"] == messages == sum(n for name, n in counts.items() if name != "planned")
        arrived, stayed = Counter(drain(channel, TARGET)), len(list(drain(channel, DEAD)))
    doubled = arrived.total() - len(arrived)
    allowed = plan["max_duplicates_per_interruption"] * kills
    seconds = time.monotonic() - began
    return Proof(messages, kills, len(arrived), doubled, stayed, allowed, ended["state"], adds_up, seconds)


@contextlib.contextmanager
def virtual_host(endpoints: RabbitmqEndpoints) -> Iterator[str]:
    """Make a virtual host with a work queue and a dead-letter queue; remove it at the end."""
    vhost = f"soak-{secrets.token_hex(4)}"
    with httpx.Client(base_url=f"{endpoints.management}/api/", trust_env=False, timeout=60) as http:
        http.put(f"vhosts/{vhost}").raise_for_status()
        user = urlsplit(endpoints.management).username
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        http.put(f"permissions/{vhost}/{user}", json=rights).raise_for_status()
        try:
            with channel_of(endpoints, vhost) as channel:
                channel.exchange_declare("dlx", durable=True)
                channel.queue_declare(TARGET, durable=True, arguments={"x-dead-letter-exchange": "dlx"})
                channel.queue_declare(DEAD, durable=True)
                channel.queue_bind(DEAD, "dlx", TARGET)
            yield vhost
        finally:
            http.delete(f"vhosts/{vhost}").raise_for_status()


@contextlib.contextmanager
def channel_of(endpoints: RabbitmqEndpoints, vhost: str) -> Iterator[Any]:
    """Open a channel into a virtual host."""
    parameters = pika.URLParameters(endpoints.amqp)
    parameters.virtual_host, parameters.heartbeat = vhost, 0
    with pika.BlockingConnection(parameters) as connection:
        yield connection.channel()


def fill(channel: Any, messages: int) -> None:
    """Publish numbered messages that say where they came from."""
    properties = pika.BasicProperties(delivery_mode=2, headers={"x-original-queue": TARGET})
    for number in range(messages):
        channel.basic_publish("", DEAD, f"message {number}".encode(), properties)
    wait(lambda: channel.queue_declare(DEAD, passive=True).method.message_count == messages)


def drain(channel: Any, queue: str) -> Iterator[bytes]:
    """Yield the bodies of all messages."""
    while (found := channel.basic_get(queue, auto_ack=True))[0] is not None:
        yield found[2]


def write_config(folder: Path, endpoints: RabbitmqEndpoints, vhost: str) -> Path:
    """Write the monitor's configuration."""
    config = folder / "monitor.yml"
    config.write_text(
        f"""
database_url: sqlite:///{folder}/eventflow.db
clusters:
  - name: {CLUSTER}
    kind: rabbitmq
    interval: 1s
    amqp_url: {endpoints.amqp}
    management_url: {endpoints.management}
    vhosts: {{include: [{vhost}]}}
    redrive: {{}}
"""
    )
    return config


class Monitor:
    """The monitor as a process, whichever run of it."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._begin()

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def job(self, id_: str) -> dict[str, Any]:
        """Return a job."""
        return dict(self.api.get(f"redrives/{id_}").raise_for_status().json())

    def kill_at(self, job: str, sent: int) -> None:
        """Kill it anywhere in the step after so many are sent, and run it again."""
        wait(lambda: self.job(job)["counts"]["sent"] >= sent)
        time.sleep(random.random() * 0.05)
        self._end()
        self._begin()

    def _begin(self) -> None:
        log = self._config.with_suffix(f".{secrets.token_hex(3)}.log")
        command = [sys.executable, "-m", "monitor", "serve", "--config", str(self._config)]
        options = ["--listen", "127.0.0.1:0", "--log-format", "json"]
        with log.open("w") as out:
            self._process = subprocess.Popen([*command, *options], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        found = wait(lambda: re.search(r"listening on (http://[0-9.:]+)", log.read_text()))
        self.api = httpx.Client(base_url=f"{found[1]}/api/v1/", trust_env=False, timeout=20.0)

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        self.api.close()


def make_plan(api: httpx.Client, vhost: str, rate: float | None) -> dict[str, Any]:
    """Plan to move everything, once the monitor has seen the queue."""
    wanted = f"{vhost}/{DEAD}"
    item = wait(lambda: next((it for it in api.get("dead-letters").json()["items"] if it["queue"] == wanted), None))
    answer = api.post("redrives/plan", json={"dead_letters": item["id"], "rate": rate})
    return dict(answer.raise_for_status().json())


def start(api: httpx.Client, plan: dict[str, Any]) -> str:
    """Start the plan; return the job's id."""
    answer = api.post("redrives", json={"plan_id": plan["id"], "hash": plan["hash"]})
    return str(answer.raise_for_status().json()["id"])


def wait(condition: Callable[[], Any]) -> Any:
    """Return the condition's first value that is not false."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise SystemExit(f"did not happen within {PATIENCE_SECONDS:g} s")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
