"""Whether a body fits its event, which version of it it would fit, and what would make it fit. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonpatch import JsonPatchException, apply_patch
from jsonpointer import JsonPointerException

from monitor.catalog.avro_as_json import as_json
from monitor.catalog.compatibility import can_read
from monitor.catalog.identifying import Identifier, Letter, Where
from monitor.catalog.json_schemas import CannotJudge, Checker, Violation
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


class Fitter:
    """Holds messages against one catalog. Prepared once, since there are many messages. Thread-safe."""

    def __init__(self, catalog: Catalog) -> None:
        self.identifier = Identifier(catalog)
        self._versions = {name: _make_version(event, catalog) for name, event in catalog.events.items()}

    @property
    def catalog(self) -> Catalog:
        """What messages are held against."""
        return self.identifier.catalog

    def fit(self, letter: Letter) -> Fit | None:
        """Return what the catalog says of a message; None where it is no event of it."""
        found = self.identifier.identify(letter)
        if found is None:
            return None
        wrote, told_by = found
        known = _known_to_reader(self.catalog, wrote.name, letter.where)
        read_as = _read_as(self.catalog, wrote, known)
        fits = self._newest_fit(wrote.name, letter.body)
        if read_as is None:
            return Fit(wrote, told_by, None, known, (), fits, None)
        written = letter.schema or (self.catalog.events[wrote].payload if wrote in self.catalog.events else None)
        target = self._versions[read_as]
        try:
            violations = tuple(target.find_violations(letter.body, written))
        except CannotJudge as error:
            return Fit(wrote, told_by, read_as, known, (), None, None, str(error))
        patch = target.find_patch(letter.body, written) if violations or wrote != read_as else None
        return Fit(wrote, told_by, read_as, known, violations, fits, patch)

    def _newest_fit(self, name: str, body: Any) -> EventName | None:
        for event in reversed(self.catalog.versions(name)):
            try:
                if event.payload is not None and not self._versions[event.id].find_violations(body):
                    return event.id
            except CannotJudge:
                continue
        return None


# -- one version -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Version:
    """A version made ready. `strict` asks for its own markers too, `loose` takes bodies whatever these say they are.

    `schema` is that of bodies as JSON values, also where the event is written in Avro; without one, `flaw` says why.
    """

    event: Event
    schema: Schema | None = None
    strict: Checker | None = None
    loose: Checker | None = None
    flaw: str = ""

    def find_violations(self, body: Any, written: Schema | None = None) -> list[Violation]:
        """Hold a body against it. Where both are Avro, their schemas are compared. Raises CannotJudge."""
        payload = self.event.payload
        if payload is not None and written is not None and payload.format is written.format is Format.AVRO:
            return [Violation(it.field, f"as {self.event.id} has it", it.text) for it in can_read(payload, written)]
        if self.loose is None:
            raise CannotJudge(self.flaw)
        return self.loose.find_violations(body)

    def find_patch(self, body: Any, written: Schema | None) -> Operations | None:
        """Return a patch that makes a body fit, which has been tried on it."""
        if self.schema is None or self.strict is None:
            return None
        try:
            wrong = self.strict.find_violations(body)
            operations = list(propose(as_json(written) if written else None, self.schema, body, wrong))
            if not operations or self.strict.find_violations(apply_patch(body, operations)):
                return None
        except (CannotJudge, Unmappable, JsonPatchException, JsonPointerException, TypeError, RecursionError):
            return None
        return tuple(operations)


def _make_version(event: Event, catalog: Catalog) -> _Version:
    if event.payload is None or event.payload.format is Format.OTHER:
        return _Version(event, flaw=f"the catalog has no schema of {event.id} by which bodies could be judged")
    try:
        schema = as_json(event.payload)
    except (CannotJudge, RecursionError) as error:
        return _Version(event, flaw=str(error))
    loose = schema
    for other in catalog.versions(event.id.name):
        loose = without_markers(loose, other.payload) or loose
    return _Version(event, schema, Checker(schema), Checker(_without_versions(loose)))


def _without_versions(schema: Schema) -> Schema:
    names = {name for name in markers_of(schema) if "version" in name.lower()}
    return without(schema, names) if names else schema


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
