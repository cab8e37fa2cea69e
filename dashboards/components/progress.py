"""How a job is doing, what can be asked of it, and what it came to. Pure functions over the API's JSON."""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any, NamedTuple

from dashboards.components.message import in_cell
from dashboards.components.status import Look
from dashboards.components.times import say_moment
from monitor.api.items import SubscriptionItem
from monitor.api.redrive_items import JobCounts, JobItem, JobMessage, ReportItem
from monitor.words import NOT_KNOWN, say_count, say_duration, say_rate

Row = dict[str, Any]

_GREEN, _RED, _ORANGE, _BLUE, _GRAY = "#2a9d5c", "#d62728", "#f28e2b", "#4c78a8", "#888888"
STATES = {
    "planned": Look("…", "about to start", "gray", _GRAY),
    "awaiting_approval": Look("◇", "awaiting approval", "orange", _ORANGE),
    "scheduled": Look("◷", "scheduled", "blue", _BLUE),
    "canary": Look("◔", "canary", "blue", _BLUE),
    "running": Look("▶", "running", "blue", _BLUE),
    "paused": Look("❚❚", "paused", "orange", _ORANGE),
    "verifying": Look("◕", "verifying", "blue", _BLUE),
    "completed": Look("✔", "completed", "green", _GREEN),
    "completed_with_failures": Look("▲", "completed with failures", "orange", _ORANGE),
    "cancelling": Look("◌", "cancelling", "gray", _GRAY),
    "cancelled": Look("■", "cancelled", "gray", _GRAY),
    "failed": Look("✖", "failed", "red", _RED),
    "interrupted": Look("↯", "interrupted", "orange", _ORANGE),
    "recovering": Look("↺", "recovering", "blue", _BLUE),
}
"""The states of a job."""

ENDED = frozenset(("completed", "completed_with_failures", "cancelled", "failed"))

OUTCOMES: Mapping[str, str] = {
    "sent": "sent, and confirmed by the broker",
    "bounced": "sent, and came back as a dead letter",
    "failed": "refused by the target; still in the dead-letter queue",
    "skipped": "not sent on purpose; still in the dead-letter queue",
    "expired": "gone before they could be sent",
    "ambiguous": "may have been sent before an interruption",
    "left": "not touched; still in the dead-letter queue",
}
"""What each count means, in the order in which they are told."""

_REASONS = {
    "operator": "somebody paused it",
    "circuit_open": "it stopped itself, since messages came back",
    "target_backpressure": "the broker takes nothing now; it goes on by itself",
    "window_closed": "its time window is closed; it goes on by itself",
    "lease_lost": "another monitor redrives this queue",
    "read_only": "the configuration allows no redrive on this cluster now; it goes on by itself when it does",
}


class Outcome(NamedTuple):
    """What a job came to: `kind` is success, warning, error or info."""

    kind: str
    told: str


def look_of_job(state: str) -> Look:
    """Return how a state is shown; one that this version does not know is shown as its own word."""
    return STATES.get(state) or Look("?", state, "violet", _GRAY)


def has_ended(job: JobItem) -> bool:
    """Say whether nothing will change any more."""
    return job["state"] in ENDED


def verbs_of(job: JobItem) -> tuple[str, ...]:
    """Return what can be asked of a job now."""
    if has_ended(job) or job["state"] == "cancelling":
        return ()
    if job["state"] == "interrupted":
        return ("recover", "cancel")
    if job["state"] == "paused" or job["wanted"] == "pause":
        return ("resume", "cancel")
    return ("pause", "cancel")


def say_reason(job: JobItem) -> str:
    """Say in plain words why a job stands; empty where nothing is told."""
    reason = job["reason"] or ""
    code, _, rest = reason.partition(":")
    known = _REASONS.get(code.strip())
    if known is None:
        return reason
    return f"{known} ({rest.strip()})" if rest.strip() else known


def say_approval(job: JobItem) -> list[tuple[str, str]]:
    """Return who let a job begin besides who asked for it: a name and a sentence; nothing where nobody had to."""
    if job["approved_by"] is None:
        return []
    return [("Approved", f"by {job['approved_by']}; asked for by {job['created_by']}")]


def share_done(counts: JobCounts) -> float:
    """Return the share of what was planned that has its outcome."""
    return 1.0 - counts["left"] / counts["planned"] if counts["planned"] else 1.0


def say_progress(job: JobItem) -> str:
    """Say how far a job is: `1,200 of 12,400 sent, 11,200 left`."""
    counts = job["counts"]
    done = counts["sent"] + counts["bounced"]
    return f"{say_count(done)} of {say_count(counts['planned'])} sent, {say_count(counts['left'])} left"


def say_time_left(job: JobItem) -> str:
    """Say how long a job still takes at its present speed."""
    if has_ended(job) or job["counts"]["left"] == 0:
        return "–"
    return NOT_KNOWN if job["seconds_left"] is None else f"about {say_duration(job['seconds_left'])}"


def say_canary(job: JobItem) -> Outcome | None:
    """Say what is known of the canary; None for a job that has none."""
    canary, counts = job["canary"], job["counts"]
    if canary is None:
        return None
    first = say_count(min(canary["messages"], counts["planned"]))
    back = say_count(counts["bounced"])
    match canary["verdict"]:
        case "passed":
            return Outcome(
                "success", f"Canary passed: of the first {first} none came back in time, so the others follow."
            )
        case "failed":
            sent = say_count(counts["sent"] + counts["bounced"])
            return Outcome(
                "error", f"Canary failed: {back} of {sent} came back. Mend the cause, then resume or cancel."
            )
        case "unknown":
            return Outcome("warning", f"Canary: the first {first} went; on this queue nobody can see what comes back.")
    if job["state"] == "canary" and counts["planned"] - counts["left"] >= min(canary["messages"], counts["planned"]):
        wait = say_duration(canary["wait_seconds"])
        return Outcome(
            "info", f"Canary: the first {first} are sent; {wait} to see whether any comes back ({back} so far)."
        )
    if has_ended(job):
        return Outcome("info", f"Canary: it ended before the first {first} could be judged.")
    return Outcome("info", f"Canary: the first {first} go ahead of the others.")


def outcome_rows(counts: JobCounts) -> list[Row]:
    """Return the outcomes as a table that adds up to what was planned; those that nothing has are left out."""
    rows = [
        {"Outcome": name, "Messages": counts[name], "What it means": told}  # type: ignore[literal-required]
        for name, told in OUTCOMES.items()
        if counts[name] or name in ("sent", "left")  # type: ignore[literal-required]
    ]
    return [*rows, {"Outcome": "planned", "Messages": counts["planned"], "What it means": "all of them together"}]


def job_row(job: JobItem, now: float, zone: tzinfo) -> Row:
    """Return a job as the columns of the table."""
    counts = job["counts"]
    return {
        "State": str(look_of_job(job["state"])),
        "From": in_cell(f"{job['cluster']} / {job['source']}"),
        "To": in_cell(job["target"]),
        "Done": share_done(counts),
        "Planned": counts["planned"],
        "Sent": counts["sent"],
        "Not sent": counts["skipped"] + counts["failed"] + counts["expired"] + counts["ambiguous"],
        "Came back": counts["bounced"],
        "Left": counts["left"],
        "By": in_cell(job["created_by"], 60),
        "Begun": say_moment(job["started_at"] or job["created_at"], now, zone),
        "Took": _say_took(job, now),
    }


def _say_took(job: JobItem, now: float) -> str:
    if job["started_at"] is None:
        return "–"
    return say_duration(max(0.0, (job["ended_at"] or now) - job["started_at"]))


# -- the report --------------------------------------------------------------------------------------------------------


def say_outcome(job: JobItem) -> Outcome:
    """Say in one plain sentence what an ended job came to."""
    counts = job["counts"]
    sent, planned = say_count(counts["sent"]), say_count(counts["planned"])
    stays = counts["failed"] + counts["skipped"] + counts["left"]
    rest = f"; {say_count(stays)} stay in the dead-letter queue" if stays else ""
    if job["state"] == "completed":
        return Outcome("success", f"Done: {sent} of {planned} were sent back, and none came back{rest}.")
    if job["state"] == "cancelled":
        return Outcome("info", f"Cancelled after {sent} of {planned}{rest}.")
    if job["state"] == "failed":
        return Outcome("error", f"Failed: {say_reason(job) or 'see the log'}. {sent} of {planned} were sent{rest}.")
    bad = [
        f"{say_count(counts[name])} {name}" for name in ("bounced", "failed", "expired", "ambiguous") if counts[name]
    ]
    return Outcome("warning", f"Ended with failures: {sent} of {planned} were sent; {', '.join(bad)}{rest}.")


def say_processed(report: ReportItem) -> Outcome:
    """Say what the consumers did with what was sent, as far as it can be known: one plain sentence."""
    told, sent = report["consumers"], report["counts"]["sent"]
    processed, bounced, unknown = (told.get(name, 0) for name in ("processed", "bounced", "unknown"))
    if not sent and not bounced:
        return Outcome("info", "Nothing was sent, so there is nothing to process.")
    if bounced:
        more = f"; {say_count(processed)} were processed" if processed else ""
        return Outcome("warning", f"{say_count(bounced)} came back as dead letters{more}.")
    if not unknown:
        return Outcome("success", f"All {say_count(processed)} were processed by their consumers, and none came back.")
    known = f"{say_count(processed)} were processed" if processed else "Nobody knows yet whether they were processed"
    return Outcome("info", f"{known}; of {say_count(unknown)} it is not known. None came back.")


def say_readers(readers: Sequence[SubscriptionItem], ended: float) -> Outcome | None:
    """Say whether those who read the target still have something before them; None when nobody is watched.

    What was read before the job ended says nothing about its messages.
    """
    if not readers:
        return None
    if any(it["as_of"] <= ended for it in readers):
        return Outcome("info", "Looking at the consumers of the target…")
    behind = [it for it in readers if it["backlog_messages"] != 0 or it["in_flight_messages"]]
    if not behind:
        names = ", ".join(in_cell(it["subscriber"], 80) for it in readers)
        return Outcome("success", f"Nothing waits at the target any more: {names} took in everything.")
    waiting = (f"{in_cell(it['subscriber'], 80)} ({say_count(it['backlog_messages'])} waiting)" for it in behind)
    return Outcome("info", f"Still at work: {', '.join(waiting)}.")


def subscriber_rows(report: ReportItem) -> list[Row]:
    """Return what each reader of the target did."""
    return [
        {"Consumer": in_cell(it["subscription"]), "Processed": it["processed"], "Not known": it["unknown"]}
        for it in report["subscribers"]
    ]


def report_facts(report: ReportItem, now: float, zone: tzinfo) -> list[tuple[str, str]]:
    """Return what a report says besides the counts: a name and a plain sentence each."""
    facts = [
        ("From", f"{report['source']} on {report['cluster']}"),
        ("To", report["target"] or NOT_KNOWN),
        ("Began", f"{say_moment(report['started_at'], now, zone)}, by {report['created_by']}"),
        ("Took", f"{_say_took(report, now)}, {say_rate(report['sent_per_second'])} on average"),
        *say_approval(report),
        ("Guarantee", report["guarantee"].replace("_", " ")),
        ("Adds up", "yes: every message has exactly one outcome" if report["adds_up"] else "NO: please report this"),
    ]
    if report["interruptions"]:
        doubled = say_count(report["at_most_duplicates"])
        times = "once" if report["interruptions"] == 1 else f"{report['interruptions']} times"
        facts.append(("Interrupted", f"{times}; at most {doubled} were sent twice"))
    if report["sent_again"]:
        facts.append(("Sent again", f"{say_count(report['sent_again'])}, of which it was not known"))
    return facts


def reason_rows(report: ReportItem) -> list[Row]:
    """Return why messages were not sent, most first."""
    rows = [
        {"Outcome": it.get("outcome"), "Messages": it.get("messages"), "Reason": in_cell(it.get("reason"), 500)}
        for it in report["reasons"]
    ]
    return sorted(rows, key=lambda row: -(row["Messages"] or 0))


def range_rows(report: ReportItem) -> list[Row]:
    """Return where messages came to lie at the target, as the bus tells it."""
    return [{in_cell(name, 40): _cell(value) for name, value in it.items()} for it in report["ranges"]]


def message_row(item: JobMessage) -> Row:
    """Return one message of a job as the columns of the table."""
    return {
        "Position": in_cell(item["position"], 60),
        "Outcome": item["outcome"] or item["stage"],
        "At the target": in_cell(item["at_target"]),
        "Reason": in_cell(item["reason"], 500),
    }


def _cell(value: Any) -> Any:
    return value if isinstance(value, bool | int | float) or value is None else in_cell(str(value))
