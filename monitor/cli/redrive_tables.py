"""Messages, plans and jobs for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from monitor.api.redrive_items import JobItem, LetterGroup, LetterItem, PlanItem
from monitor.cli.output import plain
from monitor.words import say_count, say_duration

_SHOWN = 80
_NOTHING = "–"
_GUARANTEES = {
    "exactly_once": "exactly once, for readers of committed data",
    "at_least_once": "at least once",
}


def letters_table(items: Sequence[LetterItem]) -> Table:
    """Return one row a message."""
    table = _table("POSITION", "KEY", "FROM", "CAUSE", "BODY")
    for item in items:
        body = item["note"] if item["note"] else item["value"]
        cause = ": ".join(it for it in (item["exception"], item["exception_message"]) if it)
        cells = (item["position"], item["key"], item["origin"], cause, body)
        table.add_row(*(plain(_cut(cell)) for cell in cells))
    return table


def groups_table(items: Sequence[LetterGroup]) -> Table:
    """Return one row a group."""
    table = _table("MESSAGES", "EXCEPTION", "MESSAGE", "FROM")
    for item in items:
        cells = (say_count(item["messages"]), item["exception"], item["message"], ", ".join(item["origins"]))
        table.add_row(*(plain(_cut(cell)) for cell in cells))
    return table


def jobs_table(items: Sequence[JobItem]) -> Table:
    """Return one row a job."""
    table = _table("JOB", "STATE", "FROM", "TO", "SENT", "LEFT")
    for item in items:
        counts = item["counts"]
        cells = (item["id"], item["state"], item["dead_letters"], item["target"])
        numbers = (say_count(counts["sent"]), say_count(counts["left"]))
        table.add_row(*(plain(cell or _NOTHING) for cell in (*cells, *numbers)))
    return table


def plan_lines(plan: PlanItem) -> list[RenderableType]:
    """Return what a plan says, a line a fact."""
    bound = "" if plan["count_is_exact"] else "at most "
    doubled = plan["max_duplicates_per_interruption"]
    lines = [
        f"plan {plan['id']}",
        f"  messages    {bound}{say_count(plan['count'])}, about {say_duration(plan['duration_seconds'])}",
        f"  from        {plan['source']} on {plan['cluster']}",
        f"  to          {plan['target'] or 'not known'}",
        f"  guarantee   {_GUARANTEES[plan['guarantee']]}"
        + (f"; at most {say_count(doubled)} doubled per interruption" if doubled else ""),
        f"  origin      {_tell_evidence(plan['origin_evidence'])}",
        f"  also gets   {', '.join(plan['also_receives']) or 'nobody else that is known'}",
        f"  order       {plan['ordering'] or _NOTHING}",
        *(f"  note        {warning}" for warning in plan["warnings"]),
    ]
    blocked = [f"  impossible  {blocker}" for blocker in plan["blockers"]]
    return [*(plain(line) for line in lines), *(plain(line, "bold red") for line in blocked)]


def _tell_evidence(evidence: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{it['origin']} (by {it['found_by']})" for it in evidence) or "not known"


def job_lines(job: JobItem, reasons: Sequence[Mapping[str, Any]] = ()) -> list[RenderableType]:
    """Return how a job is doing, a line a fact."""
    told = ", ".join(f"{name} {say_count(number)}" for name, number in job["counts"].items() if number)  # type: ignore[arg-type]
    lines = [
        f"job {job['id']}: {job['state']}" + (f" ({job['reason']})" if job["reason"] else ""),
        f"  {job['source']} -> {job['target']}, {_GUARANTEES[job['guarantee']]}",
        f"  {told or 'nothing yet'}",
        *(f"  {it['outcome']}: {it['messages']} because {it['reason']}" for it in reasons),
    ]
    return [plain(line) for line in lines]


def _cut(text: str | None) -> str:
    if not text:
        return _NOTHING
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold")
    return table
