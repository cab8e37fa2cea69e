"""Throughput: produced against consumed, by destination and by service, over time."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from dashboards.client import connect
from dashboards.components.charts import lines
from dashboards.components.drawing import draw_chart
from dashboards.components.filters import chosen_page, draw_choice, draw_search, draw_span
from dashboards.components.flows import By, Flow, curves_of, group
from dashboards.components.head import draw_head
from dashboards.components.states import SLOW_REFRESH_SECONDS, failures_told, page_told, read, say_empty
from dashboards.components.status import look_of
from dashboards.components.text import as_text, visible
from dashboards.components.times import end_of_curves
from monitor.api.items import SubscriptionItem
from monitor.words import say_count, say_rate

_MOST_ITEMS = 300
_PAGE_FLOWS = 6
_MOST_LINES = 6
_KEPT_SECONDS = 30.0
_POINTS = 120
_BY: tuple[By, ...] = ("destination", "service")


def show() -> None:
    """Draw the page."""
    draw_head("Throughput")
    with page_told():
        clusters = [it["cluster"] for it in read("summary", connect().summary, SLOW_REFRESH_SECONDS)["clusters"]]
        with st.container(horizontal=True, vertical_alignment="bottom"):
            by = st.segmented_control("By", _BY, default="destination", key="by", bind="query-params", required=True)
            seconds, q = draw_span(), draw_search()
            cluster = draw_choice("Cluster", clusters, "within")
        _draw_flows(by or "destination", seconds, {"q": q, "cluster": cluster})


@st.fragment(run_every=SLOW_REFRESH_SECONDS)
def _draw_flows(by: By, seconds: float, query: Mapping[str, Any]) -> None:
    with failures_told():
        asked = {**query, "sort": "-published_per_second", "limit": _MOST_ITEMS}
        page = read(("flows", repr(asked)), lambda: connect().subscriptions(**asked))
        flows = group(page["items"], by)
        if not flows:
            say_empty("Nothing is produced or consumed here.", "Take a filter away, or see on Monitor what is read.")
            return
        if page["total"] > len(page["items"]):
            shown = say_count(len(page["items"]))
            st.caption(f"The {shown} of {say_count(page['total'])} with the most coming in; search for others.")
        pages = -(-len(flows) // _PAGE_FLOWS)
        number = min(pages, chosen_page())
        _draw_charts(flows[(number - 1) * _PAGE_FLOWS : number * _PAGE_FLOWS], by, seconds)
        if pages > 1:
            st.pagination(pages, key="page", bind="query-params")
        st.subheader("All, now")
        st.dataframe([flow_row(it, by) for it in flows], hide_index=True, placeholder="–")


def _draw_charts(flows: Sequence[Flow], by: By, seconds: float) -> None:
    end = end_of_curves()
    shown = [Flow(it.name, it.cluster, it.system, it.items[:_MOST_LINES], it.produced, it.consumed) for it in flows]
    subjects = [f"subscription:{item['id']}" for flow in shown for item in flow.items]
    values = ["published_per_second", "consumed_per_second"]
    answer = read(
        ("flow curves", tuple(subjects), seconds),
        lambda: connect().curves(subjects, values, end - seconds, end, seconds / _POINTS),
        _KEPT_SECONDS,
    )
    columns = st.columns(2)
    for place, (flow, whole) in enumerate(zip(shown, flows, strict=True)):
        with columns[place % 2].container(border=True):
            st.markdown(
                f"**{as_text(flow.name, 80)}** :small[{as_text(flow.cluster)} ({flow.system}) · "
                f"{say_rate(whole.produced)} in · {say_rate(whole.consumed)} out] {look_of(whole.worst_status).badge}"
            )
            drawn = curves_of(flow, by, answer)
            if drawn:
                draw_chart(
                    lines(answer["at"], drawn, unit="messages/s"),
                    alt=f"produced and consumed of {visible(flow.name, 80)} over time",
                )
            else:
                st.caption("No curve has been kept of it yet.")
            if len(whole.items) > _MOST_LINES:
                st.caption(f"{_MOST_LINES} of {len(whole.items)} consumers are drawn.")


def flow_row(flow: Flow, by: By) -> Mapping[str, Any]:
    """Return one destination or service as the columns of the table."""
    gap = flow.falls_behind_by
    return {
        "Service" if by == "service" else "Destination": visible(flow.name),
        "Cluster": visible(f"{flow.cluster} ({flow.system})"),
        "Produced": say_rate(flow.produced),
        "Consumed": say_rate(flow.consumed),
        "Falls behind by": "–" if gap is None or gap <= 0 else say_rate(gap),
        "Worst status": str(look_of(flow.worst_status)),
        "Consumers of it" if by == "destination" else "Reads": visible(", ".join(_names(flow.items, by))),
    }


def _names(items: Sequence[SubscriptionItem], by: By) -> list[str]:
    return sorted({it["subscriber"] if by == "destination" else it["destination"] for it in items})
