"""Which event a body is, whether it fits, which version it would fit, and what would make it fit. Pure.

What tells the version of a body counts in this order: the URI of its schema (CloudEvents' `dataschema`), the constants
of the schemas' first level, headers that name type and version. The body is looked at as JSON values, however it was
written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonpatch import JsonPatchException, apply_patch
from jsonpointer import JsonPointerException

from monitor.catalog.compatibility import can_read
from monitor.catalog.json_schemas import CannotJudge, Violation, find_violations
from monitor.catalog.markers import markers_of, without, without_markers
from monitor.catalog.model import Action, Catalog, Event, EventName, Format, Operation, Schema
from monitor.catalog.patches import Unmappable, propose

Operations = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Where:
    """Where a message was meant to be read: its cluster and destination, and the consumer group if one is known."""

    cluster: str
    destination: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Fit:
    """What a catalog says of a body.

    `wrote` is the version that its producer wrote, also where the catalog does not have it; `told_by` says how that is
    known. `read_as` is the version that it was held against: the newest that its consumer lists, unless that is the
    one that was written. `fits` is the newest version that it fits, `known` are those that the consumer lists. `patch`
    makes it fit `read_as`; None where nothing is wrong, or nothing is known that would.
    """

    wrote: EventName
    told_by: str
    read_as: EventName | None
    known: tuple[EventName, ...]
    violations: tuple[Violation, ...]
    fits: EventName | None
    patch: Operations | None
    unjudged: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """What is known of a message: its body as JSON values, the schema that it names, and what its headers tell.

    `told` has the `type` of the event and the version or address of its `schema`, where headers have these.
    """

    body: Any
    told: Mapping[str, str]
    where: Where
    schema: Schema | None = None


def name_event(catalog: Catalog, letter: Letter) -> EventName | None:
    """Return which event a message is, also of a version that the catalog does not have; None for a strange one."""
    found = _identify(catalog, letter)
    return found[0] if found else None


def fit(catalog: Catalog, letter: Letter) -> Fit | None:
    """Return what a catalog says of a message; None where it is no event of it."""
    found = _identify(catalog, letter)
    if found is None:
        return None
    wrote, told_by = found
    body = letter.body
    known = _known_to_reader(catalog, wrote.name, letter.where)
    read_as = _read_as(catalog, wrote, known)
    versions = catalog.versions(wrote.name)
    if read_as is None:
        return Fit(wrote, told_by, None, known, (), _newest_fit(versions, body), None)
    written, target = catalog.events.get(wrote), catalog.events[read_as]
    try:
        violations = tuple(_violations(target, versions, body, letter.schema or (written.payload if written else None)))
    except CannotJudge as error:
        return Fit(wrote, told_by, read_as, known, (), None, None, str(error))
    patch = _find_patch(written, target, body) if violations or wrote != read_as else None
    return Fit(wrote, told_by, read_as, known, violations, _newest_fit(versions, body), patch)


# -- which event -------------------------------------------------------------------------------------------------------


def _identify(catalog: Catalog, letter: Letter) -> tuple[EventName, str] | None:
    events = _events_at(catalog, letter.where)
    named = letter.told.get("schema", "")
    for event in events:
        if named and named == event.data_schema:
            return event.id, "the address of its schema"
        if letter.schema and event.payload and letter.schema.body == event.payload.body:
            return event.id, "the schema that it names"
    return _identify_by_markers(events, letter.body) or _identify_by_headers(events, letter.told)


def _events_at(catalog: Catalog, where: Where) -> list[Event]:
    """Return the events of a destination, and after them all others."""
    here = {name for channel in catalog.channels_at(where.cluster, where.destination) for name in channel.events}
    names = {name.name for name in here}
    return sorted(catalog.events.values(), key=lambda it: (it.id not in here, it.id.name not in names))


def _identify_by_markers(events: Sequence[Event], body: Any) -> tuple[EventName, str] | None:
    if not isinstance(body, Mapping):
        return None
    marked = [(event, markers) for event in events if (markers := markers_of(event.payload))]
    for event, markers in marked:
        if all(_same(body.get(name), it) for name, it in markers.items()):
            return event.id, f"{' and '.join(markers)} of the body"
    for event, markers in marked:
        # What all versions have in common names the event, what differs between them the version.
        others = [it for other, it in marked if other.id.name == event.id.name]
        varying = {name for name in markers if any(not _same(it.get(name), markers[name]) for it in others)}
        if not varying and len(others) == 1:
            varying = {name for name in markers if "version" in name.lower()}
        shared = markers.keys() - varying
        if varying and shared and all(_same(body.get(name), markers[name]) for name in shared):
            version = ", ".join(str(body[name]) for name in sorted(varying) if isinstance(body.get(name), str | int))
            return EventName(event.id.name, version[:40]), f"{' and '.join(markers)} of the body"
    return None


def _identify_by_headers(events: Sequence[Event], told: Mapping[str, str]) -> tuple[EventName, str] | None:
    kind, version = told.get("type", ""), told.get("schema", "")
    versions = [it for it in events if kind and kind in (it.id.name, str(it.id), it.key)]
    if not versions:
        return None
    exact = [it for it in versions if version and it.id.version == version.lower().removeprefix("v")]
    if exact or len(versions) == 1:
        return (exact or versions)[0].id, "its headers"
    return None


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


# -- which version -----------------------------------------------------------------------------------------------------


def receivers_at(catalog: Catalog, where: Where) -> list[Operation]:
    """Return who receives where a message was meant to be read: of Kafka's groups the one that is meant, if known."""
    keys = {channel.key for channel in catalog.channels_at(where.cluster, where.destination)}
    found = [it for it in catalog.operations if it.action is Action.RECEIVE and it.channel in keys]
    meant = [it for it in found if where.group and where.group in it.groups]
    return meant or found


def _known_to_reader(catalog: Catalog, name: str, where: Where) -> tuple[EventName, ...]:
    listed = {event for it in receivers_at(catalog, where) for event in it.events}
    return tuple(it.id for it in catalog.versions(name) if it.id in listed)


def _read_as(catalog: Catalog, wrote: EventName, known: Sequence[EventName]) -> EventName | None:
    if wrote in catalog.events and (wrote in known or not known):
        return wrote
    return known[-1] if known else None


def _newest_fit(versions: Sequence[Event], body: Any) -> EventName | None:
    for event in reversed(versions):
        try:
            if event.payload is not None and not _violations(event, versions, body):
                return event.id
        except CannotJudge:
            continue
    return None


def _violations(event: Event, versions: Sequence[Event], body: Any, written: Schema | None = None) -> list[Violation]:
    """Hold a body against a version, whichever it says that it is. Of Avro, the schemas are compared."""
    schema = event.payload
    if schema is not None and written is not None and schema.format is written.format is Format.AVRO:
        return [Violation(it.field, f"as {event.id} has it", it.text) for it in can_read(schema, written)]
    if schema is None or schema.format is not Format.JSON:
        raise CannotJudge(f"the catalog has no JSON Schema of {event.id}")
    for other in versions:
        schema = without_markers(schema, other.payload) or schema
    return find_violations(_without_versions(schema), body)


def _without_versions(schema: Schema) -> Schema:
    names = {name for name in markers_of(schema) if "version" in name.lower()}
    return without(schema, names) if names else schema


# -- what would make it fit --------------------------------------------------------------------------------------------


def _find_patch(written: Event | None, target: Event, body: Any) -> Operations | None:
    """Return a patch that makes a body fit, which has been tried on it."""
    schema = target.payload
    if schema is None or schema.format is not Format.JSON:
        return None
    try:
        operations = list(propose(written.payload if written else None, schema, body, find_violations(schema, body)))
        if not operations or find_violations(schema, apply_patch(body, operations)):
            return None
    except (CannotJudge, Unmappable, JsonPatchException, JsonPointerException, TypeError, RecursionError):
        return None
    return tuple(operations)
