"""What bodies hold, read by their schemas: Confluent's frame with a registry, Avro with the catalog, and plain JSON.

Nothing is decompressed and nothing is fetched but schemas of the configured registry, by number. What cannot be read is
told why.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from monitor.analysis.causes import texts_of
from monitor.analysis.makers import find_makers
from monitor.analysis.payloads import FRAME_BYTES, MOST_READ_BYTES, Look, look_at
from monitor.catalog.avro_schemas import CannotDecode, decode
from monitor.catalog.model import Catalog, Format, Schema
from monitor.catalog.registry import NoSchema, SchemaRegistry
from monitor.letters import DeadMessage


class _Nothing:
    """Stands for a body that could not be read: a JSON body may well be null."""


NOTHING: Final = _Nothing()


@dataclass(frozen=True, slots=True)
class Body:
    """What a body holds, as JSON values, or NOTHING.

    `named` says by what it was decoded, empty for plain JSON, and `schema` is that; `note` says why it could not be.
    `is_wrapped` says that it is what SNS wrapped, and that fields of the message itself are others.
    """

    value: Any = NOTHING
    named: str = ""
    note: str = ""
    schema: Schema | None = None
    is_wrapped: bool = False

    @property
    def is_read(self) -> bool:
        """Say whether it could be read."""
        return not isinstance(self.value, _Nothing)


def read_body(message: DeadMessage, catalog: Catalog | None, registry: SchemaRegistry | None) -> Body:
    """Return what a body holds."""
    headers = texts_of(message)
    look = look_at(message.value, headers)
    if message.value is None or look.flaw:
        return Body()
    if look.schema_id is not None:
        return _read_framed(message.value, look, registry)
    if "avro" in headers.get("content-type", headers.get("content_type", "")).lower():
        return _read_by_catalog(message.value, find_makers(message, headers), catalog)
    return _unwrapped(_read_json(message.value))


def _unwrapped(body: Body) -> Body:
    """Return the notification that SNS wraps for a queue, unless the subscription asks for raw delivery."""
    told = body.value if isinstance(body.value, dict) and body.value.get("Type") == "Notification" else {}
    if not isinstance(told.get("TopicArn"), str) or not isinstance(told.get("Message"), str):
        return body
    inner = _read_json(told["Message"].encode("utf-8", "replace"))
    return replace(inner, named="the notification of SNS", is_wrapped=True) if inner.is_read else body


def _read_framed(value: bytes, look: Look, registry: SchemaRegistry | None) -> Body:
    if registry is None:
        return Body(note="no schema registry is configured")
    assert look.schema_id is not None  # noqa: S101 (only then is it framed)
    try:
        schema = registry.find(look.schema_id)
    except NoSchema as error:
        return Body(note=str(error))
    named = f"schema {look.schema_id} of the registry"
    if schema.format is Format.JSON:
        return _read_json(value[FRAME_BYTES:], named, schema)
    return _read_avro(value[FRAME_BYTES:], schema, named)


def _read_by_catalog(value: bytes, told: Mapping[str, str], catalog: Catalog | None) -> Body:
    """Read Avro that has no frame: by the schema that its headers name, if it is in the catalog."""
    kind, named = told.get("type", ""), told.get("schema", "")
    for event in catalog.events.values() if catalog else ():
        by_name = kind and kind in (event.id.name, event.key) and (not named or named == event.id.version)
        is_meant = by_name or (named and named == event.data_schema)
        if is_meant and event.payload and event.payload.format is Format.AVRO:
            return _read_avro(value, event.payload, f"{event.id} of the catalog")
    return Body(note="it is Avro without its schema, and its headers name none of the catalog")


def _read_avro(value: bytes, schema: Schema, named: str) -> Body:
    try:
        return Body(_plain(decode(value, schema)), named, schema=schema)
    except CannotDecode as error:
        return Body(note=f"by {named}: {error}")


def _read_json(value: bytes, named: str = "", schema: Schema | None = None) -> Body:
    if len(value) > MOST_READ_BYTES:
        return Body(note=f"it is larger than {MOST_READ_BYTES:,} bytes" if named else "")
    try:
        return Body(json.loads(value), named, schema=schema)
    except (ValueError, RecursionError):
        return Body(note=f"by {named}: it is no JSON that can be read" if named else "")


def _plain(value: Any) -> Any:
    """Return decoded values as JSON has them; they are not deeper than the decoder goes."""
    if isinstance(value, Mapping):
        return {str(name): _plain(it) for name, it in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(it) for it in value]
    if isinstance(value, bytes):
        return value.decode("latin-1")  # as Avro's own JSON encoding writes bytes
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | timedelta):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
