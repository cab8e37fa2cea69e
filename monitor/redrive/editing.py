"""What a plan changes on messages on their way: headers and bodies, and what is kept of that."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from monitor.letters import DeadMessage, Header, PlanRequest
from monitor.redrive.patching import BodyPatch


@dataclass(frozen=True, slots=True)
class Edit:
    """One message that was changed: how it was, and the hashes of its body and headers before and after."""

    original: DeadMessage
    before_sha256: str
    after_sha256: str


class Editor:
    """Makes the changes of one plan. Raises BadRequest, with the place, for a patch that cannot be understood."""

    def __init__(self, request: PlanRequest) -> None:
        self._set = dict(request.set_headers)
        self._gone = frozenset((*request.remove_headers, *self._set))
        self._patch = BodyPatch(request.patch) if request.patch else None

    def change(self, message: DeadMessage) -> DeadMessage:
        """Return the message as it is to be sent. Raises patching.DoesNotApply."""
        if self._patch is not None:
            message = replace(message, value=self._patch.apply(message.value))
        if not self._gone:
            return message
        kept = tuple(header for header in message.headers if header.name not in self._gone)
        added = (Header(name, value.encode()) for name, value in self._set.items())
        return replace(message, headers=(*kept, *added))


def edit_of(original: DeadMessage, changed: DeadMessage) -> Edit:
    """Return what is kept of a change."""
    return Edit(original, digest_of(original), digest_of(changed))


def digest_of(message: DeadMessage) -> str:
    """Return the SHA-256 of a message's body and headers, each part with its length before it."""
    digest = hashlib.sha256()
    for part in _parts(message):
        digest.update(b"-" if part is None else b"%d:%s" % (len(part), part))
    return digest.hexdigest()


def _parts(message: DeadMessage) -> Iterator[bytes | None]:
    yield message.value
    for header in message.headers:
        yield header.name.encode()
        yield header.value
