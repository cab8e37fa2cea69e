"""Messages, plans and jobs for a terminal."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from monitor.api.redrive_items import (
    AdviceItem,
    ArchiveItem,
    ChangeItem,
    JobItem,
    LetterGroup,
    LetterItem,
    PlanItem,
    PlannedCause,
    ProducerItem,
    ReportItem,
    SampleItem,
)
from monitor.cli.output import plain
from monitor.cli.tables import say_moment
from monitor.words import say_count, say_duration, say_impact, say_rate, say_schema

_SHOWN = 80
_NOTHING = "–"
_SAID = (("expected", "expected"), ("found", "found"))
_ADVICE = {
    "redrive": "redrive now",
    "redrive_after_fix": "redrive after the fix",
    "transform_and_redrive": "redrive with the patch",
    "archive": "archive",
    "do_not": "do not redrive",
    "look_first": "look first",
}
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
    table = _table("GROUP", "MESSAGES", "KIND", "EXCEPTION", "MESSAGE", "FROM", "ADVICE")
    for item in items:
        number, origins = say_count(item["messages"]), ", ".join(item["origins"])
        kind, advice = say_kind(item), say_advice(item["advice"])
        cells = (item["id"], number, kind, item["exception"], item["message"], origins, advice)
        table.add_row(*(plain(_cut(cell)) for cell in cells))
    return table


def group_lines(item: LetterGroup) -> list[RenderableType]:
    """Return what is known of a group besides the table, a line a fact."""
    lines = [f"{item['id']}  {say_advice(item['advice'])}: {item['advice']['reason']}"]
    if item["subject"]:
        said = ", ".join(f"{word} {item[name]}" for word, name in _SAID if item[name])  # type: ignore[literal-required]
        lines.append(f"  about     {item['subject']}{f': {said}' if said else ''}")
    if held := item.get("schema"):
        lines.append(f"  schema    {say_schema(held)}")
        if held["patch"]:
            lines.append(f"  patch     {json.dumps(held['patch'], ensure_ascii=False)}")
    if impact := item.get("impact"):
        lines.append(f"  concerns  {say_impact(impact)}")
    if item["frame"]:
        lines.append(f"  in        {item['frame']}")
    if item["first_at"] is not None and item["last_at"] is not None:
        rate = f", {say_rate(item['per_second'])}" if item["per_second"] else ""
        lines.append(f"  died      {say_moment(item['first_at'])} to {say_moment(item['last_at'])}{rate}")
    if item["producers"]:
        lines.append(f"  made by   {', '.join(_say_producer(it) for it in item['producers'])}")
    if item["consumers"]:
        lines.append(f"  taken by  {', '.join(item['consumers'])}")
    lines += [f"  changed   {_say_change(it)}" for it in item["changes"]]
    lines += [f"  says so   {it['where']}: {_cut(it['text'])}" for it in item["evidence"]]
    return [plain(line) for line in lines]


def say_kind(item: LetterGroup) -> str:
    """Say what kind of death it was, and whether that is less than certain."""
    sure = {"likely": " (likely)", "guessed": " (a guess)"}.get(item["certainty"], "")
    return f"{item['kind'].replace('_', ' ')}{sure}"


def say_advice(advice: AdviceItem) -> str:
    """Say what is advised in few words."""
    return _ADVICE.get(advice["action"], advice["action"])


def _say_producer(it: ProducerItem) -> str:
    version = f" {it['version']}" if it["version"] else ""
    return f"{it['name']}{version} ({say_count(it['messages'])})"


def _say_change(it: ChangeItem) -> str:
    when = f"{say_duration(abs(it['before_seconds']))} {'before' if it['before_seconds'] >= 0 else 'after'} the first"
    told = f"{it['subject']}: {it['text']}" if it["what"] == "mark" and it["text"] else it["text"] or it["subject"]
    return f"{told}, {when}"


def archives_table(items: Sequence[ArchiveItem]) -> Table:
    """Return one row an archive."""
    table = _table("ARCHIVE", "QUEUE", "MESSAGES", "BY", "WHY", "KEPT IN", "UNTIL")
    for item in items:
        until = _NOTHING if item["delete_at"] is None else say_moment(item["delete_at"])
        cells = (item["id"], item["dead_letters"], say_count(item["messages"]), item["archived_by"], item["reason"])
        table.add_row(*(plain(_cut(cell)) for cell in (*cells, item["kept_in"], until)))
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
        *_tell_hours(plan),
        *([f"  approval    {plan['approval']}"] if plan["approval"] else []),
        *(line for cause in plan["causes"] for line in _tell_cause(cause)),
        *(f"  note        {warning}" for warning in plan["warnings"]),
        *(line for sample in plan["samples"] for line in _tell_change(sample)),
    ]
    blocked = [f"  impossible  {blocker}" for blocker in plan["blockers"]]
    return [*(plain(line) for line in lines), *(plain(line, "bold red") for line in blocked)]


def _tell_cause(it: PlannedCause) -> list[str]:
    what = ", ".join(word for word in (it["kind"].replace("_", " "), it["exception"]) if word)
    return [
        f"  died of     {what}: {say_count(it['messages'])} of those looked at ({it['group']})",
        f"              {say_advice(it['advice'])}: {it['advice']['reason']}",
    ]


def _tell_hours(told: PlanItem | JobItem) -> list[str]:
    window, lines = told["window"], []
    if told["start_at"] is not None:
        lines.append(f"  begins      {say_moment(told['start_at'])}")
    if told["deadline"] is not None:
        lines.append(f"  ends        {say_moment(told['deadline'])}, whatever is left")
    if window is not None:
        hours = f"{window['begin']} to {window['end']} {window['timezone']}"
        lines.append(f"  runs        {hours}, beginning on {', '.join(window['days'])}")
    return lines


def _tell_change(sample: SampleItem) -> list[str]:
    after = sample["after"]
    if sample["skipped"]:
        return [f"  {sample['position']} would be skipped: {sample['skipped']}"]
    if after is None:
        return []
    return [
        f"  {sample['position']} before {_cut(sample['value'])}",
        f"  {sample['position']} after  {_cut(after['value'])}",
    ]


def _tell_evidence(evidence: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{it['origin']} (by {it['found_by']})" for it in evidence) or "not known"


def job_lines(job: JobItem) -> list[RenderableType]:
    """Return how a job is doing, a line a fact."""
    told = ", ".join(f"{name} {say_count(number)}" for name, number in job["counts"].items() if number)  # type: ignore[arg-type]
    canary = job["canary"]
    lines = [
        f"job {job['id']}: {job['state']}" + (f" ({job['reason']})" if job["reason"] else ""),
        f"  {job['source']} -> {job['target']}, {_GUARANTEES[job['guarantee']]}",
        f"  {told or 'nothing yet'}",
    ]
    if job["seconds_left"] is not None:
        lines.append(f"  about {say_duration(job['seconds_left'])} left")
    if canary is not None and canary["verdict"]:
        lines.append(f"  canary of {say_count(canary['messages'])}: {canary['verdict']}")
    if job["approved_by"]:
        lines.append(f"  approved by {job['approved_by']}")
    return [plain(line) for line in (*lines, *_tell_hours(job))]


def report_lines(report: ReportItem) -> list[RenderableType]:
    """Return what became of everything, a line a fact."""
    consumers = ", ".join(f"{name} {say_count(number)}" for name, number in report["consumers"].items())
    lines = [
        *(f"  {it['outcome']}: {it['messages']} because {it['reason']}" for it in report["reasons"]),
        f"  consumers: {consumers}",
        *(f"  {it['subscription']} is past {say_count(it['processed'])} of them" for it in report["subscribers"]),
    ]
    if report["may_have_bounced"]:
        lines.append(f"  {say_count(report['may_have_bounced'])} dead letters came since, which may be of them")
    if report["edits"]["messages"]:
        lines.append(f"  edited: {say_count(report['edits']['messages'])}, digest {report['edits']['digest']}")
    if not report["adds_up"]:
        lines.append("  the counts do not add up")
    return [*job_lines(report), *(plain(line) for line in lines)]


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
