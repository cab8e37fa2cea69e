"""Whether a body fits its event, which version of it it would fit, and what would make it fit. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonpatch import JsonPatchException, apply_patch
from jsonpointer import JsonPointerException

from monitor.catalog.compatibility import can_read
from monitor.catalog.identifying import Identifier, Letter, Where
from monitor.catalog.json_schemas import CannotJudge, Violation, find_violations
from monitor.catalog.markers import markers_of, without, without_markers
from monitor.catalog.model import Action, Catalog, Event, EventName, Format, Operation, Schema
from monitor.catalog.patches import Unmappable, propose

Operations = tuple[Mapping[str, Any], ...]


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


def fit(identifier: Identifier, letter: Letter) -> Fit | None:
    """Return what a catalog says of a message; None where it is no event of it."""
    catalog, found = identifier.catalog, identifier.identify(letter)
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


# -- which version -----------------------------------------------------------------------------------------------------


def receivers_at(catalog: Catalog, where: Where) -> list[Operation]:
    """Return who receives where a message was meant to be read: of Kafka's groups the one that is meant, if known."""
    keys = {channel.key for channel in catalog.channels_at(where.cluster, where.destination)}
    found = [it for it in catalog.operations if it.action is Action.RECEIVE and it.channel in keys]
    meant = [it for it in found if where.group and it.names_group(where.group)]
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
