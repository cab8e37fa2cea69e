"""The vocabulary of the catalog: services, the events that they send and receive, where, and how these are written."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from monitor.model import System


class Format(StrEnum):
    """How a schema is written. Only the first two can be compared and held against bodies."""

    JSON = "json"
    AVRO = "avro"
    OTHER = "other"


class Action(StrEnum):
    """What a service does at a channel."""

    SEND = "send"
    RECEIVE = "receive"


class DifferenceKind(StrEnum):
    """What differs between what is seen and what is written down."""

    DESTINATION_NOT_WRITTEN = "destination_not_written"
    CONSUMER_NOT_WRITTEN = "consumer_not_written"
    DESTINATION_NOT_SEEN = "destination_not_seen"
    CONSUMER_NOT_SEEN = "consumer_not_seen"
    EVENT_NOT_CONSUMED = "event_not_consumed"
    SCHEMA_NOT_KNOWN = "schema_not_known"


class ChannelKind(StrEnum):
    """What a channel is at its broker. An exchange of RabbitMQ keeps nothing, so that nobody sees who reads it."""

    TOPIC = "topic"
    QUEUE = "queue"
    EXCHANGE = "exchange"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Schema:
    """What a payload or its headers are to look like.

    `body` is the schema as JSON values; of JSON Schema it stands alone: what it refers to lies under its `$defs`.
    `dialect` is the name of the format as the document gives it, `uri` its `$id`, empty without one.
    """

    format: Format
    body: Any
    dialect: str = ""
    uri: str = ""


class EventName(NamedTuple):
    """A version of an event."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True)
class Event:
    """A version of an event: a message of the document. `data_schema` is by which URI CloudEvents name its schema."""

    id: EventName
    key: str
    title: str = ""
    summary: str = ""
    content_type: str = ""
    payload: Schema | None = None
    headers: Schema | None = None
    examples: tuple[Any, ...] = ()
    data_schema: str = ""
    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a channel is: a cluster as the configuration names it, and its destination as labels do.

    Of an address with parameters, `destination` is the one with their defaults, and `pattern` fits all that is meant.
    """

    cluster: str
    system: System
    kind: ChannelKind
    destination: str
    pattern: str = ""

    def covers(self, destination: str) -> bool:
        """Say whether a destination is meant."""
        return destination == self.destination or (
            bool(self.pattern) and re.fullmatch(self.pattern, destination) is not None
        )


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of the document, with the places that its servers and bindings give it."""

    key: str
    address: str
    places: tuple[Place, ...]
    events: tuple[EventName, ...]
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """What a service does: send events to a channel, or receive them.

    `groups` are Kafka's consumer groups by name, `group_pattern` fits the names of others.
    """

    key: str
    action: Action
    service: str
    channel: str
    events: tuple[EventName, ...]
    groups: tuple[str, ...] = ()
    group_pattern: str = ""

    def names_group(self, group: str) -> bool:
        """Say whether a consumer group is one of those that are written down."""
        return group in self.groups or (
            bool(self.group_pattern) and re.fullmatch(self.group_pattern, group) is not None
        )


@dataclass(frozen=True, slots=True)
class Service:
    """A service, and the team that owns it (empty where nobody is named)."""

    name: str
    owner: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Catalog:
    """All of it. `source` names the file."""

    title: str
    version: str
    source: str
    services: Mapping[str, Service] = field(default_factory=dict)
    events: Mapping[EventName, Event] = field(default_factory=dict)
    channels: Mapping[str, Channel] = field(default_factory=dict)
    operations: tuple[Operation, ...] = ()

    def versions(self, name: str) -> list[Event]:
        """Return the versions of an event, the oldest first."""
        return sorted((it for it in self.events.values() if it.id.name == name), key=lambda it: order_of(it.id.version))

    def operations_of(self, event: EventName, action: Action) -> list[Operation]:
        """Return what sends, or receives, a version of an event."""
        return [it for it in self.operations if it.action is action and event in it.events]

    def channels_at(self, cluster: str, destination: str) -> list[Channel]:
        """Return the channels that are bound to a destination."""
        return [
            channel
            for channel in self.channels.values()
            if any(it.cluster == cluster and it.covers(destination) for it in channel.places)
        ]


def order_of(version: str) -> tuple[tuple[int, int, str], ...]:
    """Return by what versions are put in order: numbers by their size, the rest as text."""
    return tuple((0, int(it), "") if it.isdigit() and len(it) < 20 else (1, 0, it) for it in version.split("."))
