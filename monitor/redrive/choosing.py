"""Decides on each message of a job: whether it is selected, what is changed on the way, and what must not go again."""

from collections.abc import Callable
from dataclasses import replace

from monitor.errors import BadRequest
from monitor.letters import (
    HEADER_COUNT,
    HEADER_JOB,
    Choose,
    DeadMessage,
    Header,
    Job,
    Outcome,
    Outgoing,
    Refusal,
)
from monitor.redrive.selection import selected_by


def make_chooser(job: Job, now: Callable[[], float]) -> Choose:
    """Return what decides for a job."""
    request = job.request
    selected = selected_by(request.select, request.positions, now)

    def choose(message: DeadMessage) -> Outgoing | Refusal | None:
        if header_of(message, HEADER_JOB) == job.id:
            return Refusal(message, Outcome.BOUNCED, "it came back after this job had sent it")
        try:
            if not selected(message):
                return None
        except BadRequest as error:
            return Refusal(message, Outcome.SKIPPED, str(error))
        count = header_of(message, HEADER_COUNT)
        changed = replace(message, headers=_edit(message.headers, request.remove_headers, dict(request.set_headers)))
        return Outgoing(changed, redrive_id_of(job.id, message), int(count) + 1 if count.isdigit() else 1)

    return choose


def redrive_id_of(job: str, message: DeadMessage) -> str:
    """Return the id that a message carries however often this job has to send it."""
    return f"{job}:{message.position}"


def header_of(message: DeadMessage, name: str) -> str:
    """Return the text of a header, empty where it is not there."""
    return next((_text(header.value) for header in message.headers if header.name == name), "")


def _edit(headers: tuple[Header, ...], removed: tuple[str, ...], added: dict[str, str]) -> tuple[Header, ...]:
    gone = {*removed, *added}
    kept = tuple(header for header in headers if header.name not in gone)
    return (*kept, *(Header(name, value.encode()) for name, value in added.items()))


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
