"""The events: their schemas, how they are written and how they are read.

On every bus an event is one JSON document in UTF-8:
`{"event_id": text, "type": text, "schema_version": number, "time": RFC 3339, "data": {...}}`.
Readers ignore fields that they do not know, so that a producer may add some without asking them.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

ORDER_CREATED: Final = "OrderCreated"
PAYMENT_PROCESSED: Final = "PaymentProcessed"
_EVENT_IDS = uuid.UUID("6f1b0c52-6a53-4c0e-9a56-3a1c1f0d7f0e")  # a namespace of our own, for uuid5


class BadEvent(Exception):
    """An event that no amount of retrying makes readable."""


class Unparseable(BadEvent):
    """The bytes are no JSON object."""


class UnknownType(BadEvent):
    """Nobody has written down what an event of this type looks like."""


class UnknownVersion(BadEvent):
    """The producer writes a version of the schema that this consumer has never seen."""


class MissingField(BadEvent):
    """A field that the schema demands is not there."""


class WrongType(BadEvent):
    """A field has a value that the schema does not allow."""


class Schema(BaseModel):
    """A part of an event. Strict: the text "3" is not the number 3."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


_Some = TypeVar("_Some", bound=Schema)


class Item(Schema):
    """One line of an order."""

    sku: str
    quantity: Annotated[int, Field(ge=1)]
    unit_price_cents: Annotated[int, Field(ge=0)]


class OrderCreated(Schema):
    """Data of `OrderCreated`, version 1: a customer has ordered."""

    order_id: str
    customer_email: str
    currency: str
    total_cents: Annotated[int, Field(ge=0)]
    items: Annotated[list[Item], Field(min_length=1)]


class Customer(Schema):
    """Who has ordered."""

    email: str


class Money(Schema):
    """An amount with its currency."""

    cents: Annotated[int, Field(ge=0)]
    currency: str


class OrderCreatedV2(Schema):
    """Data of `OrderCreated`, version 2: fields are moved, which breaks whoever knows nothing but version 1."""

    order_id: str
    customer: Customer
    total: Money
    items: Annotated[list[Item], Field(min_length=1)]

    def as_version_1(self) -> OrderCreated:
        """Return the same as version 1, so that services need to know but one."""
        return OrderCreated(
            order_id=self.order_id,
            customer_email=self.customer.email,
            currency=self.total.currency,
            total_cents=self.total.cents,
            items=self.items,
        )


class PaymentProcessed(Schema):
    """Data of `PaymentProcessed`, version 1: the payment provider has taken the money."""

    payment_id: str
    order_id: str
    payer_email: str
    currency: str
    amount_cents: Annotated[int, Field(ge=0)]
    method: str


class Envelope(Schema):
    """What every event has, whatever its type."""

    event_id: str
    type: str
    schema_version: int
    time: AwareDatetime
    data: dict[str, Any]


SCHEMAS: Mapping[str, Mapping[int, type[OrderCreated] | type[OrderCreatedV2] | type[PaymentProcessed]]] = {
    ORDER_CREATED: {1: OrderCreated, 2: OrderCreatedV2},
    PAYMENT_PROCESSED: {1: PaymentProcessed},
}
"""The data schema of each type and version."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event that has been read and found in order, or that is about to be published."""

    id: str
    type: str
    schema_version: int
    time: datetime
    data: OrderCreated | PaymentProcessed


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
        "data": event.data.model_dump(),
    }


def to_bytes(document: Mapping[str, Any]) -> bytes:
    """Write a document the way it travels."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def read(payload: bytes, newest_version: int = 1) -> Event:
    """Read and check an event, of a version up to the newest that this release knows.

    Raises Unparseable, MissingField, WrongType, UnknownType or UnknownVersion, all of them BadEvent.
    """
    envelope = _validate(Envelope, payload)
    if envelope.type not in SCHEMAS:
        raise UnknownType(f"no schema for events of type {envelope.type}")
    versions = {number: schema for number, schema in SCHEMAS[envelope.type].items() if number <= newest_version}
    schema = versions.get(envelope.schema_version)
    if schema is None:
        known = ", ".join(str(version) for version in sorted(versions))
        raise UnknownVersion(f"{envelope.type} version {envelope.schema_version} is unknown; known: {known}")
    found = _validate(schema, envelope.data, place="data.")
    data = found.as_version_1() if isinstance(found, OrderCreatedV2) else found
    return Event(envelope.event_id, envelope.type, envelope.schema_version, envelope.time, data)


def _validate(schema: type[_Some], value: bytes | dict[str, Any], place: str = "") -> _Some:
    try:
        return schema.model_validate_json(value) if isinstance(value, bytes) else schema.model_validate(value)
    except ValidationError as invalid:
        raise _to_bad_event(invalid, place) from None  # its text quotes the payload, which may hold personal data


def _to_bad_event(invalid: ValidationError, place: str) -> BadEvent:
    first = invalid.errors(include_url=False)[0]
    field = place + ".".join(str(part) for part in first["loc"])
    if first["type"] == "json_invalid":
        return Unparseable(f"the payload is no JSON: {first['msg'].removeprefix('Invalid JSON: ')}")
    if first["type"] == "missing":
        return MissingField(f"{field} is missing")
    if not first["loc"]:
        return Unparseable("the payload is no JSON object")
    return WrongType(f"{field}: {first['msg']}, found {type(first['input']).__name__}")
