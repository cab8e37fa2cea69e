"""The ways in which an order can go wrong, so that the dead-letter queues have something worth reading.

Each takes the document of a healthy `OrderCreated` and returns what is published in its place.
"""

from collections.abc import Callable, Mapping
from typing import Any

from examples.event_flow.events import to_bytes

UNDELIVERABLE_DOMAIN = "mailbox.invalid"
WITHDRAWN_SKU = "SKU-WITHDRAWN"


def _without_field(document: dict[str, Any]) -> bytes:
    del document["data"]["customer_email"]
    return to_bytes(document)


def _with_wrong_type(document: dict[str, Any]) -> bytes:
    document["data"]["items"][0]["quantity"] = "three"
    return to_bytes(document)


def _with_unknown_version(document: dict[str, Any]) -> bytes:
    document["schema_version"] = 7
    return to_bytes(document)


def _with_hopeless_downstream(document: dict[str, Any]) -> bytes:
    """Keep the event in order, but name a mailbox and an article that mail server and warehouse never accept."""
    data = document["data"]
    data["customer_email"] = f"{data['customer_email'].partition('@')[0]}@{UNDELIVERABLE_DOMAIN}"
    data["items"][0]["sku"] = WITHDRAWN_SKU
    return to_bytes(document)


def _cut_short(document: dict[str, Any]) -> bytes:
    whole = to_bytes(document)
    return whole[: len(whole) * 2 // 3]


POISONS: Mapping[str, Callable[[dict[str, Any]], bytes]] = {
    "missing_field": _without_field,
    "wrong_type": _with_wrong_type,
    "unknown_version": _with_unknown_version,
    "hopeless_downstream": _with_hopeless_downstream,
    "cut_short": _cut_short,
}
"""Kind of poison -> what it does to a document."""
