"""Makes a catalog of an AsyncAPI 3 document.

What the specification has no word for is told by extensions, which docs/catalog.md lists: `x-cluster` of a server,
`x-service` of an operation, `x-services` of the document, `x-version` and `x-dataschema` of a message.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from avro.errors import AvroException

from monitor.catalog.avro_schemas import parse_schema
from monitor.catalog.checking import check_document
from monitor.catalog.json_schemas import find_flaw
from monitor.catalog.model import (
    Action,
    Catalog,
    Channel,
    ChannelKind,
    Event,
    EventName,
    Format,
    Operation,
    Place,
    Schema,
    Service,
)
from monitor.catalog.reading import Document, escape, read_document, unescape
from monitor.catalog.references import Found, References, bundle
from monitor.errors import ConfigurationError
from monitor.model import System

_SYSTEMS = {
    "kafka": System.KAFKA,
    "kafka-secure": System.KAFKA,
    "amqp": System.RABBITMQ,
    "amqps": System.RABBITMQ,
    "sqs": System.SQS,
    "sns": System.SNS,
}
"""Protocols of servers that are watched; channels of other servers are told, and are nowhere to be seen."""
_PARAMETER = re.compile(r"\{([\w-]+)\}")
_VERSION_AT_END = re.compile(r"^(.+?)[._/-]?[vV](\d{1,9}(?:\.\d{1,9}){0,3})$")


def load_catalog(path: Path) -> Catalog:
    """Read a catalog from a file. Raises ConfigurationError, whose text has one line a mistake with its place."""
    return make_catalog(read_document(path))


def make_catalog(document: Document) -> Catalog:
    """Make a catalog of a document that has been read. Raises ConfigurationError."""
    check_document(document)
    return _Loader(document).load()


class _Loader:
    """Reads one document, which is valid and whose references lead somewhere."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._root: Any = document.values
        self._references = References(document.values)
        self._mistakes: list[str] = []
        self._events: dict[EventName, Event] = {}
        self._names: dict[str, EventName] = {}  # by the pointer of the message

    def load(self) -> Catalog:
        info = self._root["info"]
        channels = {key: self._channel(key, found) for key, found in self._entries("/channels")}
        operations = [self._operation(key, found, channels) for key, found in self._entries("/operations")]
        for _, found in self._entries("/components/messages"):
            self._name(found)
        if self._mistakes:
            raise ConfigurationError("\n".join(self._mistakes))
        services = self._services(operations)
        events = {name: self._events[name] for name in sorted(self._events)}
        whole = (services, events, channels, tuple(it for it in operations if it))
        return Catalog(info["title"], str(info["version"]), self._document.name, *whole)

    def _entries(self, pointer: str) -> Iterator[tuple[str, Found]]:
        value: Any = self._root
        for part in pointer.split("/")[1:]:
            value = value.get(part) or {}
        for key, entry in value.items():
            yield key, self._references.follow(entry, f"{pointer}/{escape(key)}")

    def _mistake(self, pointer: str, sentence: str) -> None:
        self._mistakes.append(f"{self._document.place(pointer)}: {sentence}")

    # -- channels and operations --------------------------------------------------------------------------------------

    def _channel(self, key: str, found: Found) -> Channel:
        value = found.value
        messages = value.get("messages") or {}
        named = [
            self._name(self._references.follow(it, f"{found.pointer}/messages/{escape(name)}"))
            for name, it in messages.items()
        ]
        address = value.get("address") or ""
        places = tuple(
            place
            for server in self._servers(value)
            if (place := _place(server, value, address or key, self._parameters(found)))
        )
        return Channel(key, address, places, tuple(named), value.get("summary") or value.get("description") or "")

    def _parameters(self, channel: Found) -> dict[str, Mapping[str, Any]]:
        told = channel.value.get("parameters") or {}
        where = f"{channel.pointer}/parameters"
        return {name: self._references.follow(it, f"{where}/{escape(name)}").value for name, it in told.items()}

    def _servers(self, channel: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
        """Return the servers of a channel; one that names none is on all of them."""
        known = {found.pointer: (key, found.value) for key, found in self._entries("/servers")}
        wanted = channel.get("servers")
        if not wanted:
            return list(known.values())
        pointers = [self._references.follow(it, "").pointer for it in wanted]
        return [known[pointer] for pointer in pointers if pointer in known]

    def _operation(self, key: str, found: Found, channels: Mapping[str, Channel]) -> Operation | None:
        value = found.value
        channel = self._references.follow(value["channel"], f"{found.pointer}/channel")
        at = next((name for name, it in self._entries("/channels") if it.pointer == channel.pointer), None)
        if at is None:
            self._mistake(f"{found.pointer}/channel", "is no channel of this document")
            return None
        listed = value.get("messages")
        events = channels[at].events if listed is None else tuple(self._listed(listed, found, channels[at]))
        service = str(value.get("x-service") or self._root["info"]["title"])
        pattern = self._group_pattern(found)
        return Operation(key, Action(value["action"]), service, at, events, tuple(_groups(value)), pattern)

    def _group_pattern(self, operation: Found) -> str:
        pattern = str(_group_schema(operation.value).get("pattern") or "")
        try:
            re.compile(pattern)
        except re.error as error:
            place = f"{operation.pointer}/bindings/kafka/groupId/pattern"
            self._mistake(place, f"is no regular expression: {error}")
        return pattern

    def _listed(self, listed: list[Any], operation: Found, channel: Channel) -> Iterator[EventName]:
        for place, entry in enumerate(listed):
            pointer = f"{operation.pointer}/messages/{place}"
            name = self._name(self._references.follow(entry, pointer))
            if name in channel.events:
                yield name
            else:
                self._mistake(pointer, f"is no message of the channel {channel.key}; add it there")

    # -- messages -----------------------------------------------------------------------------------------------------

    def _name(self, found: Found) -> EventName:
        """Return the name of a message, which is read when it is first met."""
        if found.pointer not in self._names:
            key = unescape(found.pointer.rpartition("/")[2])
            name = _name_of(key, found.value)
            self._names[found.pointer] = name
            if name in self._events:
                told = f"is a second message called {name}; give it another name or x-version"
                self._mistake(found.pointer, told)
            self._events[name] = self._event(name, key, found)
        return self._names[found.pointer]

    def _event(self, name: EventName, key: str, found: Found) -> Event:
        value = found.value
        payload = self._schema(value.get("payload"), f"{found.pointer}/payload")
        examples = [it["payload"] for it in value.get("examples") or () if "payload" in it]
        default = str(self._root.get("defaultContentType") or "")
        return Event(
            name,
            key,
            value.get("title") or "",
            value.get("summary") or value.get("description") or "",
            value.get("contentType") or default,
            payload,
            self._schema(value.get("headers"), f"{found.pointer}/headers"),
            tuple(examples),
            str(value.get("x-dataschema") or (payload.uri if payload else "")),
            bool(value.get("deprecated") or value.get("x-deprecated")),
        )

    def _schema(self, value: Any, pointer: str) -> Schema | None:
        if value is None:
            return None
        found = self._references.follow(value, pointer)
        if not isinstance(found.value, Mapping) or "schemaFormat" not in found.value:
            return self._json_schema(found, "")
        dialect = str(found.value["schemaFormat"])
        inner = self._references.follow(found.value.get("schema"), f"{found.pointer}/schema")
        if "avro" in dialect:
            return self._avro_schema(inner, dialect)
        if "openapi" in dialect or "protobuf" in dialect or "raml" in dialect:
            return Schema(Format.OTHER, inner.value, dialect)
        return self._json_schema(inner, dialect)

    def _json_schema(self, found: Found, dialect: str) -> Schema:
        body = bundle(found.value, self._references)
        uri = body.get("$id", "") if isinstance(body, dict) else ""
        if uri:
            # References are the document's own by now; an address of the schema would make others of them.
            body = {name: it for name, it in body.items() if name != "$id"}
        schema = Schema(Format.JSON, body, dialect, str(uri))
        if dialect and (flaw := find_flaw(schema)):  # others have been checked with the document
            self._mistake(found.pointer, flaw)
        return schema

    def _avro_schema(self, found: Found, dialect: str) -> Schema:
        body = found.value
        try:
            body = json.loads(body) if isinstance(body, str) and body.lstrip()[:1] in ("{", "[") else body
            parse_schema(body)
        except (ValueError, AvroException) as error:
            self._mistake(found.pointer, f"is no Avro schema: {error}")
        return Schema(Format.AVRO, body, dialect)

    def _services(self, operations: list[Operation | None]) -> dict[str, Service]:
        told = self._root.get("x-services")
        told = told if isinstance(told, Mapping) else {}
        names = dict.fromkeys([*map(str, told), *(it.service for it in operations if it)])
        entries = {name: told[name] if isinstance(told.get(name), Mapping) else {} for name in names}
        return {
            name: Service(name, str(it.get("owner") or ""), str(it.get("summary") or ""))
            for name, it in entries.items()
        }


def _name_of(key: str, message: Mapping[str, Any]) -> EventName:
    """Return name and version of a message: as it says, or as the end of its key or name says (`OrderCreated.v2`)."""
    name, version = str(message.get("name") or ""), message.get("x-version")
    of_key = _VERSION_AT_END.match(key)
    of_name = _VERSION_AT_END.match(name)
    if version is None:
        version = (of_name or of_key or ("", "", ""))[2]
    return EventName(of_name[1] if of_name else name or (of_key[1] if of_key else key), str(version))


def _place(
    server: tuple[str, Mapping[str, Any]],
    channel: Mapping[str, Any],
    address: str,
    parameters: Mapping[str, Mapping[str, Any]],
) -> Place | None:
    key, value = server
    system = _SYSTEMS.get(str(value.get("protocol", "")).lower())
    if system is None:
        return None
    kind, name = _destination(system, channel.get("bindings") or {}, address)
    return Place(str(value.get("x-cluster") or key), system, kind, *_expand(name, parameters))


def _expand(name: str, parameters: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """Return a name with the defaults of its parameters (`{flow}orders`), and what fits all that it may be, if any."""
    default, pattern = "", ""
    for place, part in enumerate(_PARAMETER.split(name)):
        parameter = parameters.get(part) if place % 2 else None
        text = f"{{{part}}}" if place % 2 else part
        default += text if parameter is None else str(parameter.get("default", text))
        pattern += re.escape(text) if parameter is None else _values_of(parameter)
    return default, pattern if pattern != re.escape(name) else ""


def _values_of(parameter: Mapping[str, Any]) -> str:
    values = parameter.get("enum")
    return f"(?:{'|'.join(re.escape(str(it)) for it in values)})" if isinstance(values, list) else ".*"


def _destination(system: System, bindings: Mapping[str, Any], address: str) -> tuple[ChannelKind, str]:
    """Return what a channel is at its broker, and its name there: as its bindings say, else its address."""
    if system is System.KAFKA:
        return ChannelKind.TOPIC, str((bindings.get("kafka") or {}).get("topic") or address)
    if system is System.SQS:
        queue = (bindings.get("sqs") or {}).get("queue") or {}
        return ChannelKind.QUEUE, str(queue.get("name") or address)
    if system is System.SNS:
        return ChannelKind.TOPIC, str((bindings.get("sns") or {}).get("name") or address)
    amqp = bindings.get("amqp") or {"is": "queue"}
    kind = ChannelKind.QUEUE if amqp.get("is") == "queue" else ChannelKind.EXCHANGE
    of_kind = amqp.get("queue" if kind is ChannelKind.QUEUE else "exchange") or {}
    name, vhost = str(of_kind.get("name") or address), str(of_kind.get("vhost") or "/")
    return kind, name if vhost == "/" else f"{vhost}/{name}"


def _groups(operation: Mapping[str, Any]) -> Iterator[str]:
    """Yield the consumer groups that the Kafka binding of an operation names."""
    schema = _group_schema(operation)
    yield from (
        str(it) for it in schema.get("enum") or [schema[key] for key in ("const", "default") if key in schema][:1]
    )


def _group_schema(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `groupId` of the Kafka binding of an operation, which is a schema."""
    schema = ((operation.get("bindings") or {}).get("kafka") or {}).get("groupId")
    return schema if isinstance(schema, Mapping) else {}
