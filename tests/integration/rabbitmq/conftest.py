"""A real broker, virtual hosts of their own in it, and collectors that are closed afterwards."""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pydantic import SecretStr

from monitor.brokers.rabbitmq.collector import RabbitCollector
from monitor.clock import Clock
from monitor.config import DeadLetterMapping, Filter, RabbitCluster
from monitor.model import Snapshot
from stack.state import Endpoints, RabbitmqEndpoints
from tests.waiting import wait_for

T = TypeVar("T")
ALL = ("amqp", "management", "prometheus")
CLUSTER = "mail"


class Admin:
    """The administrator's side of a broker: virtual hosts, users, policies, connections."""

    def __init__(self, endpoints: RabbitmqEndpoints) -> None:
        self.endpoints = endpoints
        self._http = httpx.Client(base_url=endpoints.management, trust_env=False)

    def put(self, path: str, body: dict[str, Any] | None = None) -> None:
        """Make something."""
        self._http.put(f"/api/{path}", json=body or {}).raise_for_status()

    def delete(self, path: str) -> None:
        """Remove something that may be gone already."""
        answer = self._http.delete(f"/api/{path}")
        if answer.status_code != httpx.codes.NOT_FOUND:
            answer.raise_for_status()

    def connect(self, vhost: str) -> pika.BlockingConnection:
        """Return a connection into a virtual host."""
        parameters = pika.URLParameters(self.endpoints.amqp)
        parameters.virtual_host = vhost
        return pika.BlockingConnection(parameters)

    def make_vhost(self) -> str:
        """Make a virtual host with a name of its own, which has a slash, a dot and a space."""
        name = f"it/{secrets.token_hex(4)}. x"
        self.put(f"vhosts/{quoted(name)}")
        user = urlsplit(self.endpoints.management).username
        self.put(f"permissions/{quoted(name)}/{user}", {"configure": ".*", "write": ".*", "read": ".*"})
        return name

    def close(self) -> None:
        """Let go."""
        self._http.close()


def quoted(name: str) -> str:
    """Return a name as a part of a path."""
    return quote(name, safe="")


def as_user(url: str, user: str, password: str) -> str:
    """Return a URL with other credentials."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.hostname}:{parts.port}"))


def until(condition: Callable[[], T | None], within: float = 60.0) -> T:
    """Return the condition's first value that is not false; fail when none comes in time."""
    return wait_for(condition, seconds=within)


@pytest.fixture(scope="session")
def admin(endpoints: Endpoints) -> Iterator[Admin]:
    """The administrator of the shared broker."""
    admin = Admin(endpoints.rabbitmq)
    yield admin
    admin.close()


@pytest.fixture(scope="module")
def vhost(admin: Admin) -> Iterator[str]:
    """A virtual host for the tests of one module."""
    name = admin.make_vhost()
    yield name
    admin.delete(f"vhosts/{quoted(name)}")


@pytest.fixture(scope="module")
def channel(admin: Admin, vhost: str) -> Iterator[BlockingChannel]:
    """A channel in the module's virtual host."""
    with admin.connect(vhost) as connection:
        yield connection.channel()


OpenCollector = Callable[..., RabbitCollector]


@pytest.fixture
def open_collector(admin: Admin) -> Iterator[OpenCollector]:
    """Make collectors; all are closed after the test."""
    opened: list[RabbitCollector] = []

    def make(
        vhosts: Sequence[str],
        sources: Sequence[str] = ALL,
        *,
        queues: Filter | None = None,
        mappings: Sequence[DeadLetterMapping] = (),
        **urls: str,
    ) -> RabbitCollector:
        known = {f"{name}_url": getattr(admin.endpoints, name) for name in sources} | urls
        config = RabbitCluster(
            name=CLUSTER,
            kind="rabbitmq",
            vhosts=Filter(include=list(vhosts)),
            queues=queues or Filter(),
            **{name: SecretStr(url) for name, url in known.items()},  # type: ignore[arg-type]
        )
        collector = RabbitCollector(config, mappings, Clock())
        opened.append(collector)
        return collector

    yield make
    for collector in opened:
        collector.close()


def collect(collector: RabbitCollector, seconds: float = 10.0) -> Snapshot:
    """Run one cycle."""
    return collector.collect(time.monotonic() + seconds)


def collect_surveyed(collector: RabbitCollector) -> Snapshot:
    """Run cycles until the set-up of the queues is known; return the last."""

    def surveyed() -> Snapshot | None:
        snapshot = collect(collector)
        return None if any("has not answered yet" in note for note in snapshot.notes) else snapshot

    return until(surveyed)


def column(snapshot: Snapshot, family: str) -> dict[str, float]:
    """Return a column of the table of queues by queue name."""
    table = snapshot.tables["queues"]
    names = next(label for label in table.labels if label.name == "queue").decode()
    return dict(zip(names, table.columns[f"rabbitmq_queue_{family}"].tolist(), strict=True))


def roles(snapshot: Snapshot) -> dict[str, str]:
    """Return the role of each queue by its name."""
    table = snapshot.tables["queue_info"]
    labels = {label.name: label.decode() for label in table.labels}
    return dict(zip(labels["queue"], labels["role"], strict=True))


def wait_for_depths(collector: RabbitCollector, **ready: float) -> Snapshot:
    """Run cycles until these queues hold so many ready messages; return the last."""

    def there() -> Snapshot | None:
        snapshot = collect(collector)
        found = column(snapshot, "messages_ready")
        return snapshot if all(found[name] == count for name, count in ready.items()) else None

    return until(there)


def take(channel: BlockingChannel, queue: str) -> int:
    """Take a message; return its delivery tag, by which it is acknowledged or rejected."""

    def tag() -> int | None:
        method = channel.basic_get(queue)[0]
        return method.delivery_tag if method is not None else None

    return until(tag)
