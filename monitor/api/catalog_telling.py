"""What the API tells of the event catalog, in the shapes of `catalog_items`."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from monitor.api.catalog_items import (
    CatalogItem,
    ChangeSinceItem,
    ChannelItem,
    DifferencesItem,
    EventItem,
    OperationItem,
)
from monitor.catalog.compatibility import can_read, worst
from monitor.catalog.differences import Differences
from monitor.catalog.markers import without_markers
from monitor.catalog.model import Action, Catalog, Channel, Event, EventName, Operation


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
    places: list[Any] = [{**asdict(place), "pattern": place.pattern or None} for place in it.places]
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
        "group_pattern": it.group_pattern or None,
    }


def _texts(names: Iterable[EventName]) -> Iterator[str]:
    return map(str, names)
