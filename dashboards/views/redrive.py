"""Redrive: the plan of one, a job, or all jobs, as the address says."""

import streamlit as st

from dashboards.client import connect, may
from dashboards.components.address import link
from dashboards.components.head import draw_head
from dashboards.components.plan import Choices, choices_of_address
from dashboards.components.planning import ask_reason, draw_plan, make_plan
from dashboards.components.running import draw_job, draw_jobs
from dashboards.components.states import page_told, read, say_empty
from dashboards.components.text import as_text
from monitor.errors import MonitorRefused

_NEWEST_JOBS = 100


def show() -> None:
    """Draw the page."""
    draw_head("Redrive")
    job, plan = st.query_params.get("job"), st.query_params.get("plan")
    with page_told():
        if job:
            draw_job(job)
        elif plan:
            _draw_plan(plan)
        elif choices := choices_of_address({name: st.query_params.get_all(name) for name in st.query_params}):
            _draw_new_plan(choices)
        else:
            draw_jobs(st.query_params.get("cluster"), st.query_params.get("source"))


def _draw_new_plan(choices: Choices) -> None:
    """Make the plan that the address asks for; from then on the address is that of the plan."""
    link("dead-letters", "The dead-letter queue", icon=":material/arrow_back:", id=choices.dead_letters)
    if not may("operator"):
        say_empty("Redriving needs the role operator.", "You can look at the queue and at the jobs of others.")
        return
    if choices.action == "archive" and not choices.reason:
        ask_reason(choices)
        return
    try:
        plan = make_plan(choices)
    except MonitorRefused as refusal:
        if refusal.slug == "read-only":
            st.warning(as_text(str(refusal)), icon=":material/lock:")
        else:
            raise
    else:
        st.query_params.from_dict({"plan": plan["id"]})
        draw_plan(plan)


def _draw_plan(id_: str) -> None:
    plan = read(("plan", id_), lambda: connect().redrive_plan(id_))
    # A plan is started once: whoever comes back to its address is led to what became of it.
    for job in connect().redrives(limit=_NEWEST_JOBS)["items"]:
        if job["plan_id"] == id_:
            st.query_params.from_dict({"job": job["id"]})
            st.rerun()
    link("dead-letters", "The dead-letter queue", icon=":material/arrow_back:", id=plan["dead_letters"])
    draw_plan(plan)
