"""Whether readers of one version of a schema can read what writers of another wrote. Pure.

Avro is judged by Apache's library, JSON Schema by the rules in `json_compatibility`. What cannot be judged is unknown,
which is never taken for compatible.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from monitor.catalog.avro_schemas import find_avro_problems
from monitor.catalog.json_compatibility import find_json_problems
from monitor.catalog.markers import without_markers
from monitor.catalog.model import Catalog, Format, Schema
from monitor.catalog.problems import Compatibility, Problem


class Mode(StrEnum):
    """Who must be able to read what: new readers the old, old readers the new, or both."""

    BACKWARD = "backward"
    FORWARD = "forward"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found between two versions, which `old` and `new` name; without problems they are compatible."""

    old: str
    new: str
    problems: tuple[Problem, ...] = ()

    @property
    def compatibility(self) -> Compatibility:
        """What it comes to."""
        return worst(it.compatibility for it in self.problems)


def worst(found: Iterator[Compatibility] | Sequence[Compatibility]) -> Compatibility:
    """Return the worst of several, which without any is compatible."""
    all_found = set(found)
    order = (Compatibility.INCOMPATIBLE, Compatibility.UNKNOWN)
    return next((it for it in order if it in all_found), Compatibility.COMPATIBLE)


def can_read(reader: Schema | None, writer: Schema | None) -> list[Problem]:
    """Return what keeps a reader from reading what a writer wrote; empty where it can read all of it."""
    if reader is None or writer is None:
        return [Problem("", Compatibility.UNKNOWN, "one of them has no schema")]
    if reader.format is not writer.format:
        return [Problem("", Compatibility.INCOMPATIBLE, f"the format was {writer.format} and is {reader.format}")]
    return _BY_FORMAT[reader.format](reader, writer)


def compare(old: tuple[str, Schema | None], new: tuple[str, Schema | None], mode: Mode) -> Comparison:
    """Compare two versions of a schema; each comes with its name."""
    problems: list[Problem] = []
    if mode in (Mode.BACKWARD, Mode.FULL):
        problems += can_read(new[1], old[1])
    if mode in (Mode.FORWARD, Mode.FULL):
        problems += can_read(old[1], new[1])
    return Comparison(old[0], new[0], tuple(dict.fromkeys(problems)))


def compare_all(versions: Sequence[tuple[str, Schema | None]], mode: Mode, *, transitive: bool) -> list[Comparison]:
    """Compare the last of the versions with the one before it or, if transitive, with each of those before it."""
    *before, last = versions
    return [compare(old, last, mode) for old in (before if transitive else before[-1:])]


def compare_catalogs(old: Catalog, new: Catalog, mode: Mode, *, transitive: bool) -> list[Comparison]:
    """Compare each event of the new catalog with what the old one has of it.

    A version that both have must still be compatible with itself; a new one is compared with the newest of the old
    ones or, if transitive, with all of them. Constants that tell versions apart are left out of it.
    """
    found: list[Comparison] = []
    for id_, event in new.events.items():
        if id_ in old.events:
            before = [(f"{id_} before", old.events[id_].payload)]
        else:
            before = [(str(it.id), it.payload) for it in old.versions(id_.name)]
        versions = [(name, without_markers(payload, event.payload)) for name, payload in before]
        for (name, payload), (_, original) in list(zip(versions, before, strict=True))[0 if transitive else -1 :]:
            now = without_markers(event.payload, original)
            found.append(compare((name, payload), (f"{id_} now" if id_ in old.events else str(id_), now), mode))
    return found


def _of_other(reader: Schema, writer: Schema) -> list[Problem]:
    if reader.body == writer.body:
        return []
    return [Problem("", Compatibility.UNKNOWN, f"schemas as {reader.dialect} are not compared")]


_BY_FORMAT: dict[Format, Callable[[Schema, Schema], list[Problem]]] = {
    Format.JSON: find_json_problems,
    Format.AVRO: find_avro_problems,
    Format.OTHER: _of_other,
}
