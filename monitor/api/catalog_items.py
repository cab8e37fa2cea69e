"""The shapes of the event catalog in the API, shared with the client: nothing in here knows the framework."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from monitor.catalog.compatibility import can_read, worst
from monitor.catalog.differences import Differences, Kind
from monitor.catalog.markers import without_markers
from monitor.catalog.model import Action, Catalog, Channel, Event, EventName, Format, Operation
from monitor.catalog.problems import Compatibility
from monitor.model import System


class ProblemItem(TypedDict):
    """What keeps readers of a schema from reading what another wrote."""

    field: str
    compatibility: Compatibility
    text: str


class ChangeSinceItem(TypedDict):
    """How a version stands to the one before: whether its readers can read that, and the other way round."""

    version: str
    backward: Compatibility
    forward: Compatibility
    problems: list[ProblemItem]


class ServiceItem(TypedDict):
    """A service of the catalog."""

    name: str
    owner: str | None
    summary: str | None


class EventItem(TypedDict):
    """A version of an event."""

    name: str
    version: str
    title: str | None
    summary: str | None
    content_type: str | None
    format: Annotated[Format | None, Field(description="of the payload's schema; null where it has none")]
    payload: Annotated[Any, Field(description="the schema, standing alone; null where there is none")]
    headers: Any
    data_schema: Annotated[str | None, Field(description="the URI by which CloudEvents name its schema")]
    examples: list[Any]
    deprecated: bool
    producers: list[str]
    consumers: list[str]
    owners: Annotated[list[str], Field(description="the teams of its producers")]
    channels: list[str]
    since: Annotated[ChangeSinceItem | None, Field(description="against the version before; null for the first")]


class PlaceItem(TypedDict):
    """Where a channel is."""

    cluster: str
    system: System
    kind: str
    destination: str


class ChannelItem(TypedDict):
    """A channel of the catalog, with the places that its servers and bindings give it."""

    key: str
    address: str
    summary: str | None
    places: list[PlaceItem]
    events: list[str]


class OperationItem(TypedDict):
    """What a service does at a channel."""

    key: str
    action: Action
    service: str
    channel: str
    events: list[str]
    groups: list[str]


class CatalogItem(TypedDict):
    """The event catalog."""

    title: str
    version: str
    services: list[ServiceItem]
    events: list[EventItem]
    channels: list[ChannelItem]
    operations: list[OperationItem]


class DifferenceItem(TypedDict):
    """A difference between what is seen and what is written down."""

    kind: Kind
    text: str
    cluster: str | None
    destination: str | None
    consumer: str | None
    service: str | None
    event: str | None
    subscription: Annotated[str | None, Field(description="the id of one that is seen")]


class UnjudgedItem(TypedDict):
    """What nothing can be said of now."""

    cluster: str | None
    reason: str


class DifferencesItem(TypedDict):
    """All differences; what is not judged may hide more."""

    items: list[DifferenceItem]
    next: str | None
    total: Annotated[int, Field(description="of all, also where fewer are told")]
    not_judged: list[UnjudgedItem]


def catalog_item(catalog: Catalog) -> CatalogItem:
    """Return the catalog as the API tells it."""
    return {
        "title": catalog.title,
        "version": catalog.version,
        "services": [
            {"name": it.name, "owner": it.owner or None, "summary": it.summary or None}
            for it in catalog.services.values()
        ],
        "events": [_event(catalog, it) for it in catalog.events.values()],
        "channels": [_channel(it) for it in catalog.channels.values()],
        "operations": [_operation(it) for it in catalog.operations],
    }


def differences_item(found: Differences, limit: int) -> DifferencesItem:
    """Return differences as the API tells them, up to a limit."""
    items: list[Any] = [_without_empty(asdict(it)) for it in found.items[:limit]]
    not_judged: list[Any] = [_without_empty(asdict(it)) for it in found.not_judged]
    return {"items": items, "next": None, "total": len(found.items), "not_judged": not_judged}


def _without_empty(told: dict[str, Any]) -> dict[str, Any]:
    return {name: it or None for name, it in told.items()}


def _event(catalog: Catalog, it: Event) -> EventItem:
    producers = _services(catalog.operations_of(it.id, Action.SEND))
    owners = dict.fromkeys(catalog.services[name].owner for name in producers)
    return {
        "name": it.id.name,
        "version": it.id.version,
        "title": it.title or None,
        "summary": it.summary or None,
        "content_type": it.content_type or None,
        "format": it.payload.format if it.payload else None,
        "payload": it.payload.body if it.payload else None,
        "headers": it.headers.body if it.headers else None,
        "data_schema": it.data_schema or None,
        "examples": list(it.examples),
        "deprecated": it.deprecated,
        "producers": producers,
        "consumers": _services(catalog.operations_of(it.id, Action.RECEIVE)),
        "owners": [owner for owner in owners if owner],
        "channels": [channel.key for channel in catalog.channels.values() if it.id in channel.events],
        "since": _since(catalog, it),
    }


def _services(operations: Iterable[Operation]) -> list[str]:
    return list(dict.fromkeys(it.service for it in operations))


def _since(catalog: Catalog, event: Event) -> ChangeSinceItem | None:
    versions = catalog.versions(event.id.name)
    place = versions.index(event)
    if place == 0:
        return None
    before = versions[place - 1]
    old, new = without_markers(before.payload, event.payload), without_markers(event.payload, before.payload)
    backward, forward = can_read(new, old), can_read(old, new)
    problems: list[Any] = [asdict(it) for it in dict.fromkeys([*backward, *forward])]
    return {
        "version": before.id.version,
        "backward": worst([it.compatibility for it in backward]),
        "forward": worst([it.compatibility for it in forward]),
        "problems": problems,
    }


def _channel(it: Channel) -> ChannelItem:
    places: list[Any] = [asdict(place) for place in it.places]
    return {
        "key": it.key,
        "address": it.address,
        "summary": it.summary or None,
        "places": places,
        "events": list(_texts(it.events)),
    }


def _operation(it: Operation) -> OperationItem:
    return {
        "key": it.key,
        "action": it.action,
        "service": it.service,
        "channel": it.channel,
        "events": list(_texts(it.events)),
        "groups": list(it.groups),
    }


def _texts(names: Iterable[EventName]) -> Iterator[str]:
    return map(str, names)
