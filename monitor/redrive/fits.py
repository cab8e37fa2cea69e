"""Dead letters of one cause held against the catalog: which version they are, what does not fit, whom it concerns."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from monitor.analysis.advice import Advised
from monitor.analysis.causes import texts_of
from monitor.analysis.faults import Kind
from monitor.analysis.makers import find_makers
from monitor.catalog.fitting import Fit, receivers_at
from monitor.catalog.identifying import Identifier, Letter, Where
from monitor.catalog.model import Catalog
from monitor.catalog.schemas import Schemas
from monitor.letters import DeadMessage

_MOST_HELD = 20
_MOST_NAMED = 500
_MOST_SERVICES = 20
_MOST_EVENTS = 10


@dataclass(frozen=True, slots=True)
class Held:
    """What the catalog says of messages of one cause. `fit` is that of most of them.

    `letters` are those that were looked at, the first ones; of a body that could not be read, why.
    """

    letters: tuple[Letter | str, ...] = ()
    fit: Fit | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Why bodies could not be read, each reason once."""
        return tuple(dict.fromkeys(it for it in self.letters if isinstance(it, str) and it))

    @property
    def is_mappable(self) -> bool:
        """Say whether one patch makes fit all that was looked at, and a redrive can write that."""
        return self.fit is not None and self.fit.patch is not None and not self.is_decoded

    @property
    def is_decoded(self) -> bool:
        """Say whether messages hold something else than what fits: what a redrive patches is plain JSON."""
        return any(isinstance(it, Letter) and it.is_decoded for it in self.letters)


@dataclass(frozen=True, slots=True)
class Grounds:
    """The catalog, and where the dead letters of a queue were meant to be read: its cluster and origins."""

    schemas: Schemas
    cluster: str
    origins: tuple[str, ...] = ()


def hold(members: Sequence[DeadMessage], grounds: Grounds | None) -> Held:
    """Hold the first of some messages against the catalog."""
    fitter = grounds.schemas.fitter if grounds else None
    if grounds is None or fitter is None:
        return Held()
    letters = tuple(_letter(it, grounds) for it in members[:_MOST_HELD])
    found = [fitter.fit(it) for it in letters if isinstance(it, Letter)]
    known = [it for it in found if it is not None]
    if not known:
        return Held(letters)
    wrote, _ = Counter(it.wrote for it in known).most_common(1)[0]
    most = [it for it in known if it.wrote == wrote]
    chosen = max(most, key=lambda it: len(it.violations))
    one_patch = len(most) == len(letters) and all(it.patch == chosen.patch for it in most)
    return Held(letters, chosen if one_patch else replace(chosen, patch=None))


def tell_held(held: Held) -> dict[str, Any] | None:
    """Return what the catalog says, as the API tells it; None where it says nothing."""
    if held.fit is None:
        return None
    found = held.fit
    return {
        "event": found.wrote.name,
        "wrote": found.wrote.version or None,
        "told_by": found.told_by,
        "read_as": found.read_as.version if found.read_as else None,
        "known": [it.version for it in found.known],
        "violations": [{"field": it.field, "expected": it.expected, "found": it.found} for it in found.violations],
        "fits": found.fits.version if found.fits else None,
        "patch": [dict(it) for it in found.patch] if found.patch is not None else None,
        "looked_at": len(held.letters),
        "notes": [*held.notes, *([found.unjudged] if found.unjudged else []), *_notes_on_patch(held, found)],
    }


def _notes_on_patch(held: Held, found: Fit) -> Iterator[str]:
    if held.is_decoded and found.patch:
        yield "the patch is of the decoded body, and a redrive rewrites plain JSON alone: map it where it is read"


def tell_impact(
    members: Sequence[DeadMessage], grounds: Grounds | None, held: Held, kind: Kind, advised: Advised, *, named: bool
) -> dict[str, Any] | None:
    """Return whom the messages concern, as the API tells it; None without a catalog.

    `named` says whether the events may be told, which bodies name.
    """
    fitter = grounds.schemas.fitter if grounds else None
    if grounds is None or fitter is None:
        return None
    events = Counter(_names(members, grounds, held, fitter.identifier)) if named else Counter[str]()
    expiries = [it.expires_at for it in members if it.expires_at is not None]
    return {
        "services": _services(members, grounds, fitter.catalog),
        "events": [{"name": name, "messages": number} for name, number in events.most_common(_MOST_EVENTS)],
        "state": _state(kind, advised),
        "messages": len(members),
        "lost_at": min(expiries, default=None),
    }


def _state(kind: Kind, advised: Advised) -> str:
    if kind is Kind.DUPLICATE:
        return "done"
    return "lost" if advised in (Advised.DO_NOT, Advised.ARCHIVE) else "waiting"


def _names(members: Sequence[DeadMessage], grounds: Grounds, held: Held, identifier: Identifier) -> Iterator[str]:
    others = (_letter(it, grounds) for it in members[len(held.letters) : _MOST_NAMED])
    for letter in chain(held.letters, others):
        found = identifier.identify(letter) if isinstance(letter, Letter) else None
        if found is not None:
            yield found[0].name


def _services(members: Sequence[DeadMessage], grounds: Grounds, catalog: Catalog) -> list[dict[str, Any]]:
    places = dict.fromkeys(_where(it, grounds) for it in members[:_MOST_NAMED])
    names = dict.fromkeys(it.service for where in places for it in receivers_at(catalog, where))
    return [{"name": name, "owner": catalog.services[name].owner or None} for name in names][:_MOST_SERVICES]


def _letter(message: DeadMessage, grounds: Grounds) -> Letter | str:
    """Return a message as the catalog looks at it, or why its body cannot be read."""
    body = grounds.schemas.read(message)
    if not body.is_read:
        return body.note
    makers, where = find_makers(message, texts_of(message)), _where(message, grounds)
    return Letter(body.value, makers, where, body.schema, is_decoded=bool(body.named))


def _where(message: DeadMessage, grounds: Grounds) -> Where:
    origin = message.origin.name if message.origin else next(iter(grounds.origins), "")
    return Where(grounds.cluster, origin, str(message.origin_detail.get("group") or ""))
