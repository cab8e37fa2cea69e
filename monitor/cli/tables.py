"""Items of the API as tables for a terminal. Status words are written out, so that colour is never alone."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from monitor.api.catalog_items import CatalogItem
from monitor.api.items import CollectorItem, DeadLetterItem, MuteItem, SubscriptionItem
from monitor.checks import Report
from monitor.cli.output import plain
from monitor.model import Finding
from monitor.words import say_age, say_count, say_duration, say_rate

_WIDE = 130
_STYLES = {
    "losing": "bold red",
    "stopped": "bold red",
    "stalled": "red",
    "unknown": "magenta",
    "rewound": "yellow",
    "lagging": "yellow",
    "ok": "green",
}
_NOTHING = "–"


def overview(
    subscriptions: Sequence[SubscriptionItem],
    dead_letters: Sequence[DeadLetterItem],
    collectors: Sequence[CollectorItem],
    now: float,
    width: int,
) -> RenderableType:
    """Return everything that `status` shows: what cannot be seen, what is behind, what is dead."""
    return Group(
        *(_blindness(item, now) for item in collectors if not item["up"]),
        _titled("SUBSCRIPTIONS", subscriptions_table(subscriptions, width), "none has been seen", subscriptions),
        Text(),
        _titled(
            "DEAD-LETTER QUEUES", dead_letters_table(dead_letters, now, width), "none has been found", dead_letters
        ),
    )


def _titled(title: str, table: Table, nothing: str, items: Sequence[object]) -> RenderableType:
    return Group(Text(title, style="bold"), table if items else Text(nothing))


def _blindness(item: CollectorItem, now: float) -> Text:
    if item["up"] is None:
        return plain(f"{item['cluster']}: the first look is not finished", "yellow")
    success = item["last_success_timestamp_seconds"]
    since = "never read yet" if success is None else f"last read {say_duration(max(0.0, now - success))} ago"
    why = "; ".join(error["message"] for error in item["errors"][:1])
    return plain(f"{item['cluster']} cannot be read ({since}): {why}", "bold red")


def subscriptions_table(items: Sequence[SubscriptionItem], width: int) -> Table:
    """Return one row a subscription, in the order given; narrow terminals get the columns that matter most."""
    wide = width >= _WIDE
    table = _table("STATUS", "SUBSCRIPTION", right=("BEHIND", "WAITING", *(("IN", "OUT", "DRAINS IN") if wide else ())))
    if wide:
        table.add_column("OWNER", overflow="fold")
        table.add_column("WHY", overflow="fold")
    for item in items:
        cells = [
            plain(_status_word(item), _STYLES.get(item["status"], "")),
            plain(item["id"]),
            plain(say_age(item["oldest_age_seconds"], item["age_method"])),
            plain(say_count(item["backlog_messages"])),
        ]
        if wide:
            rates = (item["published_per_second"], item["consumed_per_second"])
            cells += [*(plain(say_rate(rate)) for rate in rates), plain(_drain(item))]
            cells += [plain(item["owner"] or _NOTHING), plain(_why(item))]
        table.add_row(*cells)
    return table


def _status_word(item: SubscriptionItem) -> str:
    told = {"retry": item["role"] == "retry", "muted": item["muted_until"], "abandoned": item["abandoned"]}
    marks = [word for word, holds in told.items() if holds]
    return f"{item['status']} ({', '.join(marks)})" if marks else str(item["status"])


def _why(item: SubscriptionItem) -> str:
    until = item["muted_until"]
    return (
        f"muted until {say_moment(until)}: {item['muted_reason']}; {item['status_reason']}"
        if until
        else (item["status_reason"])
    )


def say_moment(unix_seconds: float) -> str:
    """Say a moment in the time of this machine."""
    return datetime.fromtimestamp(unix_seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M %Z")


def mutes_table(items: Sequence[MuteItem]) -> Table:
    """Return one row a mute."""
    table = _table("SUBJECT", "UNTIL", "BY", "WHY", right=("MATCHES", "NUMBER"))
    for item in items:
        matches = say_count(item["subscriptions"] + item["dead_letters"])
        texts = (item["subject"], say_moment(item["until"]), item["actor"], item["reason"], matches, str(item["id"]))
        table.add_row(*(plain(text) for text in texts))
    return table


def catalog_table(catalog: CatalogItem) -> Table:
    """Return one row a version of an event."""
    table = _table("EVENT", "VERSION", "SENT BY", "RECEIVED BY", "OWNER", "SCHEMA", "WHAT")
    for it in catalog["events"]:
        who = (it["producers"], it["consumers"], it["owners"])
        texts = (it["name"], it["version"] or _NOTHING, *(", ".join(names) or _NOTHING for names in who))
        table.add_row(*(plain(text) for text in (*texts, it["format"] or _NOTHING, it["summary"] or _NOTHING)))
    return table


def _drain(item: SubscriptionItem) -> str:
    if item["drains"] is False:
        return "not at this rate"
    return say_duration(item["drain_seconds"]) if item["backlog_messages"] else _NOTHING


def dead_letters_table(items: Sequence[DeadLetterItem], now: float, width: int) -> Table:
    """Return one row a dead-letter queue, in the order given; narrow terminals get the columns that matter most."""
    wide = width >= _WIDE
    table = _table("QUEUE", right=("WAITING", "OLDEST", *(("NEXT LOSS", "ARRIVED") if wide else ())))
    if wide:
        table.add_column("COMES FROM", overflow="fold")
    table.add_column("SET-UP", overflow="fold")
    for item in items:
        cells = [
            plain(item["id"]),
            plain(_waiting(item), "bold red" if item["messages"] else ""),
            plain(say_age(item["oldest_age_seconds"], item["age_method"]) if item["messages"] else _NOTHING),
        ]
        if wide:
            cells += [plain(_next_loss(item, now)), plain(say_count(item["arrivals_total"]))]
            cells += [plain(", ".join(item["origins"]) or _NOTHING)]
        mark = f"muted until {say_moment(item['muted_until'])}; " if item["muted_until"] else ""
        table.add_row(*cells, plain(mark + _set_up(item), "yellow" if item["problems"] else ""))
    return table


def _waiting(item: DeadLetterItem) -> str:
    return say_count(item["messages"]) if item["role"] == "dead_letter" else _NOTHING


def _next_loss(item: DeadLetterItem, now: float) -> str:
    expires = item["expiry_timestamp_seconds"]
    return _NOTHING if expires is None or not item["messages"] else f"in {say_duration(max(0.0, expires - now))}"


def _set_up(item: DeadLetterItem) -> str:
    return ", ".join(problem.replace("_", " ") for problem in item["problems"]) or "ok"


def check_tables(reports: Sequence[Report], database: Finding) -> RenderableType:
    """Return what was found out about each cluster and the database, with the remedy under what is missing."""
    return Group(*(line for report in reports for line in _check_lines(report)), *_finding_lines(database, indent=""))


def _check_lines(report: Report) -> list[RenderableType]:
    word, style = ("ok", "bold green") if report.ok else ("FAILS", "bold red")
    lines: list[RenderableType] = [plain(f"{report.cluster} ({report.kind}): {word}", style)]
    return lines + [line for finding in report.findings for line in _finding_lines(finding, indent="  ")]


def _finding_lines(finding: Finding, indent: str) -> Iterator[RenderableType]:
    word, style = ("ok", "green") if finding.ok else ("FAILS", "red") if finding.required else ("missing", "yellow")
    yield plain(f"{indent}{word}: {finding.target}: {finding.message}", style)
    if finding.remedy and not finding.ok:
        yield plain(f"{indent}  -> {finding.remedy}")


def _table(*left: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table
