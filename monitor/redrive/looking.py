"""Dead letters as people look at them: page by page, by their cause, or all of them as an export."""

import csv
import hashlib
import io
import json
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, takewhile
from typing import Any

from monitor.catalog.schemas import Schemas
from monitor.clock import Clock
from monitor.config import MaskingRule
from monitor.errors import BadRequest, EventflowError
from monitor.letters import Action, CountsSelected, DeadMessage, PlanRequest, Survey
from monitor.model import DeadLetterQueue
from monitor.redrive.audit import Actor, Audit
from monitor.redrive.buses import Buses, broker_errors
from monitor.redrive.exports import Export, Exports
from monitor.redrive.grouping import tell_causes, tell_groups
from monitor.redrive.knowledge import Knowledge
from monitor.redrive.masking import rule_for
from monitor.redrive.messages import tell_decoded, tell_message
from monitor.redrive.selection import selected_by

COLUMNS = (
    "position", "enqueued_at", "key", "value", "value_encoding", "headers", "origin", "exception",
    "exception_message", "attempts",
)  # fmt: skip
"""What an export as CSV has of a message."""

_LOOK_SECONDS = 15.0
_SEARCH_SECONDS = 10.0
_PLAN_SECONDS = 5.0
_JUDGE_SECONDS = 10.0
_GROUPED_AT_MOST = 5_000
_PLANNED_AT_MOST = 1_000
_PAGE = 200
_EXPORTED_PAGE = 500
_WHOLE_BYTES = 1 << 30  # an export cuts nothing


class Letters:
    """The dead letters of all clusters. Thread-safe; raises RequestErrors."""

    def __init__(
        self,
        buses: Buses,
        masking: Sequence[MaskingRule],
        exports: Exports,
        audit: Audit,
        clock: Clock,
        knowledge: Knowledge,
        schemas: Schemas | None = None,
    ) -> None:
        self._buses, self.masking, self._exports, self._audit, self._clock = buses, masking, exports, audit, clock
        self._knowledge, self._schemas = knowledge, schemas

    def hidden_from(self, actor: Actor, queue: str) -> tuple[str, ...]:
        """Return what somebody may not see of a queue's messages (see `masking`)."""
        return () if actor.bodies else rule_for(queue, self.masking)

    def browse(self, search: PlanRequest, limit: int, cursor: str | None, actor: Actor) -> dict[str, Any]:
        """Return a page of messages: those of it that match what is sought."""
        queue, hidden, selected = self._prepare(search, actor)
        with broker_errors():
            bus = self._buses.of(queue.cluster)
            page = bus.browse(queue.queue, limit, cursor, self._buses.within(_LOOK_SECONDS))
        until, items = self._buses.within(_SEARCH_SECONDS), []
        for message in page.messages:
            if selected(message):
                items.append({**tell_message(message, hidden), **tell_decoded(message, hidden, self._schemas)})
            if self._clock.monotonic() > until:
                raise BadRequest("select: it takes too long on these messages; look at fewer", parameter="select")
        return {"items": items, "next": page.next, "warning": page.warning or None}

    def groups(self, raw: str, actor: Actor) -> dict[str, Any]:
        """Return the dead letters grouped by their cause, the largest group first."""
        queue = self._buses.find(raw)
        hidden = self.hidden_from(actor, queue.id)
        messages, whole, warning = self._look_at_many(queue, _GROUPED_AT_MOST, self._buses.within(_LOOK_SECONDS))
        limits = _Limit(self._clock, _JUDGE_SECONDS / 2), _Limit(self._clock, _JUDGE_SECONDS)
        items = tell_groups(messages, hidden, self._knowledge.gather(queue, messages), *(it.goes_on for it in limits))
        judged = sum(it["messages"] for it in items)
        if any(it.is_over for it in limits):
            late = f"Judging them takes too long: {judged} of {len(messages)} messages are told."
            whole, warning = False, f"{warning} {late}".strip()
        return {"items": items, "next": None, "looked_at": judged, "complete": whole, "warning": warning or None}

    def causes_of(self, queue: DeadLetterQueue, request: PlanRequest, survey: Survey) -> list[dict[str, Any]]:
        """Return the causes of what a plan takes, with the advice: of all where looking harms nothing, else of samples.

        Where all are looked at they are the first thousand; a plan that puts messages back has none.
        """
        if request.action == Action.RESTORE or not survey.count:
            return []
        bus = self._buses.of(queue.cluster)
        if isinstance(bus, CountsSelected):
            selected = selected_by(request, self._clock.now)
            messages, _, _ = self._look_at_many(queue, _PLANNED_AT_MOST, self._buses.within(_PLAN_SECONDS))
            messages = list(filter(selected, takewhile(_Limit(self._clock, _PLAN_SECONDS).goes_on, messages)))
        else:
            messages = list(survey.samples)
        context = self._knowledge.gather(queue, messages)
        limits = _Limit(self._clock, _PLAN_SECONDS / 2), _Limit(self._clock, _PLAN_SECONDS)
        return tell_causes(messages[: request.first], context, *(it.goes_on for it in limits))

    def export(self, search: PlanRequest, style: str, actor: Actor) -> tuple[str, Generator[bytes]]:
        """Return the id of an export and its lines, as `jsonl` or `csv`.

        An export of everything, with nothing hidden, is remembered when its end is reached: a purge asks for one. The
        lines raise where they cannot go on; close them when nobody reads them any more.
        """
        queue, hidden, selected = self._prepare(search, actor)
        pages = (filter(selected, page) for page in self._pages(queue))
        first = list(next(pages))  # what is refused is refused before the answer begins
        id_ = str(uuid.uuid4())
        told: dict[str, Any] = {"dead_letters": queue.id, "export": id_, "whole": not (search.selective or hidden)}
        self._audit.write(actor, "dead-letters.export", "allowed", **told)

        def write() -> Generator[bytes]:
            tally = _Tally()
            outcome, problem = "aborted", "its reader has gone away"
            try:
                if style == "csv":
                    yield tally.note(_csv_line(COLUMNS))
                for message in chain(first, chain.from_iterable(pages)):
                    yield tally.note(_LINES[style](tell_message(message, hidden, _WHOLE_BYTES)), messages=1)
                if told["whole"]:
                    self._exports.add(
                        Export(id_, queue.id, actor.name, self._clock.now(), tally.messages, tally.sha256)
                    )
                outcome, problem = "done", ""
            except EventflowError as error:
                outcome, problem = "failed", str(error)
                raise
            finally:
                counted = {"messages": tally.messages, "sha256": tally.sha256}
                self._audit.write(actor, "dead-letters.export", outcome, **told, **counted, error=problem or None)

        return id_, write()

    def _prepare(
        self, search: PlanRequest, actor: Actor
    ) -> tuple[DeadLetterQueue, tuple[str, ...], Callable[[DeadMessage], bool]]:
        queue = self._buses.find(search.dead_letters)
        hidden = self.hidden_from(actor, queue.id)
        selected = selected_by(search, self._clock.now, hidden)
        return queue, hidden, selected

    def _pages(self, queue: DeadLetterQueue) -> Iterator[Sequence[DeadMessage]]:
        cursor: str | None = None
        while True:
            with broker_errors():
                bus = self._buses.of(queue.cluster)
                page = bus.browse(queue.queue, _EXPORTED_PAGE, cursor, self._buses.within(_LOOK_SECONDS))
            yield page.messages
            cursor = page.next
            if cursor is None:
                return

    def _look_at_many(self, queue: DeadLetterQueue, most: int, deadline: float) -> tuple[list[DeadMessage], bool, str]:
        bus = self._buses.of(queue.cluster)
        messages: list[DeadMessage] = []
        cursor, warning = None, ""
        with broker_errors():
            while len(messages) < most:
                page = bus.browse(queue.queue, _PAGE, cursor, deadline)
                messages += page.messages
                cursor, warning = page.next, page.warning or warning
                if cursor is None:
                    return messages, True, warning
        return messages, False, warning


class _Limit:
    """A limit on the time of something that goes on step by step."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._until, self.is_over = clock, clock.monotonic() + seconds, False

    def goes_on(self, _: object) -> bool:
        """Say whether there is time for one step more."""
        self.is_over = self.is_over or self._clock.monotonic() > self._until
        return not self.is_over


@dataclass(slots=True)
class _Tally:
    """What an export has given out so far."""

    messages: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)

    def note(self, line: bytes, messages: int = 0) -> bytes:
        """Note a line, and return it."""
        self._digest.update(line)
        self.messages += messages
        return line

    @property
    def sha256(self) -> str:
        """The hash of all lines."""
        return str(self._digest.hexdigest())


def _csv_line(cells: Sequence[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _as_json(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _as_csv(told: Mapping[str, Any]) -> bytes:
    return _csv_line([json.dumps(it) if isinstance(it, list) else it for it in map(told.get, COLUMNS)])


_LINES: Mapping[str, Callable[[Mapping[str, Any]], bytes]] = {"jsonl": _as_json, "csv": _as_csv}
