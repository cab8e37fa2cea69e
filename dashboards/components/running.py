"""A job on the page: its progress and what can be asked of it while it runs, its report when it has ended."""

import json
from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboards.client import about, connect, may
from dashboards.components.address import link, page
from dashboards.components.facts import draw_facts, draw_outcome
from dashboards.components.originals import draw_originals
from dashboards.components.plan import RATE_CHOICES, Choices, say_pace, say_times
from dashboards.components.planning import open_plan
from dashboards.components.progress import (
    OUTCOMES,
    Row,
    has_ended,
    job_row,
    look_of_job,
    message_row,
    outcome_rows,
    range_rows,
    reason_rows,
    report_facts,
    say_approval,
    say_canary,
    say_outcome,
    say_processed,
    say_progress,
    say_readers,
    say_reason,
    say_time_left,
    share_done,
    subscriber_rows,
    verbs_of,
)
from dashboards.components.states import REFRESH_SECONDS, failures_told, read, say_empty
from dashboards.components.text import as_text
from dashboards.components.times import now, viewer_zone
from monitor.api.items import SubscriptionItem
from monitor.api.redrive_items import JobItem, ReportItem
from monitor.errors import ClientError
from monitor.words import say_count, say_rate

_LIVE_SECONDS = 1
_MOST_READERS = 100
_MOST_RANGES = 500
_REFUSED = "refused steering"
_VERBS = {
    "pause": ("Pause", ":material/pause:", "It holds within a second; nothing is lost."),
    "resume": ("Resume", ":material/play_arrow:", "It goes on from where it is."),
    "recover": ("Try again now", ":material/restart_alt:", "It tries by itself after a while."),
}


def draw_job(id_: str) -> None:
    """Draw a job: live while it runs, as a report when it has ended."""
    link("redrive", "All jobs", icon=":material/arrow_back:")
    job = read(("job", id_), lambda: connect().redrive(id_))
    verb = {"archive": "Set aside", "restore": "Put back"}.get(job["action"], "Redrive")
    st.header(f"{verb}: {as_text(job['source'])} → {as_text(job['target'] or '?')}", anchor=False)
    if has_ended(job):
        _draw_report(job)
    else:
        _draw_live(id_)
        st.caption("The job belongs to the monitor: close this page, or open its address elsewhere; it goes on.")


# -- while it runs -----------------------------------------------------------------------------------------------------


@st.fragment(run_every=_LIVE_SECONDS)
def _draw_live(id_: str) -> None:
    with failures_told():
        job = read(("job", id_), lambda: connect().redrive(id_))
        if has_ended(job):
            st.rerun(scope="app")
        _draw_state(job)
        _draw_numbers(job)
        if may("operator"):
            _draw_steering(job)
        times = [*say_approval(job), *say_times(job["start_at"], job["deadline"], job["window"])]
        if times:
            draw_facts(times)


def _draw_state(job: JobItem) -> None:
    reason = say_reason(job)
    st.markdown(look_of_job(job["state"]).badge + (f" {as_text(reason, 1_000)}" if reason else ""))
    st.progress(share_done(job["counts"]), text=say_progress(job))
    canary = say_canary(job)
    if canary:
        draw_outcome(canary)
    if job["state"] == "awaiting_approval":
        st.warning(f"A second person must approve: {as_text(job['approval'] or '')}", icon=":material/how_to_reg:")


def _draw_numbers(job: JobItem) -> None:
    with st.container(horizontal=True):
        for word, number in _numbers(job):
            st.metric(word, number, width="content")
        st.metric(
            "A second", "–" if job["sent_per_second"] is None else say_rate(job["sent_per_second"]), width="content"
        )
        st.metric("Time left", say_time_left(job), width="content")


def _numbers(job: JobItem) -> list[tuple[str, str]]:
    counts = job["counts"]
    always = [("Sent", counts["sent"]), ("Left", counts["left"]), ("Came back", counts["bounced"]),
              ("Failed", counts["failed"])]  # fmt: skip
    others = [("Skipped", counts["skipped"]), ("Expired", counts["expired"]), ("Ambiguous", counts["ambiguous"])]
    return [(word, say_count(number)) for word, number in [*always, *(it for it in others if it[1])]]


def _draw_steering(job: JobItem) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if job["state"] == "awaiting_approval":
            _draw_approval(job)
        for verb in verbs_of(job):
            if verb in _VERBS:
                label, icon, told = _VERBS[verb]
                st.button(label, icon=icon, help=told, key=f"{verb} {job['id']}", on_click=_steer,
                          args=(job["id"], verb))  # fmt: skip
        if "cancel" in verbs_of(job):
            with st.popover("Cancel", icon=":material/stop:"):
                st.caption("What has been sent stays sent; what has not stays in the dead-letter queue.")
                st.button("Yes, cancel the job", key=f"cancel {job['id']}", on_click=_steer, args=(job["id"], "cancel"))
        _draw_rate(job)
    refused = st.session_state.pop(_REFUSED, None)
    if refused:
        st.error(as_text(refused), icon=":material/block:")


def _draw_approval(job: JobItem) -> None:
    known = about()
    if known is None or known["name"] == job["created_by"]:
        st.caption("It waits for somebody else than you.")
        return
    st.button("Approve", icon=":material/how_to_reg:", type="primary", key=f"approve {job['id']}",
              help="By somebody else than who asked for it.", on_click=_approve, args=(job["id"],))  # fmt: skip


def _draw_rate(job: JobItem) -> None:
    if job["action"] != "redrive" or not verbs_of(job):
        return
    rates: dict[str, float | None] = {say_pace(it): it for it in (None, *RATE_CHOICES)}
    word = next((word for word, rate in rates.items() if rate == job["rate"]), None)
    if word is None:
        word = say_pace(job["rate"])
        rates[word] = job["rate"]
    # The key has the rate in it, so that a change from elsewhere shows here.
    key = f"rate {job['id']} {job['rate']}"
    st.segmented_control("Rate", list(rates), default=word, key=key, required=True, on_change=_set_rate,
                         args=(job["id"], key, rates))  # fmt: skip
    with st.popover("Another rate", icon=":material/speed:"):
        own = f"own {key}"
        st.number_input("Messages a second", min_value=0.1, max_value=1_000_000.0, value=job["rate"] or 50.0, key=own)
        st.button("Set it", key=f"set {key}", on_click=_set_own_rate, args=(job["id"], own))


def _set_rate(job: str, key: str, rates: dict[str, float | None]) -> None:
    _try(lambda: connect().set_redrive_rate(job, rates[st.session_state[key]]))


def _set_own_rate(job: str, key: str) -> None:
    _try(lambda: connect().set_redrive_rate(job, st.session_state[key]))


def _steer(job: str, verb: str) -> None:
    _try(lambda: connect().steer_redrive(job, verb))


def _approve(job: str) -> None:
    _try(lambda: connect().steer_redrive(job, "approve"))


def _try(act: Any) -> None:
    """Act, and keep a refusal for the redraw that follows."""
    try:
        act()
    except ClientError as error:
        st.session_state[_REFUSED] = str(error)


# -- when it has ended -------------------------------------------------------------------------------------------------


def _draw_report(job: JobItem) -> None:
    st.markdown(look_of_job(job["state"]).badge)
    draw_outcome(say_outcome(job))
    _draw_consumers(job)
    canary = say_canary(job)
    if canary and canary.kind != "success":
        draw_outcome(canary)
    report = connect().redrive_report(job["id"])
    st.subheader("What became of each")
    st.dataframe(outcome_rows(job["counts"]), hide_index=True, width="stretch", alt="Outcomes, which add up")
    draw_facts(report_facts(report, now(), viewer_zone()))
    _draw_rows("Why messages were not sent", reason_rows(report))
    _draw_messages(job)
    if report["edits"]["messages"]:
        draw_originals(job["id"], report["edits"])
    ranges = range_rows(report)
    if ranges:
        with st.expander(f"Where they are at the target ({say_count(len(ranges))} transactions)"):
            st.dataframe(ranges[:_MOST_RANGES], hide_index=True, width="stretch")
    _draw_ways_on(job, report)


@st.fragment(run_every=REFRESH_SECONDS)
def _draw_consumers(job: JobItem) -> None:
    """Say what the consumers did with what was sent; this goes on changing after the job has ended."""
    if job["action"] != "redrive":
        return
    with failures_told():
        report = read(("report", job["id"]), lambda: connect().redrive_report(job["id"]))
        processed = say_processed(report)
        draw_outcome(processed)
        # On Kafka the marks of transactions count as lag: where it is known that all were processed, that is all.
        known = processed.kind == "success" or not job["counts"]["sent"]
        readers = None if known else say_readers(_readers(job), job["ended_at"] or 0.0)
        if readers:
            draw_outcome(readers)
        _draw_rows("What each consumer did", subscriber_rows(report))


def _readers(job: JobItem) -> Sequence[SubscriptionItem]:
    if not job["target"]:
        return ()
    asked = {"cluster": job["cluster"], "q": job["target"], "limit": _MOST_READERS}
    found = read(("readers", job["id"]), lambda: connect().subscriptions(**asked))["items"]
    return [it for it in found if it["destination"] == job["target"] and it["role"] == "work" and not it["abandoned"]]


def _draw_rows(title: str, rows: Sequence[Row]) -> None:
    if rows:
        st.subheader(title)
        st.dataframe(list(rows), hide_index=True, width="stretch", placeholder="–", alt=title)


def _draw_messages(job: JobItem) -> None:
    """Draw the single messages of a job, by their outcome, a page at a time."""
    outcomes = [name for name in OUTCOMES if name != "left" and job["counts"][name]]  # type: ignore[literal-required]
    if not outcomes:
        return
    with st.expander("Messages one by one"):
        outcome = st.segmented_control("Outcome", outcomes, default=outcomes[-1], key="outcome of items", required=True)
        cursor = st.session_state.get(f"items {job['id']} {outcome}")
        found = connect().redrive_items(job["id"], limit=100, cursor=cursor, outcome=outcome)
        if found["items"]:
            st.dataframe([message_row(it) for it in found["items"]], hide_index=True, width="stretch", placeholder="–")
        else:
            say_empty("They are not listed one by one: where this bus keeps the proof itself, it keeps ranges.")
        if found["next"] and st.button("Next page", key=f"more {outcome}"):
            st.session_state[f"items {job['id']} {outcome}"] = found["next"]
            st.rerun()


def _draw_ways_on(job: JobItem, report: ReportItem) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        text = json.dumps(report, indent=2, ensure_ascii=False, default=str)
        st.download_button("Download the report", text, f"redrive-{job['id']}.json", "application/json",
                           icon=":material/download:", on_click="ignore")  # fmt: skip
        link("dead-letters", "The dead-letter queue", icon=":material/mark_email_unread:", id=job["dead_letters"])
        counts = job["counts"]
        remains = counts["left"] or counts["failed"] or counts["bounced"] or counts["skipped"]
        if remains and may("operator") and st.button("Plan the rest", icon=":material/replay:"):
            open_plan(Choices(job["dead_letters"]))


# -- all of them -------------------------------------------------------------------------------------------------------


def draw_jobs(cluster: str | None, source: str | None) -> None:
    """Draw all jobs, the running ones first; `cluster` and `source` narrow them, as alerts link."""
    cursor = st.query_params.get("cursor")
    _draw_unfinished(cluster, source)
    found = connect().redrives(limit=100, cursor=cursor)
    jobs = [it for it in found["items"] if _fits(it, cluster, source)]
    ended = [it for it in jobs if has_ended(it)]
    if not jobs:
        say_empty("No job has been started yet." if not found["next"] else "None among these.",
                  "Open a dead-letter queue and click Redrive: the plan comes first.")  # fmt: skip
    if ended:
        st.subheader("Ended")
        _draw_table(ended)
    if found["next"] and st.button("Older jobs", icon=":material/arrow_forward:"):
        st.query_params["cursor"] = found["next"]
        st.rerun()


def _fits(job: JobItem, cluster: str | None, source: str | None) -> bool:
    return cluster in (None, job["cluster"]) and source in (None, job["source"])


@st.fragment(run_every=REFRESH_SECONDS)
def _draw_unfinished(cluster: str | None, source: str | None) -> None:
    with failures_told():
        found = read("jobs", lambda: connect().redrives(limit=100))
        running = [it for it in found["items"] if not has_ended(it) and _fits(it, cluster, source)]
        if running:
            st.subheader("Under way")
        for job in running:
            with st.container(border=True):
                told, acts = st.columns((5, 1), vertical_alignment="center")
                with told:
                    where = f"**{as_text(job['source'])}** → {as_text(job['target'] or '?')}"
                    told_by = f":gray[{as_text(job['cluster'])}] {as_text(say_reason(job))}"
                    st.markdown(f"{look_of_job(job['state']).badge} {where} {told_by}")
                    st.progress(share_done(job["counts"]), text=say_progress(job))
                with acts:
                    link("redrive", "Open", icon=":material/open_in_new:", job=job["id"])


def _draw_table(jobs: Sequence[JobItem]) -> None:
    moment, zone = now(), viewer_zone()
    st.caption("Tick a job to see its report.")
    chosen = st.dataframe(
        [job_row(it, moment, zone) for it in jobs],
        hide_index=True,
        width="stretch",
        placeholder="–",
        column_config={"Done": st.column_config.ProgressColumn(format="percent")},
        on_select="rerun",
        selection_mode="single-row",
        key="ended jobs",
        alt="Jobs that have ended",
    )
    for row in chosen["selection"]["rows"]:
        st.switch_page(page("redrive"), query_params={"job": jobs[row]["id"]})
