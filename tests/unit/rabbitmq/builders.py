"""Short ways to write down a broker's set-up and numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from monitor.brokers.rabbitmq.facts import Binding, ExchangeFacts, QueueFacts, Routes
from monitor.brokers.rabbitmq.readings import QueueKey, Readings
from monitor.model import as_floats

DLX = "dlx"


def queue(name: str, *, vhost: str = "/", policy: Mapping[str, Any] | None = None, **arguments: Any) -> QueueFacts:
    """Return a durable classic queue; `dead_letter_exchange="x"` is the argument `x-dead-letter-exchange`."""
    named = {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}
    return QueueFacts(
        (vhost, name), type=named.get("x-queue-type", "classic"), arguments=named, definition=policy or {}
    )


def exchange(name: str, kind: str = "direct", *, vhost: str = "/", alternate: str | None = None) -> ExchangeFacts:
    """Return an exchange."""
    return ExchangeFacts(vhost, name, kind, alternate)


def bind(source: str, destination: str, key: str = "", *, vhost: str = "/", to_queue: bool = True) -> Binding:
    """Return a binding."""
    return Binding(vhost, source, destination, to_queue, key)


def routes(*parts: ExchangeFacts | Binding) -> Routes:
    """Return exchanges and bindings as one."""
    return Routes(
        tuple(part for part in parts if isinstance(part, ExchangeFacts)),
        tuple(part for part in parts if isinstance(part, Binding)),
    )


def key(name: str, vhost: str = "/") -> QueueKey:
    """Return a queue's key."""
    return vhost, name


def readings(keys: tuple[QueueKey, ...], **columns: list[float | None]) -> Readings:
    """Return numbers of queues; None is not known."""
    return Readings(keys, {name: as_floats(values) for name, values in columns.items()})


def nan_equal(left: np.ndarray, right: list[float | None]) -> bool:
    """Compare columns; None is NaN."""
    return np.array_equal(left, as_floats(right), equal_nan=True)
