"""Event flow: who reads what, and where dead letters go, as a graph coloured by state, from what is seen now."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboards.client import connect
from dashboards.components.address import link
from dashboards.components.differences import draw_number
from dashboards.components.filters import draw_choice, draw_search
from dashboards.components.graph import Feed, draw_map, read_feeds
from dashboards.components.head import draw_head
from dashboards.components.problems import place_of, say_subject
from dashboards.components.states import SLOW_REFRESH_SECONDS, failures_told, page_told, read, say_empty
from dashboards.components.status import GOOD, STATUSES, look_of
from dashboards.components.text import as_text
from monitor.api.items import DeadLetterItem, SubscriptionItem
from monitor.words import say_count

_MOST_DRAWN = 40
_MOST_LINKS = 6
_KEPT_SECONDS = 30.0
"""Of what leads where, which changes seldom."""


def show() -> None:
    """Draw the page."""
    draw_head("Event flow")
    with page_told():
        summary = read("summary", connect().summary, SLOW_REFRESH_SECONDS)
        clusters, owners = [it["cluster"] for it in summary["clusters"]], summary["owners"]
        with st.container(horizontal=True, vertical_alignment="bottom"):
            query = {
                "q": draw_search(),
                "cluster": draw_choice("Cluster", clusters, "within"),
                "owner": draw_choice("Owner", owners, "owner"),
            }
        _draw_graph(query)


@st.fragment(run_every=SLOW_REFRESH_SECONDS)
def _draw_graph(query: dict[str, Any]) -> None:
    with failures_told():
        monitor = connect()
        page = read(("flow", repr(query)), lambda: monitor.subscriptions(**query, limit=_MOST_DRAWN))
        items = page["items"]
        if not items:
            say_empty("Nothing to draw: no subscription fits.", "Take a filter away.")
            return
        if page["total"] > len(items):
            st.caption(
                f"The worst {len(items)} of {say_count(page['total'])} subscriptions. Search or filter to see others."
            )
        _say_legend()
        queues = read("flow queues", lambda: monitor.dead_letters(limit=1000), _KEPT_SECONDS)["items"]
        feeds = [feed for cluster in sorted({it["cluster"] for it in items if it["system"] == "sqs"})
                 for feed in _feeds(cluster)]  # fmt: skip
        st.graphviz_chart(draw_map(items, _near(queues, items, feeds), feeds), alt=_say(items))
        bad = [it for it in items if it["status"] not in GOOD][:_MOST_LINKS]
        for item in bad:
            label = f"{look_of(item['status'])}: {as_text(say_subject(item), 120)}"
            link("subscriptions", label, icon=":material/arrow_forward:", **place_of(item))
        draw_number()


def _feeds(cluster: str) -> list[Feed]:
    """Return which topics of SNS are delivered to queues of a cluster."""
    rows = read(("feeds", cluster), lambda: connect().collector(cluster)["details"], _KEPT_SECONDS)
    return read_feeds(cluster, rows.get("sns_subscriptions", ()))


def _near(
    queues: Sequence[DeadLetterItem], items: Sequence[SubscriptionItem], feeds: Sequence[Feed]
) -> list[DeadLetterItem]:
    """Return the dead-letter queues of the destinations that are drawn, and of the topics that lead there."""
    drawn = {(it["cluster"], it["destination"]) for it in items}
    drawn |= {(it.cluster, it.topic) for it in feeds if (it.cluster, it.queue) in drawn}
    return [it for it in queues if any((it["cluster"], origin) in drawn for origin in it["origins"])]


def _say_legend() -> None:
    states = " ".join(look.badge for look in STATUSES.values())
    st.markdown(f"{states} :small[dashed: where dead letters go]")


def _say(items: Sequence[SubscriptionItem]) -> str:
    return "; ".join(f"{it['subscriber']} reads {it['destination']}: {it['status']}" for it in items[:20])
