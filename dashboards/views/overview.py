"""Overview: what is wrong, since when, and what to do next, on all buses, worst first."""

from collections.abc import Sequence
from urllib.parse import quote

import streamlit as st

from dashboards.client import connect, may
from dashboards.components.address import link
from dashboards.components.charts import runs_of, strip
from dashboards.components.drawing import draw_chart
from dashboards.components.head import draw_head
from dashboards.components.problems import Trouble, find_troubles, say_state, say_subject
from dashboards.components.rows import say_drain
from dashboards.components.states import (
    REFRESH_SECONDS,
    SLOW_REFRESH_SECONDS,
    failures_told,
    read,
    say_empty,
)
from dashboards.components.status import GOOD, STATUSES, look_of
from dashboards.components.text import as_text, visible
from dashboards.components.times import end_of_curves, now, say_since
from monitor.api.items import DeadLetterItem, SubscriptionItem
from monitor.words import say_age, say_count, say_duration

_MOST = {"blind": 5, "behind": 6, "dead": 4, "wrong": 2}
"""So many troubles of each kind are shown one by one, so that none hides the others."""
_PLAN_FIRST = "Shows the plan first; nothing is touched before you start it."
_HEALTH_SECONDS = 6 * 3600.0
_TREND_SECONDS = 6 * 3600.0
_MINUTE = 60.0
_BAD = [status for status in STATUSES if status not in GOOD]


def show() -> None:
    """Draw the page. Its parts renew themselves apart from each other: one that fails leaves the others alone."""
    draw_head("Overview")
    _draw_state()
    _draw_health()
    _draw_dead_letters()
    _draw_objectives()


@st.fragment(run_every=REFRESH_SECONDS)
def _draw_state() -> None:
    with failures_told():
        monitor = connect()
        summary = read("summary", monitor.summary)
        look, told = say_state(summary)
        st.markdown(f"### {look.symbol} {as_text(told)}")
        collectors = read("collectors", monitor.collectors)
        bad = read("bad", lambda: monitor.subscriptions(status=_BAD, role="work", limit=100))
        queues = read("dead", lambda: monitor.dead_letters(limit=50))
        troubles = find_troubles(collectors, bad["items"], queues["items"], now())
        _draw_troubles(troubles.blind, _MOST["blind"], "clusters", "clusters that cannot be read")
        _draw_troubles(troubles.behind, _MOST["behind"], "subscriptions", "subscriptions that need a look", status=_BAD)
        _draw_troubles(troubles.dead, _MOST["dead"], "dead-letters", "queues with dead letters")
        _draw_troubles(troubles.wrong, _MOST["wrong"], "dead-letters", "queues whose set-up is wrong")
        if troubles.muted:
            with st.expander(f"{len(troubles.muted)} muted", icon=":material/notifications_off:"):
                for trouble in troubles.muted:
                    _draw_trouble(trouble)


def _draw_troubles(troubles: Sequence[Trouble], most: int, path: str, what: str, status: Sequence[str] = ()) -> None:
    for trouble in troubles[:most]:
        _draw_trouble(trouble)
    if len(troubles) > most:
        link(path, f"All {what}, worst first", icon=":material/arrow_forward:", status=status)


def _draw_trouble(trouble: Trouble) -> None:
    owner = f" · {as_text(trouble.owner)}" if trouble.owner else ""
    since = f" · {say_since(trouble.since)}" if trouble.since is not None else ""
    muted = f":material/notifications_off: muted: {as_text(trouble.muted)}; " if trouble.muted else ""
    title = f"{trouble.look.badge} **{as_text(trouble.title, 120)}**"
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        with st.container(gap=None, width="stretch", key=f"text-{trouble.path}-{trouble.subject or trouble.title}"):
            st.markdown(f"{title} :small[{as_text(trouble.place)}{owner}{since}]")
            st.caption(f"{muted}{as_text(trouble.why)} → {trouble.step}")
        link(trouble.path, trouble.action, icon=":material/arrow_forward:", **trouble.parameters)
        if trouble.redrive and may("operator"):
            link("redrive", "Redrive", icon=":material/replay:", help=_PLAN_FIRST, dead_letters=trouble.redrive)


@st.fragment(run_every=SLOW_REFRESH_SECONDS)
def _draw_health() -> None:
    st.subheader("Health of the clusters over the last hours")
    with failures_told(lesser=True):
        monitor, end = connect(), end_of_curves()
        names = [it["cluster"] for it in read("summary", monitor.summary, REFRESH_SECONDS)["clusters"]]
        if not names:
            say_empty("No cluster is configured.", "Add one under `clusters` in the configuration of the monitor.")
            return
        subjects = [f"cluster:{quote(name, safe='')}" for name in names]
        answer = read("health", lambda: monitor.curves(subjects, ["status"], end - _HEALTH_SECONDS, end), _MINUTE)
        step = float(answer["step_seconds"] or _MINUTE)
        found = {it["subject"]: it["values"]["status"] for it in answer["curves"]}
        rows = {
            name: runs_of(answer["at"], [None if it is None else str(it) for it in found[subject]], step)
            for name, subject in zip(names, subjects, strict=True)
            if subject in found
        }
        if not any(rows.values()):
            say_empty("Nothing has been kept yet: the first point comes within a minute.")
            return
        alt = "; ".join(f"{name}: {_say_runs(runs)}" for name, runs in rows.items())
        draw_chart(strip(rows, end - _HEALTH_SECONDS, end), alt=visible(alt, 1000))


def _say_runs(runs: Sequence[object]) -> str:
    return ", ".join(look_of(run.status).word if run.status else "not read" for run in runs[-5:])  # type: ignore[attr-defined]


@st.fragment(run_every=SLOW_REFRESH_SECONDS)
def _draw_objectives() -> None:
    st.subheader("Objectives and what is left of their budgets")
    with failures_told(lesser=True):
        monitor = connect()
        page = read("budgets", lambda: monitor.subscriptions(sort="objective_budget_left_ratio", limit=50))
        items = [it for it in page["items"] if it["objective_age_seconds"] is not None]
        if not items:
            say_empty(
                "No objective is set.",
                "Say under `objectives` in the configuration how old messages may get, and where.",
            )
            return
        st.dataframe(
            [_objective_row(it) for it in items[:20]],
            hide_index=True,
            placeholder="–",
            column_config={
                "Budget left": st.column_config.ProgressColumn(format="percent", min_value=0.0, max_value=1.0)
            },
        )


def _objective_row(item: SubscriptionItem) -> dict[str, object]:
    left = item["objective_budget_left_ratio"]
    return {
        "Subscription": visible(say_subject(item), 120),
        "Cluster": visible(item["cluster"]),
        "Budget left": None if left is None else max(0.0, left),
        "Overdrawn": "✖ overdrawn" if left is not None and left < 0 else "",
        "Oldest": say_age(item["oldest_age_seconds"], item["age_method"]),
        "Allowed": say_duration(item["objective_age_seconds"]),
        "Status": str(look_of(item["status"])),
        "Drains in": say_drain(item),
        "Owner": visible(item["owner"] or ""),
    }


@st.fragment(run_every=SLOW_REFRESH_SECONDS)
def _draw_dead_letters() -> None:
    st.subheader("Dead letters")
    with failures_told(lesser=True):
        monitor, end = connect(), end_of_curves()
        page = read("dead", lambda: monitor.dead_letters(limit=50), REFRESH_SECONDS)
        queues = [it for it in page["items"] if it["messages"]]
        if not queues:
            say_empty(f"No dead letters wait in {say_count(page['total'])} queues." if page["total"] else _NO_QUEUES)
            return
        subjects = [f"dead_letters:{it['id']}" for it in queues]
        answer = read(
            ("trend", tuple(subjects)),
            lambda: monitor.curves(subjects, ["messages"], end - _TREND_SECONDS, end, 600),
            _MINUTE,
        )
        trends = {it["subject"]: it["values"]["messages"] for it in answer["curves"]}
        st.dataframe(
            [_dead_letter_row(it, trends.get(f"dead_letters:{it['id']}")) for it in queues],
            hide_index=True,
            placeholder="–",
            column_config={
                "Waiting": st.column_config.NumberColumn(format="localized"),
                "Last 6 h": st.column_config.AreaChartColumn(y_min=0),
            },
        )
        link("dead-letters", "All dead-letter queues, and why their messages died", icon=":material/arrow_forward:")


_NO_QUEUES = "No dead-letter queue has been found."


def _dead_letter_row(item: DeadLetterItem, trend: Sequence[object] | None) -> dict[str, object]:
    expires = item["expiry_timestamp_seconds"]
    return {
        "Queue": visible(item["queue"]),
        "Cluster": visible(f"{item['cluster']} ({item['system']})"),
        "Waiting": item["messages"],
        "Last 6 h": None if trend is None else [value for value in trend if value is not None],
        "Oldest": say_age(item["oldest_age_seconds"], item["age_method"]),
        "Next loss in": "–" if expires is None else say_duration(max(0.0, expires - now())),
        "Comes from": visible(", ".join(item["origins"])),
        "Muted": visible(item["muted_reason"] or ""),
    }
