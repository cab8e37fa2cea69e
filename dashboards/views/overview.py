"""Overview: what is wrong, on all buses, worst first."""

import time
from collections.abc import Sequence

import streamlit as st

from dashboards.client import connect
from dashboards.components.head import draw_head
from dashboards.components.rows import dead_letter_row, say_health, say_state, subscription_row
from dashboards.components.states import REFRESH_SECONDS, say_away, say_refusal
from dashboards.components.text import as_text
from monitor.api.items import CollectorItem
from monitor.errors import MonitorRefused, MonitorUnreachable

_MOST_ROWS = 500
_MOST_ERRORS = 3


def show() -> None:
    """Draw the page; its body draws itself again every few seconds."""
    draw_head("Overview")
    _body()


@st.fragment(run_every=REFRESH_SECONDS)
def _body() -> None:
    monitor = connect()
    try:
        collectors = monitor.collectors()
        subscriptions = monitor.subscriptions(limit=_MOST_ROWS)["items"]
        dead_letters = monitor.dead_letters(limit=_MOST_ROWS)["items"]
    except MonitorUnreachable as away:
        say_away(away)
        return
    except MonitorRefused as refusal:
        say_refusal(refusal)
        return
    now = time.time()
    st.markdown(f"**{say_state(subscriptions, dead_letters, collectors)}**")
    _draw_collectors(collectors, now)
    _draw_table("Subscriptions, worst first", [subscription_row(item) for item in subscriptions], _EMPTY_SUBSCRIPTIONS)
    _draw_table("Dead-letter queues", [dead_letter_row(item, now) for item in dead_letters], _EMPTY_DEAD_LETTERS)
    st.caption(f"Drawn {time.strftime('%H:%M:%S', time.gmtime(now))} UTC; refreshes every {REFRESH_SECONDS} s.")


_EMPTY_SUBSCRIPTIONS = "No subscription has been seen yet: no consumer group has committed, and there is no queue."
_EMPTY_DEAD_LETTERS = "No dead-letter queue has been found."


def _draw_collectors(collectors: Sequence[CollectorItem], now: float) -> None:
    for column, item in zip(st.columns(max(1, len(collectors))), collectors, strict=False):
        word, age = say_health(item, now)
        with column.container(border=True):
            st.markdown(f"**{as_text(item['cluster'])}** · {item['system']}")
            st.markdown(f"### {word}")
            st.caption(f"data {age}")
            for error in item["errors"][:_MOST_ERRORS]:
                st.caption(as_text(f"{error['reason']}: {error['message']}"))


def _draw_table(title: str, rows: Sequence[dict[str, object]], empty: str) -> None:
    st.subheader(title)
    if not rows:
        st.info(empty)
        return
    st.dataframe(list(rows), hide_index=True, width="stretch", placeholder="–")
