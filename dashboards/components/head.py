"""The head of every page: what it is, and how old the data is."""

import streamlit as st

from dashboards.client import connect
from dashboards.components.states import REFRESH_SECONDS
from dashboards.components.status import collector_look
from dashboards.components.text import as_text
from dashboards.components.times import now, say_ago
from monitor.api.items import CollectorItem
from monitor.errors import ClientError, MonitorUnreachable

_STALE_INTERVALS = 2.0
_MOST_CLUSTERS = 12


def draw_head(title: str) -> None:
    """Draw the title, and the line that says how old the data of each cluster is; the line renews itself.

    It has one line in every state, so that nothing below moves when the state changes.
    """
    st.title(title)
    _draw_ages()


@st.fragment(run_every=REFRESH_SECONDS)
def _draw_ages() -> None:
    try:
        collectors = connect().collectors()
    except MonitorUnreachable:
        st.markdown(":red-badge[✖ monitor away] :small[asking again by itself; what stands below may be old]")
    except ClientError as refusal:
        st.markdown(f":red-badge[✖ refused] :small[{as_text(str(refusal))}]")
    else:
        told = " · ".join(say_data_age(item, now()) for item in collectors[:_MOST_CLUSTERS])
        more = f" · and {len(collectors) - _MOST_CLUSTERS} more" if len(collectors) > _MOST_CLUSTERS else ""
        st.markdown(f":small[Data:] {told}{more}" if collectors else ":small[Data: no cluster is configured]")


def say_data_age(item: CollectorItem, moment: float) -> str:
    """Say, as Markdown, how old the data of a cluster is, and whether that is older than it should be."""
    name, success = as_text(item["cluster"]), item["last_success_timestamp_seconds"]
    if item["up"] is None:
        return f":small[{name} {collector_look(None)}]"
    late = success is None or moment - success > _STALE_INTERVALS * item["interval_seconds"]
    if item["up"] and not late:
        return f":small[{name} {say_ago(success, moment)}]"
    word = "✖ down" if not item["up"] else "◷ late"
    return f":{'red' if not item['up'] else 'orange'}-badge[{word}] :small[{name} {say_ago(success, moment)}]"
