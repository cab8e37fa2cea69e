"""The commands that put dead letters back, and check the audit log."""

import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from monitor.api.redrive_items import JobItem, PlanItem
from monitor.apiclient import DEFAULT_URL, ApiClient
from monitor.cli.output import make_console, print_json, print_line
from monitor.cli.planning import REDRIVING, with_options
from monitor.cli.redrive_tables import job_lines, jobs_table, plan_lines, report_lines
from monitor.errors import EventflowError
from monitor.redrive.model import FINAL_STATES, JobState

redrive_commands = typer.Typer(no_args_is_help=True, help="Put dead letters back where they belong.")
audit_commands = typer.Typer(no_args_is_help=True, help="The audit log.")

_PATIENT_SECONDS = 60.0  # planning reads messages
_POLL_SECONDS = 0.5
_FAILURES = ("failed", "completed_with_failures")

Url = Annotated[str, typer.Option("--url", envvar="EVENTFLOW_URL", help="The monitor to ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the body of the API call.")]
QueueId = Annotated[str, typer.Argument(metavar="ID", help="The dead-letter queue, as `eventflow dlq ls` names it.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job.")]
Yes = Annotated[bool, typer.Option("--yes", help="Start it; without this it is only shown.")]
Wait = Annotated[bool, typer.Option("--wait", help="Until the job has ended, or waits for a person.")]


@redrive_commands.command("plan")
@with_options(*REDRIVING)
def plan(queue: QueueId, url: Url = DEFAULT_URL, as_json: AsJson = False, *, options: dict[str, Any]) -> None:
    """Tell what a redrive would do. Nothing is touched.

    Exit code 1 when the plan cannot be carried out; it says why.
    """
    with connect(url) as monitor:
        made = monitor.plan_redrive(queue, **options)
    _show_plan(made, as_json)
    raise typer.Exit(1 if made["blockers"] else 0)


@redrive_commands.command("start")
@with_options(*REDRIVING)
def start(
    subject: Annotated[str, typer.Argument(metavar="PLAN_ID|ID", help="A plan that was made, or a queue to plan now.")],
    yes: Yes = False,
    key: Annotated[str | None, typer.Option("--idempotency-key", help="The same key is the same job.")] = None,
    note: Annotated[str | None, typer.Option("--note", help="Such as a ticket, for the audit log.")] = None,
    wait: Wait = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
    *,
    options: dict[str, Any],
) -> None:
    """Start a redrive: of a plan, or of a queue with the options of `plan`."""
    plan_and_start(url, subject, options, yes=yes, wait=wait, as_json=as_json, key=key, note=note)


def plan_and_start(
    url: str,
    subject: str,
    options: dict[str, Any],
    *,
    yes: bool,
    wait: bool,
    as_json: bool,
    key: str | None = None,
    note: str | None = None,
) -> None:
    """Make a plan, unless the subject is one, and start it; without `yes` only show it, with exit code 2."""
    with connect(url) as monitor:
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
        job = monitor.start_redrive(made["id"], made["hash"], key, note)
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
    with connect(url) as monitor:
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


@redrive_commands.command("approve")
def approve(job: JobId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Let a job begin that somebody else has started, and that needs a second person."""
    _steer(job, "approve", url, as_json)


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
    with connect(url) as monitor:
        _show_job(monitor.set_redrive_rate(job, rate), as_json)


@redrive_commands.command("report")
def report(job: JobId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Tell what became of everything."""
    with connect(url) as monitor:
        told = monitor.redrive_report(job)
    if as_json:
        print_json(told)
    else:
        make_console().print(*report_lines(told), sep="\n")
    raise typer.Exit(1 if told["state"] in _FAILURES else 0)


@redrive_commands.command("items")
def items(
    job: JobId,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file; otherwise standard output.")] = None,
    outcome: Annotated[str | None, typer.Option("--outcome", help="Only those with this outcome.")] = None,
    originals: Annotated[
        bool, typer.Option("--originals", help="Instead: edited messages as they were, for those who may see bodies.")
    ] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Write a job's messages one by one, a JSON object a line."""
    with connect(url) as monitor:
        found = monitor.all_redrive_originals(job) if originals else monitor.all_redrive_items(job, outcome=outcome)
        if as_json:
            print_json({"items": list(found), "next": None})
            return
        lines = (json.dumps(it, ensure_ascii=False) + "\n" for it in found)
        if output is None:
            sys.stdout.writelines(lines)
            return
        try:
            with output.open("w", encoding="utf-8") as file:
                file.writelines(lines)
        except OSError as error:
            raise EventflowError(f"{output} cannot be written: {error.strerror}") from error
    print_line(f"written to {output}")


@audit_commands.command("verify")
def verify(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Check that no audit record was changed or taken out. Exit code 1 when one was."""
    with connect(url) as monitor:
        found = monitor.audit_verification()
    if as_json:
        print_json(found)
    elif found["intact"]:
        print_line(f"{found['records']} records, each fits the one before it; the last hash is {found['last_hash']}")
    else:
        print_line(f"record {found['broken_at']} does not fit: it, or one before it, was changed or taken out")
    raise typer.Exit(0 if found["intact"] else 1)


def _is_plan(subject: str) -> bool:
    try:
        uuid.UUID(subject)
    except ValueError:
        return False
    return True


def _wait(monitor: ApiClient, job: JobItem) -> JobItem:
    while job["state"] not in (*FINAL_STATES, JobState.AWAITING_APPROVAL):
        time.sleep(_POLL_SECONDS)
        job = monitor.redrive(job["id"])
    return job


def _steer(job: str, verb: str, url: str, as_json: bool) -> None:
    with connect(url) as monitor:
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


def _show_job(job: JobItem, as_json: bool) -> None:
    if as_json:
        print_json(job)
    else:
        make_console().print(*job_lines(job), sep="\n")
    raise typer.Exit(1 if job["state"] in _FAILURES else 0)


def connect(url: str) -> ApiClient:
    """Return a patient client with the token of the environment."""
    return ApiClient(url, os.environ.get("EVENTFLOW_TOKEN"), timeout_seconds=_PATIENT_SECONDS)
