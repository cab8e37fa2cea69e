"""Alerts: what fires and what is pending, with the runbook beside it, and silences."""

from collections.abc import Mapping

import streamlit as st

from dashboards.client import connect, may
from dashboards.components.address import link, open_page, read_parameters
from dashboards.components.head import draw_head
from dashboards.components.states import SLOW_REFRESH_SECONDS, failures_told, read, say_empty
from dashboards.components.status import Look
from dashboards.components.text import as_text
from dashboards.components.times import say_moment, say_since
from monitor.api.items import AlertItem, AlertsAnswer
from monitor.words import say_count

_SOURCES = {
    "alertmanager": "As Alertmanager has them, with what is pending in Prometheus.",
    "prometheus": "As Prometheus has them.",
    "status": "From the statuses themselves: neither Prometheus nor Alertmanager is configured (`alerts`).",
}
_LOOKS = {
    ("firing", "critical"): Look("▼", "firing, critical", "red", "#d62728"),
    ("firing", "warning"): Look("▲", "firing, warning", "orange", "#f28e2b"),
    ("pending", ""): Look("…", "pending", "yellow", "#d4a017"),
    ("silenced", ""): Look("○", "silenced", "gray", "#888888"),
}
_HOURS = {"1 hour": 1, "4 hours": 4, "1 day": 24, "1 week": 168}
_MOST_SHOWN = 30
_KEPT_SECONDS = 600.0
# Of the labels of an alert, those that name what it is about; the others, such as severity, would widen nothing.
_NAMING = ("system", "cluster", "destination", "subscriber", "queue", "source", "topic", "node")


def show() -> None:
    """Draw the alerts, and beside them the runbook that the address names."""
    draw_head("Alerts")
    runbook = read_parameters(("runbook",)).get("runbook")
    if runbook:
        left, right = st.columns([3, 2])
        with right.container(border=True):
            _draw_runbook(runbook)
        with left:
            _draw_alerts(runbook)
    else:
        _draw_alerts(None)
    _draw_silences()


@st.fragment(run_every=SLOW_REFRESH_SECONDS)
def _draw_alerts(runbook: str | None) -> None:
    with failures_told():
        answer = read("alerts", connect().alerts)
        st.caption(f"{_say_counts(answer)}. {_SOURCES.get(answer['source'], '')}")
        if not answer["items"]:
            say_empty("Nothing fires and nothing is pending.")
        for number, item in enumerate(answer["items"][:_MOST_SHOWN]):
            _draw_alert(item, number, answer["source"], open_runbook=item["name"] == runbook)
        if answer["total"] > _MOST_SHOWN:
            st.caption(
                f"The worst {_MOST_SHOWN} of {say_count(answer['total'])}. Overview and Subscriptions have them all."
            )


def _say_counts(answer: AlertsAnswer) -> str:
    states = [it["state"] for it in answer["items"]]
    told = [f"{states.count(state)} {state}" for state in ("firing", "pending", "silenced") if state in states]
    return ", ".join(told) or "None"


def look_of_alert(item: AlertItem) -> Look:
    """Return how an alert is shown."""
    known = _LOOKS.get((item["state"], item["severity"] or "")) or _LOOKS.get((item["state"], ""))
    return known or Look("●", f"{item['state']}, {item['severity'] or 'no severity'}", "orange", "#f28e2b")


def _draw_alert(item: AlertItem, number: int, source: str, *, open_runbook: bool) -> None:
    with st.container(border=True, gap="xsmall"):
        since = f" :small[{say_since(item['since'])}]" if item["since"] is not None else ""
        st.markdown(f"{_badge(look_of_alert(item))} **{as_text(item['name'])}**{since}")
        st.caption(as_text(item["summary"] or "", 500))
        if item["description"]:
            st.caption(as_text(item["description"], 1000))
        st.caption(" · ".join(f"{as_text(name)} {as_text(value)}" for name, value in named(item["labels"]).items()))
        with st.container(horizontal=True, vertical_alignment="center"):
            if not open_runbook:
                link("alerts", "Runbook", icon=":material/menu_book:", key=str(number), runbook=item["name"])
            path, parameters = view_of(item["labels"])
            link(path, "Look at it", icon=":material/arrow_forward:", key=str(number), **parameters)
            if source == "alertmanager" and item["state"] == "firing" and may("operator"):
                _draw_silence(item, number)


def _badge(look: Look) -> str:
    return f":{look.color}-badge[{look.symbol} {as_text(look.word)}]"


def named(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that say what an alert is about."""
    return {name: labels[name] for name in _NAMING if labels.get(name)}


def view_of(labels: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the view that shows what an alert is about: its page and query parameters."""
    place = named(labels)
    if "destination" in place and "subscriber" in place:
        return "subscriptions", {name: place[name] for name in place if name in _NAMING[:4]}
    if "queue" in place:
        return "dead-letters", {name: place[name] for name in place if name in ("system", "cluster", "queue")}
    if "source" in place:
        return "redrive", {name: place[name] for name in place if name in ("cluster", "source")}
    return ("clusters", {"cluster": place["cluster"]}) if "cluster" in place else ("overview", {})


def _draw_silence(item: AlertItem, number: int) -> None:
    with st.popover("Silence", icon=":material/notifications_off:"), st.form(f"silence {number}", border=False):
        st.caption(f"Holds back {as_text(item['name'])} for exactly this, in Alertmanager.")
        reason = st.text_input("Why", max_chars=200)
        lasting = st.segmented_control("For", list(_HOURS), default="1 hour", required=True) or "1 hour"
        if not st.form_submit_button("Silence", type="primary"):
            return
        if not reason.strip():
            st.warning("Say why: others will find it silenced.")
            return
        with failures_told():
            labels = {"alertname": item["name"], **named(item["labels"])}
            connect().silence(labels, reason, _HOURS[lasting] * 3600.0)
            st.rerun()


def _draw_runbook(name: str) -> None:
    if st.button("Close", icon=":material/close:", key="close runbook"):
        open_page("alerts")
    with failures_told():
        text = read(("runbook", name), lambda: connect().runbook(name), _KEPT_SECONDS)["text"]
        # The product's own text, so that its Markdown is meant; it has no pictures and no HTML.
        st.markdown(text)


@st.fragment(run_every=SLOW_REFRESH_SECONDS)
def _draw_silences() -> None:
    with failures_told(lesser=True):
        if read("alerts", connect().alerts, SLOW_REFRESH_SECONDS)["source"] != "alertmanager":
            return
        silences = read("silences", connect().silences)
        st.subheader("Silences")
        if not silences:
            say_empty("Nothing is silenced.")
        for silence in silences:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(
                    f"{as_text(', '.join(silence['matchers']), 300)} · until {say_moment(silence['until'])} · "
                    f"{as_text(silence['actor'])}: {as_text(silence['reason'])}",
                    width="stretch",
                )
                if may("operator") and st.button("End", key=f"end {silence['id']}"):
                    with failures_told():
                        connect().end_silence(silence["id"])
                        st.rerun(scope="fragment")
