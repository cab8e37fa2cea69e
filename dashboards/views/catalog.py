"""Catalog: the events with their versions, who sends and receives them, and how that differs from what is seen."""

import streamlit as st

from dashboards.client import connect
from dashboards.components.catalog import (
    as_json,
    event_facts,
    event_row,
    find_event,
    name_of,
    say_problems,
)
from dashboards.components.differences import draw_differences, read_differences
from dashboards.components.facts import draw_facts
from dashboards.components.filters import draw_search
from dashboards.components.head import draw_head
from dashboards.components.states import SLOW_REFRESH_SECONDS, failures_told, page_told, read, read_if_there, say_empty
from dashboards.components.text import as_text
from monitor.api.catalog_items import CatalogItem, EventItem


def show() -> None:
    """Draw the page."""
    draw_head("Catalog")
    with page_told():
        catalog = read_if_there("catalog", connect().catalog, SLOW_REFRESH_SECONDS)
        if catalog is None:
            _say_none()
            return
        _draw_events(catalog)
        _draw_flow()


def _say_none() -> None:
    say_empty(
        "No event catalog is configured.",
        "`eventflow catalog draft` writes a first one from what is seen; name it by `catalog` in the configuration.",
    )


def _draw_events(catalog: CatalogItem) -> None:
    words = (draw_search("part of an event or service") or "").lower().split()
    found = [it for it in catalog["events"] if all(word in _texts(it) for word in words)]
    if not found:
        say_empty("No event fits.", "Search for a part of its name, or of who sends or receives it.")
        return
    st.dataframe([event_row(it) for it in found], hide_index=True, height="content")
    names = [name_of(it) for it in found]
    chosen = st.selectbox(
        "Look at", names, index=None, key="event", bind="query-params", placeholder="a version of an event", width=420
    )
    event = find_event(catalog, chosen)
    if event is not None:
        _draw_event(event)


def _texts(event: EventItem) -> str:
    return " ".join([name_of(event), *event["producers"], *event["consumers"], *event["owners"]]).lower()


def _draw_event(event: EventItem) -> None:
    st.subheader(as_text(name_of(event)))
    draw_facts(event_facts(event))
    if event["since"]:
        st.markdown("\n".join(f"- {as_text(line)}" for line in say_problems(event["since"])))
    schema, examples = st.columns(2)
    with schema:
        st.caption("Schema of the payload")
        st.code(as_json(event["payload"]), language="json", height=320)
    with examples:
        st.caption("Example" if event["examples"] else "No example is written down")
        for example in event["examples"][:1]:
            st.code(as_json(example), language="json", height=320)


@st.fragment(run_every=SLOW_REFRESH_SECONDS)
def _draw_flow() -> None:
    with failures_told():
        differences = read_differences()
        if differences is not None:
            st.subheader("What differs")
            draw_differences(differences)
        st.subheader("Who sends what where")
        monitor = connect()
        graph = read("catalog graph", lambda: monitor.catalog_graph("dot"), SLOW_REFRESH_SECONDS)
        st.graphviz_chart(graph, alt="Services and channels of the catalog, and the events between them")
        with st.expander("As text, for documents"):
            st.caption("`eventflow catalog graph` prints it as Mermaid, `--format dot` as this")
            st.code(graph, language=None, height=200)
