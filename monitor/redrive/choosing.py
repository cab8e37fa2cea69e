"""Decides on each message of a job: whether it is selected, what is changed on the way, and what must not go again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from monitor.errors import BadRequest
from monitor.letters import HEADER_COUNT, HEADER_JOB, Choose, DeadMessage, Job, Outcome, Outgoing, Refusal
from monitor.redrive.editing import Edit, Editor, edit_of
from monitor.redrive.patching import DoesNotApply
from monitor.redrive.selection import selected_by


@dataclass(slots=True)
class Edits:
    """What was changed and is not kept yet."""

    _made: dict[str, Edit] = field(default_factory=dict)

    def note(self, edit: Edit) -> None:
        """Note a change; of a message that is chosen again, it is the same."""
        self._made[edit.original.position] = edit

    def take(self) -> Sequence[Edit]:
        """Return what was noted since the last time."""
        made, self._made = list(self._made.values()), {}
        return made


def make_chooser(job: Job, now: Callable[[], float], edits: Edits | None = None) -> Choose:
    """Return what decides for a job; it notes what it changes in `edits`."""
    request = job.request
    selected = selected_by(request, now)
    editor = Editor(request)

    def choose(message: DeadMessage) -> Outgoing | Refusal | None:
        if header_of(message, HEADER_JOB) == job.id:
            return Refusal(message, Outcome.BOUNCED, "it came back after this job had sent it")
        try:
            if not selected(message):
                return None
            changed = editor.change(message)
        except (BadRequest, DoesNotApply) as error:
            return Refusal(message, Outcome.SKIPPED, str(error))
        if edits is not None and changed is not message:
            edits.note(edit_of(message, changed))
        count = header_of(message, HEADER_COUNT)
        return Outgoing(changed, redrive_id_of(job.id, message), int(count) + 1 if count.isdigit() else 1)

    return choose


def redrive_id_of(job: str, message: DeadMessage) -> str:
    """Return the id that a message carries however often this job has to send it."""
    return f"{job}:{message.position}"


def header_of(message: DeadMessage, name: str) -> str:
    """Return the text of a header, empty where it is not there."""
    for header in message.headers:  # each message passes here twice: no generator
        if header.name == name:
            return _text(header.value)
    return ""


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
