"""The commands that look at dead letters one by one, put them back, and check the audit log."""

import csv
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import typer

from monitor.api.redrive_items import JobItem, LetterItem, PlanItem
from monitor.apiclient import DEFAULT_URL, ApiClient
from monitor.cli.output import make_console, print_json, print_line
from monitor.cli.redrive_tables import groups_table, job_lines, jobs_table, letters_table, plan_lines
from monitor.errors import EventflowError
from monitor.redrive.model import FINAL_STATES

redrive_commands = typer.Typer(no_args_is_help=True, help="Put dead letters back where they belong.")
audit_commands = typer.Typer(no_args_is_help=True, help="The audit log.")

_PATIENT_SECONDS = 60.0  # planning reads messages
_POLL_SECONDS = 0.5
_FAILURES = ("failed", "completed_with_failures")

Url = Annotated[str, typer.Option("--url", envvar="EVENTFLOW_URL", help="The monitor to ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the body of the API call.")]
QueueId = Annotated[str, typer.Argument(metavar="ID", help="The dead-letter queue, as `eventflow dlq ls` names it.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job.")]
Select = Annotated[str | None, typer.Option("--select", metavar="EXPR", help="JMESPath over one message.")]
Target = Annotated[str | None, typer.Option("--target", help="Where to, instead of where they came from.")]
First = Annotated[int | None, typer.Option("--first", min=1, help="At most so many.")]
Rate = Annotated[float | None, typer.Option("--rate", help="Messages a second.")]
Canary = Annotated[int | None, typer.Option("--canary", min=1, help="So many first, then look whether they come back.")]
OnAmbiguous = Annotated[
    Literal["send", "hold"] | None,
    typer.Option("--on-ambiguous", help="What to do with what may have been sent before an interruption."),
]
Positions = Annotated[list[str] | None, typer.Option("--position", help="One chosen message; may be repeated.")]
SetHeaders = Annotated[list[str] | None, typer.Option("--set-header", metavar="NAME=VALUE", help="May be repeated.")]
RemoveHeaders = Annotated[list[str] | None, typer.Option("--remove-header", metavar="NAME", help="May be repeated.")]
StripFailures = Annotated[bool, typer.Option("--strip-failure-headers", help="Drop what frameworks added at failure.")]
Native = Annotated[bool, typer.Option("--native", help="SQS: let AWS move everything.")]


class Format(StrEnum):
    """How messages are written to a file."""

    JSONL = "jsonl"
    CSV = "csv"


def add_letter_commands(commands: typer.Typer) -> None:
    """Add what looks at single dead letters to `eventflow dlq`."""
    commands.command("peek")(peek)
    commands.command("groups")(show_groups)
    commands.command("export")(export)


def peek(
    queue: QueueId,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Where to go on: the `next` of the page before.")] = None,
    select: Select = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Look at dead letters without harming them."""
    with _connect(url) as monitor:
        page = monitor.letters(queue, limit=limit, cursor=cursor, select=select)
    if as_json:
        print_json(page)
        return
    make_console().print(letters_table(page["items"]) if page["items"] else "nothing waits here")
    for line in [page["warning"], page["next"] and f"more: --cursor {page['next']}"]:
        if line:
            print_line(line)


def show_groups(queue: QueueId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show dead letters by their cause."""
    with _connect(url) as monitor:
        groups = monitor.letter_groups(queue)
    if as_json:
        print_json(groups)
        return
    make_console().print(groups_table(groups["items"]) if groups["items"] else "nothing waits here")
    if not groups["complete"]:
        print_line(f"only the first {groups['looked_at']} were looked at")


def export(
    queue: QueueId,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file; otherwise standard output.")] = None,
    style: Annotated[Format, typer.Option("--format", help="A JSON object a line, or CSV.")] = Format.JSONL,
    select: Select = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Write all dead letters of a queue to a file."""
    with _connect(url) as monitor:
        letters = _all_letters(monitor, queue, select)
        if as_json:
            print_json({"items": list(letters), "next": None})
            return
        if output is None:
            _write(letters, style, sys.stdout)
            return
        try:
            with output.open("w", encoding="utf-8", newline="") as file:
                count = _write(letters, style, file)
        except OSError as error:
            raise EventflowError(f"{output} cannot be written: {error.strerror}") from error
    print_line(f"{count} messages in {output}")


def _all_letters(monitor: ApiClient, queue: str, select: str | None) -> Iterator[LetterItem]:
    cursor: str | None = None
    while True:
        page = monitor.letters(queue, limit=500, cursor=cursor, select=select)
        yield from page["items"]
        cursor = page["next"]
        if cursor is None:
            return


def _write(letters: Iterator[LetterItem], style: Format, file: TextIO) -> int:
    count = 0
    names = ("position", "enqueued_at", "key", "value", "value_encoding", "headers", "origin", "exception", "attempts")
    writer = csv.writer(file)
    if style == Format.CSV:
        writer.writerow(names)
    for count, letter in enumerate(letters, start=1):  # noqa: B007 (told at the end)
        told: dict[str, Any] = dict(letter)
        if style == Format.JSONL:
            file.write(json.dumps(told, ensure_ascii=False) + "\n")
        else:
            writer.writerow([json.dumps(it) if isinstance(it, list) else it for it in map(told.get, names)])
    return count


@redrive_commands.command("plan")
def plan(
    queue: QueueId,
    target: Target = None,
    select: Select = None,
    first: First = None,
    rate: Rate = None,
    canary: Canary = None,
    on_ambiguous: OnAmbiguous = None,
    position: Positions = None,
    set_header: SetHeaders = None,
    remove_header: RemoveHeaders = None,
    strip_failure_headers: StripFailures = False,
    native: Native = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Tell what a redrive would do. Nothing is touched.

    Exit code 1 when the plan cannot be carried out; it says why.
    """
    options = _options(locals())
    with _connect(url) as monitor:
        made = monitor.plan_redrive(queue, **options)
    _show_plan(made, as_json)
    raise typer.Exit(1 if made["blockers"] else 0)


@redrive_commands.command("start")
def start(
    subject: Annotated[str, typer.Argument(metavar="PLAN_ID|ID", help="A plan that was made, or a queue to plan now.")],
    yes: Annotated[bool, typer.Option("--yes", help="Start it; without this it is only shown.")] = False,
    target: Target = None,
    select: Select = None,
    first: First = None,
    rate: Rate = None,
    canary: Canary = None,
    on_ambiguous: OnAmbiguous = None,
    position: Positions = None,
    set_header: SetHeaders = None,
    remove_header: RemoveHeaders = None,
    strip_failure_headers: StripFailures = False,
    native: Native = False,
    key: Annotated[str | None, typer.Option("--idempotency-key", help="The same key is the same job.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until the job has ended.")] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Start a redrive: of a plan, or of a queue with the options of `plan`."""
    options = _options(locals())
    with _connect(url) as monitor:
        if _is_plan(subject):
            if options:
                raise typer.BadParameter(f"a plan has its options already: {', '.join(sorted(options))}")
            made = monitor.redrive_plan(subject)
        else:
            made = monitor.plan_redrive(subject, **options)
        if not yes:
            _show_plan(made, as_json)
            sys.stderr.write(f"Not started. To start it: eventflow redrive start {made['id']} --yes\n")
            raise typer.Exit(2)
        job = monitor.start_redrive(made["id"], made["hash"], key)
        if wait:
            job = _wait(monitor, job)
    _show_job(job, as_json)


@redrive_commands.command("status")
def status(
    job: Annotated[str | None, typer.Argument(metavar="JOB", help="The job; without it all of them.")] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show a job, or all of them."""
    with _connect(url) as monitor:
        if job is not None:
            _show_job(monitor.redrive(job), as_json)
            return
        page = monitor.redrives()
    if as_json:
        print_json(page)
    else:
        make_console().print(jobs_table(page["items"]) if page["items"] else "no job has been started")


@redrive_commands.command("pause")
def pause(job: JobId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Hold a job."""
    _steer(job, "pause", url, as_json)


@redrive_commands.command("resume")
def resume(job: JobId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Let a job go on, also one that has stopped itself."""
    _steer(job, "resume", url, as_json)


@redrive_commands.command("cancel")
def cancel(job: JobId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """End a job where it is; what it has not touched stays."""
    _steer(job, "cancel", url, as_json)


@redrive_commands.command("recover")
def recover(job: JobId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Try an interrupted job again now; by itself it does so after a while."""
    _steer(job, "recover", url, as_json)


@redrive_commands.command("rate")
def set_rate(
    job: JobId,
    rate: Annotated[float | None, typer.Argument(help="Messages a second; without it there is no limit.")] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Change the rate of a job while it runs."""
    with _connect(url) as monitor:
        _show_job(monitor.set_redrive_rate(job, rate), as_json)


@redrive_commands.command("report")
def report(job: JobId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Tell what became of everything."""
    with _connect(url) as monitor:
        told = monitor.redrive_report(job)
    _show_job(told, as_json, reasons=told["reasons"])


@audit_commands.command("verify")
def verify(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Check that no audit record was changed or taken out. Exit code 1 when one was."""
    with _connect(url) as monitor:
        found = monitor.audit_verification()
    if as_json:
        print_json(found)
    elif found["intact"]:
        print_line(f"{found['records']} records, each fits the one before it; the last hash is {found['last_hash']}")
    else:
        print_line(f"record {found['broken_at']} does not fit: it, or one before it, was changed or taken out")
    raise typer.Exit(0 if found["intact"] else 1)


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a plan as the API names them, without those that were not given."""
    names = ("target", "select", "first", "rate", "canary", "on_ambiguous")
    options = {name: given[name] for name in names if given[name] is not None}
    for flag in ("strip_failure_headers", "native"):
        if given[flag]:
            options[flag] = True
    if given["position"]:
        options["positions"] = given["position"]
    if given["remove_header"]:
        options["remove_headers"] = given["remove_header"]
    if given["set_header"]:
        options["set_headers"] = dict(map(_split_header, given["set_header"]))
    return options


def _split_header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
    return name, value


def _is_plan(subject: str) -> bool:
    try:
        uuid.UUID(subject)
    except ValueError:
        return False
    return True


def _wait(monitor: ApiClient, job: JobItem) -> JobItem:
    while job["state"] not in FINAL_STATES:
        time.sleep(_POLL_SECONDS)
        job = monitor.redrive(job["id"])
    return job


def _steer(job: str, verb: str, url: str, as_json: bool) -> None:
    with _connect(url) as monitor:
        told = monitor.steer_redrive(job, verb)
    if as_json:
        print_json(told)
    else:
        make_console().print(*job_lines(told), sep="\n")


def _show_plan(made: PlanItem, as_json: bool) -> None:
    if as_json:
        print_json(made)
    else:
        make_console().print(*plan_lines(made), sep="\n")


def _show_job(job: JobItem, as_json: bool, reasons: Sequence[dict[str, Any]] = ()) -> None:
    if as_json:
        print_json(job)
    else:
        make_console().print(*job_lines(job, reasons), sep="\n")
    raise typer.Exit(1 if job["state"] in _FAILURES else 0)


def _connect(url: str) -> ApiClient:
    return ApiClient(url, os.environ.get("EVENTFLOW_TOKEN"), timeout_seconds=_PATIENT_SECONDS)
