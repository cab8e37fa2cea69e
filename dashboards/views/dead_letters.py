"""Dead letters: all dead-letter queues on all buses, and one of them in depth."""

import streamlit as st

from dashboards.client import connect, may
from dashboards.components.address import link, open_page, read_parameters
from dashboards.components.charts import Curve, lines
from dashboards.components.drawing import draw_chart
from dashboards.components.groups import is_guessed, say_expiry, say_origins
from dashboards.components.head import draw_head
from dashboards.components.looking import draw_looking
from dashboards.components.muting import draw_mute
from dashboards.components.plan import Choices
from dashboards.components.planning import PLAN_FIRST, open_plan
from dashboards.components.progress import ENDED, look_of_job, say_progress
from dashboards.components.queues import draw_queues, link_back
from dashboards.components.shelf import draw_archives, draw_export, draw_purge
from dashboards.components.states import (
    REFRESH_SECONDS,
    SLOW_REFRESH_SECONDS,
    draw_anew_later,
    failures_told,
    page_told,
    read,
    say_empty,
)
from dashboards.components.status import say_problem
from dashboards.components.text import as_text
from dashboards.components.times import end_of_curves, now, say_moment, viewer_zone
from monitor.api.items import DeadLetterItem
from monitor.words import say_age, say_count, say_duration

_NEWEST_JOBS = 50
_CURVE_SECONDS = 6 * 3600.0
_KEPT_SECONDS = 30.0
_FEWEST_POINTS = 2


def show() -> None:
    """Draw the page that the address asks for: one queue, or all."""
    draw_head("Dead letters")
    named = read_parameters(("cluster", "queue"))
    with page_told():
        if id_ := st.query_params.get("id") or _left_for_redrive():
            _draw_queue(id_)
        elif len(named) == 2:
            _draw_named(named["cluster"], named["queue"])
        else:
            draw_queues()


def _left_for_redrive() -> str | None:
    """Return the queue that one comes back to from a redrive.

    Where a page is left by a click on a button, Streamlit first puts the parameters of the next page behind the path of
    this one (1.67), and that is where Back leads.
    """
    plan = st.query_params.get("plan")
    if plan:
        return read(("plan", plan), lambda: connect().redrive_plan(plan))["dead_letters"]
    return st.query_params.get("dead_letters")


def _draw_named(cluster: str, queue: str) -> None:
    """Draw the queue that an alert names by its labels."""
    found = connect().dead_letters(cluster=cluster, q=queue)["items"]
    item = next((it for it in found if it["queue"] == queue), None)
    if item is None:
        link_back()
        say_empty(f"There is no dead-letter queue {as_text(queue)} on {as_text(cluster)} now.")
        draw_anew_later()  # one reading that failed in part may have left it out
    else:
        _draw_queue(item["id"])


def _draw_queue(id_: str) -> None:
    link_back()
    item = read(("queue", id_), lambda: connect().dead_letter(id_))
    st.header(f"{as_text(item['queue'])} :gray[{as_text(item['cluster'])} · {item['system']}]", anchor=False)
    _draw_numbers(id_)
    for problem in item["problems"]:
        st.warning(f"Set-up: {as_text(say_problem(problem))}", icon=":material/build:")
    st.markdown(f"From {as_text(say_origins(item))}")
    if is_guessed(item) and item["messages"]:
        st.caption("Names alone are no evidence: unless the messages' headers say more, a redrive asks for a target.")
    _draw_curve(id_)
    acts = may("operator")
    if item["messages"]:
        _draw_acts(item, acts=acts)
    if item["role"] != "dead_letter":
        say_empty("It holds no dead letters.", "It is listed for its set-up alone.")
    elif item["messages"] == 0:
        say_empty("Nothing waits here.", "What is redriven or archived is not counted as waiting any more.")
    elif item["messages"] is None:
        say_empty("It is not known what waits here.")
    else:
        draw_looking(item, acts=acts)
    draw_archives(item, acts=acts)


@st.fragment(run_every=REFRESH_SECONDS)
def _draw_numbers(id_: str) -> None:
    with failures_told():
        item = read(("queue", id_), lambda: connect().dead_letter(id_))
        moment, waits = now(), bool(item["messages"])
        age = say_age(item["oldest_age_seconds"], item["age_method"]) if waits else "–"
        expires = item["expiry_timestamp_seconds"]
        with st.container(horizontal=True):
            st.metric("Waiting", say_count(item["messages"]), width="content")
            st.metric("Oldest", age, width="content")
            lost = say_expiry(item, moment)
            when = None if expires is None else f"at worst {say_moment(expires, moment, viewer_zone())}"
            st.metric("First lost", lost, width="content", help=when)
            arrived = say_count(item["arrivals_total"])
            st.metric("Arrived", arrived, width="content", help="Since the monitor began to watch this queue.")
        _draw_running(id_)


@st.fragment(run_every=SLOW_REFRESH_SECONDS)
def _draw_curve(id_: str) -> None:
    """Draw how many waited over the last hours: since when it grows is half of the answer to why."""
    with failures_told(lesser=True):
        end = end_of_curves()
        subject = f"dead_letters:{id_}"
        answer = read(subject, lambda: connect().history(subject, end - _CURVE_SECONDS, end), _KEPT_SECONDS)
        points = [it for it in answer["points"] if it["messages"] is not None]
        if len(points) < _FEWEST_POINTS:
            return
        st.caption(f"Waiting over the last {say_duration(_CURVE_SECONDS)}")
        curve = Curve("waiting", [it["messages"] for it in answer["points"]])
        draw_chart(lines([it["at"] for it in answer["points"]], [curve], unit="messages"), alt="waiting over time")


def _draw_running(id_: str) -> None:
    """Lead to the job that redrives this queue now, if there is one."""
    for job in connect().redrives(limit=_NEWEST_JOBS)["items"]:
        if job["dead_letters"] == id_ and job["state"] not in ENDED:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"{look_of_job(job['state']).badge} A job is on this queue: {say_progress(job)}")
                link("redrive", "Open the job", icon=":material/open_in_new:", job=job["id"])


def _draw_acts(item: DeadLetterItem, *, acts: bool) -> None:
    with st.container(horizontal=True):
        if acts and st.button("Redrive all", icon=":material/replay:", type="primary", help=PLAN_FIRST):
            open_plan(Choices(item["id"]))
        aside = "Archive them with a reason; they can be restored."
        if acts and st.button("Set aside", icon=":material/archive:", help=aside):
            open_page("redrive", dead_letters=item["id"], action="archive")
        draw_export(item)
        draw_purge(item)
        draw_mute(item)
