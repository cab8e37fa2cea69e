"""Where a scenario happens: a flow under names of its own, on the demo's brokers, seen by the demo's monitor."""

import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from examples.event_flow import orders, payment
from examples.event_flow.buses.base import BusAway, Message
from examples.event_flow.downstream import Condition, World
from examples.event_flow.events import to_bytes, to_document
from examples.event_flow.flow import Flow, remove
from examples.event_flow.metrics import Metrics
from examples.event_flow.names import Endpoints, Names
from examples.event_flow.outcomes import Outcome, Tally
from examples.event_flow.publishing import Publishing, publishing_workers
from examples.event_flow.running import Crew, Stop
from examples.event_flow.scenarios.books import Books
from examples.event_flow.scenarios.forwarding import Forwarder, through
from examples.event_flow.shop import Purchase, order_created, purchases
from monitor.apiclient import ApiClient
from monitor.errors import MonitorRefused, MonitorUnreachable

ROOT = Path(__file__).parents[3]
PUBLISHING_SECONDS = 120.0
ENDING_SECONDS = 20.0
REMOVING_SECONDS = 60.0  # the broker misses a killed member of the newer protocol after 45 s
_LOOK_SECONDS = 0.1

T = TypeVar("T")
Write = Callable[[dict[str, Any]], bytes]
"""Writes the document of a healthy `OrderCreated` the way it is published."""


class NotSeen(Exception):
    """Something that must come about has not; `str()` says what was seen instead."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What scenarios run against. `size` is how many orders a scenario places at a time."""

    endpoints_file: Path
    folder: Path
    client: ApiClient
    size: int


@dataclass(slots=True)
class Ground:
    """The flow of one scenario: its consumers are processes, its orders come from here."""

    setting: Setting
    name: str
    buses: tuple[str, ...]
    names: Names = field(init=False)
    endpoints: Endpoints = field(init=False)
    books: Books = field(init=False)
    clusters: dict[str, str] = field(init=False)
    ordered: list[Purchase] = field(default_factory=list)
    endpoints_file: Path = field(init=False)
    forwarder: Forwarder | None = None
    forwarding_port: int = 0
    _processes: dict[str, list["subprocess.Popen[bytes]"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = Names(f"{self.name}-{secrets.token_hex(2)}-")
        self.endpoints_file = self.setting.endpoints_file
        self.endpoints = Endpoints.load(self.endpoints_file)
        self.books = Books(self.store)
        self.clusters = {item["system"]: item["cluster"] for item in reversed(self.client.collectors())}

    @property
    def client(self) -> ApiClient:
        """The monitor."""
        return self.setting.client

    @property
    def store(self) -> Path:
        """The folder of the services' databases."""
        return self.setting.folder / self.names.prefix

    def wait(self, look: Callable[[], tuple[T | None, str]], within_seconds: float) -> T:
        """Look until there is something, and return it. Raises NotSeen with what was seen last."""
        deadline = time.monotonic() + within_seconds
        while True:
            try:
                found, seen = look()
            except MonitorUnreachable as away:  # as for a moment on a busy machine
                found, seen = None, str(away)
            if found is not None:
                return found
            if time.monotonic() > deadline:
                raise NotSeen(f"after {within_seconds:.0f} s: {seen}")
            time.sleep(_LOOK_SECONDS)

    # The services

    def start(self, service: str, *options: str) -> None:
        """Start one more process of a service."""
        self.store.mkdir(parents=True, exist_ok=True)
        self._make_stores()
        chosen = [part for bus in self.buses for part in ("--bus", bus)]
        argv = [sys.executable, "-m", "examples.event_flow", service, "--prefix", self.names.prefix, *chosen, *options]
        where = ["--endpoints", str(self.endpoints_file), "--store", str(self.store)]
        calm = ["--flaky", "0", "--work", "0", "--sqs-redelivery", "0"]
        with (self.store / f"{service}.log").open("ab") as log:
            process = subprocess.Popen([*argv, *where, *calm], cwd=ROOT, stdout=log, stderr=log)  # noqa: S603
        self._processes.setdefault(service, []).append(process)

    def stop(self, service: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End the newest process of a service."""
        process = self._processes[service].pop()
        process.send_signal(how)
        try:
            process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise NotSeen(f"{service} has not ended after {ENDING_SECONDS:.0f} s") from None

    def put(self, system: str, condition: Condition) -> None:
        """Have a service downstream do as told."""
        with closing(World(self.store / "world.db")) as world:
            world.put(system, condition)

    def _make_stores(self) -> None:
        # Here, and not in two processes that start side by side.
        World(self.store / "world.db").close()
        self.books.make()

    # The orders

    def order(
        self,
        number: int,
        write: Write = to_bytes,
        key: str | None = None,
        times: int = 1,
        clock_error_seconds: float = 0.0,
        seed: int | None = None,
    ) -> None:
        """Place orders and publish them, `times` over; all under one key if there is one. Raises NotSeen."""

        def message(purchase: Purchase, now: datetime) -> Message:
            event = order_created(purchase, now)
            body = write(to_document(event))
            return Message(event.id, event.type, key or purchase.order.order_id, body)

        seed = secrets.randbits(32) if seed is None else seed
        for turn in range(times):
            # Each time from a store of its own, as a relay would that lost its last confirmations.
            store = self.store / f"turn-{turn}"
            publishing = Publishing(orders.SERVICE, orders.TABLES, message, orders.note)
            self._publish(
                publishing, replace(self._flow(seed, number), store=store, clock_error_seconds=clock_error_seconds)
            )
        self.ordered += islice(purchases(seed, 0.0), number)

    def pay(self, number: int) -> int:
        """Have payments come in for orders that are not placed yet; return the seed of those orders."""
        seed = secrets.randbits(32)
        publishing = Publishing(payment.SERVICE, payment.TABLES, payment.message, payment.note)
        self._publish(publishing, self._flow(seed, number))
        return seed

    def _flow(self, seed: int, number: int) -> Flow:
        tally = Tally()
        return Flow(
            self.endpoints,
            self.names,
            Stop(),
            tally,
            Metrics(tally),
            self.store,
            seed,
            buses=self.buses,
            poison_share=0.0,
            orders=number,
        )

    def _publish(self, publishing: Publishing, flow: Flow) -> None:
        crew = Crew(publishing_workers(publishing, flow), flow.stop, flow.tally)
        crew.start()
        deadline = time.monotonic() + PUBLISHING_SECONDS
        crew.wait(lambda: time.monotonic() > deadline)
        crew.end()
        published = {bus: flow.tally.get(f"{publishing.service}/{bus}", Outcome.PUBLISHED) for bus in flow.buses}
        if set(published.values()) != {flow.orders}:
            raise NotSeen(f"published in {PUBLISHING_SECONDS:.0f} s: {published} of {flow.orders}")

    # The network

    def lead_rabbitmq_through(self, port: int) -> None:
        """Have the processes that are started from now on find RabbitMQ at another port of this machine."""
        found = json.loads(self.endpoints_file.read_text(encoding="utf-8"))
        found["rabbitmq"]["amqp"] = through(port, found["rabbitmq"]["amqp"])
        self.endpoints_file = self.store / "endpoints.json"
        self.endpoints_file.parent.mkdir(parents=True, exist_ok=True)
        self.endpoints_file.write_text(json.dumps(found), encoding="utf-8")
        self.forwarding_port = port
        self.connect()

    def connect(self) -> None:
        """Open the way to RabbitMQ."""
        self.forwarder = Forwarder(self.forwarding_port, urlsplit(self.endpoints.amqp).port or 0)

    def cut(self) -> None:
        """Cut the way to RabbitMQ, if it leads through here."""
        if self.forwarder is not None:
            self.forwarder.close()
            self.forwarder = None

    # What the monitor calls things

    def subscription(self, service: str, bus: str) -> str:
        """Return the id under which the monitor knows a consumer."""
        cluster = self.clusters[bus]
        return {
            "kafka": f"{cluster}/{self.names.kafka_group(service)}/{self.names.kafka_topic}",
            "rabbitmq": f"{cluster}/{self.names.queue(service)}",
            "aws": f"{cluster}/{self.names.sqs_queue}",
        }[bus]

    def dead_letters(self, service: str, bus: str) -> str:
        """Return the id under which the monitor knows the dead letters of a consumer."""
        cluster = self.clusters[bus]
        return {
            "kafka": f"{cluster}/{self.names.kafka_dead_letter_topic}",
            "rabbitmq": f"{cluster}/{self.names.dead_letter_queue(service)}",
            "aws": f"{cluster}/{self.names.sqs_dead_letter_queue}",
        }[bus]

    def seen(self, ask: Callable[[str], T], id_: str) -> T | None:
        """Ask the monitor for something that it may not have seen yet."""
        try:
            return ask(id_)
        except MonitorRefused as refused:
            if refused.status == 404:
                return None
            raise

    # The end

    def close(self) -> None:
        """End all processes, and remove what the flow has made on the brokers.

        Raises NotSeen after all of them were tried, where one keeps something.
        """
        running = [process for processes in self._processes.values() for process in processes]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.cut()
        kept: list[str] = []
        for bus in self.buses:
            try:
                self.wait(partial(self._removed, bus), REMOVING_SECONDS)
            except NotSeen as missing:
                kept.append(f"{bus}: {missing}")
        if kept:
            raise NotSeen("; ".join(kept))

    def _removed(self, bus: str) -> tuple[bool | None, str]:
        try:
            remove(bus, self.endpoints, self.names)
        except BusAway as away:  # as Kafka says until it misses the members of a group that were killed
            return None, str(away)
        return True, ""


def consumers_of(bus: str) -> Sequence[str]:
    """Return the services that consume orders on a bus."""
    return ("notification",) if bus == "aws" else ("notification", "inventory")
