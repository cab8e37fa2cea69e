"""Which event a message is, and of which version. Pure.

What tells that counts in this order: the URI of its schema (CloudEvents' `dataschema`), the schema that it names by
number, the constants of the schemas' first level, headers that name type and version. Bodies are looked at as JSON
values, however they were written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.catalog.markers import markers_of
from monitor.catalog.model import Catalog, Event, EventName, Schema

_MOST_PLACES = 1_000

Found = tuple[EventName, str]
"""A version of an event, also of one that the catalog does not have, and how it was known."""


@dataclass(frozen=True, slots=True)
class Where:
    """Where a message was meant to be read: its cluster and destination, and the consumer group if one is known."""

    cluster: str
    destination: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """What is known of a message: its body as JSON values, the schema that it names, and what its headers tell.

    `told` has the `type` of the event and the version or address of its `schema`, where headers have these.
    `is_decoded` says that the message itself holds something else.
    """

    body: Any
    told: Mapping[str, str]
    where: Where
    schema: Schema | None = None
    is_decoded: bool = False


@dataclass(frozen=True, slots=True)
class _Marked:
    """A version with its constants: `shared` ones name the event, `varying` ones tell its versions apart."""

    event: Event
    markers: Mapping[str, Any]
    shared: frozenset[str]
    varying: frozenset[str]


class Identifier:
    """Knows the events of one catalog again. Prepared once, since there are many messages. Thread-safe."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        markers = {name: markers_of(event.payload) for name, event in catalog.events.items()}
        self._marked = {name: _mark(event, markers) for name, event in catalog.events.items() if markers[name]}
        self._ordered: dict[tuple[str, str], list[Event]] = {}

    def identify(self, letter: Letter) -> Found | None:
        """Return which event a message is; None for a strange one."""
        events = self._events_at(letter.where)
        named = letter.told.get("schema", "")
        for event in events:
            if named and named == event.data_schema:
                return event.id, "the address of its schema"
            if letter.schema and event.payload and letter.schema.body == event.payload.body:
                return event.id, "the schema that it names"
        return self._identify_by_markers(events, letter.body) or _identify_by_headers(events, letter.told)

    def _events_at(self, where: Where) -> list[Event]:
        """Return the events of a destination, and after them all others."""
        key = where.cluster, where.destination
        events = self._ordered.get(key)
        if events is None:
            here = {name for channel in self.catalog.channels_at(*key) for name in channel.events}
            names = {name.name for name in here}
            if len(self._ordered) >= _MOST_PLACES:
                self._ordered.clear()
            events = sorted(self.catalog.events.values(), key=lambda it: (it.id not in here, it.id.name not in names))
            self._ordered[key] = events
        return events

    def _identify_by_markers(self, events: Sequence[Event], body: Any) -> Found | None:
        if not isinstance(body, Mapping):
            return None
        marked = [self._marked[it.id] for it in events if it.id in self._marked]
        for it in marked:
            if _has_all(body, it.markers, it.markers):
                return it.event.id, _say(it)
        for it in marked:
            if it.varying and it.shared and _has_all(body, it.markers, it.shared):
                told = [str(body[name]) for name in sorted(it.varying) if isinstance(body.get(name), str | int)]
                return EventName(it.event.id.name, ", ".join(told)[:40]), _say(it)
        return None


def _mark(event: Event, markers: Mapping[EventName, Mapping[str, Any]]) -> _Marked:
    own = markers[event.id]
    versions = [it for name, it in markers.items() if name.name == event.id.name]
    varying = {name for name in own if any(not _same(it.get(name), own[name]) for it in versions)}
    if len(versions) == 1:  # nothing to compare with: what is called a version is one
        varying = {name for name in own if "version" in name.lower()}
    return _Marked(event, own, frozenset(own.keys() - varying), frozenset(varying))


def _identify_by_headers(events: Sequence[Event], told: Mapping[str, str]) -> Found | None:
    kind, version = told.get("type", ""), told.get("schema", "")
    versions = [it for it in events if kind and kind in (it.id.name, str(it.id), it.key)]
    if not versions:
        return None
    exact = [it for it in versions if version and it.id.version == version.lower().removeprefix("v")]
    if exact or len(versions) == 1:
        return (exact or versions)[0].id, "its headers"
    return None


def _has_all(body: Mapping[Any, Any], markers: Mapping[str, Any], names: Mapping[str, Any] | frozenset[str]) -> bool:
    return all(_same(body.get(name), markers[name]) for name in names)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def _say(it: _Marked) -> str:
    return f"{' and '.join(it.markers)} of the body"
