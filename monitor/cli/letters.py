"""The commands that look at dead letters one by one, write them to files, set them aside, and remove them."""

import csv
import json
import sys
from collections.abc import Iterable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from monitor.apiclient import DEFAULT_URL
from monitor.cli.output import make_console, print_json, print_line
from monitor.cli.planning import SELECTION, SHELVING, with_options
from monitor.cli.redrive_tables import archives_table, group_lines, groups_table, letters_table
from monitor.cli.redrives import AsJson, QueueId, Url, Wait, Yes, connect, plan_and_start
from monitor.errors import EventflowError

_MOST_TOLD = 10
"""Of how many groups the command tells more than the table."""


_LARGEST_FIELD = 2**31 - 1


class Format(StrEnum):
    """How messages are written to a file."""

    JSONL = "jsonl"
    CSV = "csv"


Output = Annotated[Path | None, typer.Option("--output", "-o", help="A file; otherwise standard output.")]
Style = Annotated[Format, typer.Option("--format", help="A JSON object a line, or CSV.")]


def add_letter_commands(commands: typer.Typer) -> None:
    """Add what concerns single dead letters to `eventflow dlq`."""
    commands.command("peek")(peek)
    commands.command("groups")(show_groups)
    commands.command("export")(export)
    commands.command("archive")(archive)
    commands.command("archived")(list_archived)
    commands.command("restore")(restore)
    commands.command("purge")(purge)


@with_options(*SELECTION)
def peek(
    queue: QueueId,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Where to go on: the `next` of the page before.")] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
    *,
    options: dict[str, Any],
) -> None:
    """Look at dead letters without harming them."""
    with connect(url) as monitor:
        page = monitor.letters(queue, limit=limit, cursor=cursor, **_sought(options))
    if as_json:
        print_json(page)
        return
    make_console().print(letters_table(page["items"]) if page["items"] else "nothing waits here")
    for line in [page["warning"], page["next"] and f"more: --cursor {page['next']}"]:
        if line:
            print_line(line)


def show_groups(queue: QueueId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show dead letters by their cause."""
    with connect(url) as monitor:
        groups = monitor.letter_groups(queue)
    if as_json:
        print_json(groups)
        return
    console = make_console()
    console.print(groups_table(groups["items"]) if groups["items"] else "nothing waits here")
    for item in groups["items"][:_MOST_TOLD]:
        print_line()
        for line in group_lines(item):
            console.print(line)
    if not groups["complete"]:
        print_line(f"only the first {groups['looked_at']} were looked at")
    if groups["warning"]:
        print_line(groups["warning"])


@with_options(*SELECTION)
def export(
    queue: QueueId,
    output: Output = None,
    style: Style = Format.JSONL,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
    *,
    options: dict[str, Any],
) -> None:
    """Write all dead letters of a queue to a file. An export of everything allows a purge for an hour."""
    sought = _sought(options)
    with connect(url) as monitor:
        if as_json:
            with monitor.export_letters(queue, **sought) as exported:
                lines = b"".join(exported.chunks).splitlines()
            print_json({"id": exported.id, "items": [json.loads(line) for line in lines], "next": None})
            return
        with monitor.export_letters(queue, format=style.value, **sought) as exported:
            if output is None:
                sys.stdout.buffer.writelines(exported.chunks)
                return
            count = _write(exported.chunks, output, style)
    print_line(f"{count} messages in {output}; this is export {exported.id}")


@with_options(*SHELVING)
def archive(
    queue: QueueId,
    reason: Annotated[str, typer.Option("--reason", help="Why they are set aside.")],
    yes: Yes = False,
    wait: Wait = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
    *,
    options: dict[str, Any],
) -> None:
    """Set dead letters aside: all of a queue, or those that the options select."""
    plan_and_start(url, queue, {**options, "action": "archive", "reason": reason}, yes=yes, wait=wait, as_json=as_json)


def list_archived(
    queue: Annotated[str | None, typer.Argument(metavar="ID", help="One queue; without it all of them.")] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show what is set aside."""
    with connect(url) as monitor:
        page = monitor.archives(dead_letters=queue)
    if as_json:
        print_json(page)
        return
    make_console().print(archives_table(page["items"]) if page["items"] else "nothing is set aside")


@with_options(*SHELVING)
def restore(
    archived: Annotated[str, typer.Argument(metavar="ARCHIVE", help="What to put back, as `dlq archived` names it.")],
    yes: Yes = False,
    wait: Wait = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
    *,
    options: dict[str, Any],
) -> None:
    """Put what was set aside back into its queue."""
    with connect(url) as monitor:
        queue = monitor.redrive(archived)["dead_letters"]
    plan_and_start(
        url, queue, {**options, "action": "restore", "archive": archived}, yes=yes, wait=wait, as_json=as_json
    )


def purge(
    queue: QueueId,
    name: Annotated[str, typer.Option("--name", help="The name of the queue, typed once more.")],
    export_id: Annotated[str, typer.Option("--export", help="The id of an export of all of it, of the last hour.")],
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Remove everything that is in a queue. For admins, and only after an export."""
    with connect(url) as monitor:
        answer = monitor.purge(queue, name, export_id)
    if as_json:
        print_json(answer)
    else:
        print_line(f"{answer['removed']} messages were removed from {answer['dead_letters']}")


def _sought(options: dict[str, Any]) -> dict[str, Any]:
    wrong = [name for name in ("positions", "first") if name in options]
    if wrong:
        raise typer.BadParameter(f"{wrong[0]} is for plans")
    return options


def _write(chunks: Iterable[bytes], output: Path, style: Format) -> int:
    """Write a file that is whole or not there, and return how many messages it has."""
    try:
        with output.open("wb") as file:
            file.writelines(chunks)
        with output.open(encoding="utf-8", errors="surrogateescape", newline="") as file_again:
            if style == Format.JSONL:
                return sum(1 for _ in file_again)
            csv.field_size_limit(_LARGEST_FIELD)  # a message in CSV may be long, and have line breaks of its own
            return sum(1 for _ in csv.reader(file_again)) - 1
    except OSError as error:
        raise EventflowError(f"{output} cannot be written: {error.strerror}") from error
    except EventflowError:
        with suppress(OSError):
            output.unlink()
        raise
