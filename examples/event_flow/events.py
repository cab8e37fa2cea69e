"""The events: how they are written and how they are read.

On every bus an event is one JSON document in UTF-8:
`{"event_id": text, "type": text, "schema_version": number, "time": RFC 3339, "data": {...}}`.
What each has to look like stands in the catalog, see `schemas`; here is what services work with once that holds.
Readers ignore fields that they do not know, so that a producer may add some without asking them.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from pydantic_core import from_json

from examples.event_flow.schemas import Unparseable, check

ORDER_CREATED: Final = "OrderCreated"
PAYMENT_PROCESSED: Final = "PaymentProcessed"
_EVENT_IDS = uuid.UUID("6f1b0c52-6a53-4c0e-9a56-3a1c1f0d7f0e")  # a namespace of our own, for uuid5


@dataclass(frozen=True, slots=True)
class Item:
    """One line of an order."""

    sku: str
    quantity: int
    unit_price_cents: int


@dataclass(frozen=True, slots=True)
class OrderCreated:
    """A customer has ordered."""

    order_id: str
    customer_email: str
    currency: str
    total_cents: int
    items: list[Item]


@dataclass(frozen=True, slots=True)
class PaymentProcessed:
    """The payment provider has taken the money."""

    payment_id: str
    order_id: str
    payer_email: str
    currency: str
    amount_cents: int
    method: str


Data = OrderCreated | PaymentProcessed
"""What an event tells, whatever the version of its schema."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event that has been read and found in order, or that is about to be published."""

    id: str
    type: str
    schema_version: int
    time: datetime
    data: Data


def event_id(order_id: str, event_type: str) -> str:
    """Derive the id of an event from what it tells, so that publishing it once more gives the same id."""
    return str(uuid.uuid5(_EVENT_IDS, f"{order_id}/{event_type}"))


def to_document(event: Event) -> dict[str, Any]:
    """Return the JSON document of `event`, as Python values."""
    return {
        "event_id": event.id,
        "type": event.type,
        "schema_version": event.schema_version,
        "time": event.time.isoformat(),
        "data": asdict(event.data),
    }


def to_bytes(document: Mapping[str, Any]) -> bytes:
    """Write a document the way it travels."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def read(payload: bytes, newest_version: int = 1) -> Event:
    """Read and check an event, of a version up to the newest that this release knows.

    Raises Unparseable, MissingField, WrongType, UnknownType or UnknownVersion, all of them BadEvent.
    """
    document = _parse(payload)
    check(document, newest_version)
    kind, version = document["type"], document["schema_version"]
    data = _READERS[kind, version](document["data"])
    return Event(document["event_id"], kind, version, datetime.fromisoformat(document["time"]), data)


def _parse(payload: bytes) -> dict[str, Any]:
    try:
        document = from_json(payload, allow_inf_nan=False)
    except ValueError as error:  # of this parser, which is as strict as the standard, it quotes nothing
        raise Unparseable(f"the payload is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise Unparseable("the payload is no JSON object")
    return document


# One reader for each version, of data that fits its schema. All return what the newest release works with.


def _read_order_1(data: Mapping[str, Any]) -> OrderCreated:
    told = (data["order_id"], data["customer_email"], data["currency"], data["total_cents"])
    return OrderCreated(*told, _read_items(data))


def _read_order_2(data: Mapping[str, Any]) -> OrderCreated:
    total = data["total"]
    return OrderCreated(
        data["order_id"], data["customer"]["email"], total["currency"], total["cents"], _read_items(data)
    )


def _read_items(data: Mapping[str, Any]) -> list[Item]:
    return [Item(it["sku"], it["quantity"], it["unit_price_cents"]) for it in data["items"]]


def _read_payment_1(data: Mapping[str, Any]) -> PaymentProcessed:
    told = (data["payment_id"], data["order_id"], data["payer_email"], data["currency"])
    return PaymentProcessed(*told, data["amount_cents"], data["method"])


_READERS: Mapping[tuple[str, int], Callable[[Mapping[str, Any]], Data]] = {
    (ORDER_CREATED, 1): _read_order_1,
    (ORDER_CREATED, 2): _read_order_2,
    (PAYMENT_PROCESSED, 1): _read_payment_1,
}
