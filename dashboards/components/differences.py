"""Draws how the event catalog differs from what is seen."""

import streamlit as st

from dashboards.client import connect
from dashboards.components.address import link
from dashboards.components.catalog import GROUPS, differences_of, say_number
from dashboards.components.states import SLOW_REFRESH_SECONDS, read_if_there
from dashboards.components.text import as_text
from monitor.api.catalog_items import DifferencesItem

_MOST_SHOWN = 12


def read_differences() -> DifferencesItem | None:
    """Return the differences; None where no catalog is configured. Raises ClientError."""
    return read_if_there("catalog differences", connect().catalog_differences, SLOW_REFRESH_SECONDS)


def draw_number() -> None:
    """Draw how many differences there are, with the way to them; nothing without a catalog."""
    found = read_differences()
    if found is not None:
        link("catalog", as_text(say_number(found)), icon=":material/menu_book:")


def draw_differences(found: DifferencesItem) -> None:
    """Draw the differences under their headings."""
    st.caption(as_text(say_number(found)))
    for heading in GROUPS:
        items = differences_of(found, heading)
        if items:
            st.markdown(f"**{heading}** ({len(items)})")
        told = [f"{item['cluster']}: {item['text']}" if item["cluster"] else item["text"] for item in items]
        st.markdown("\n".join(f"- {as_text(it)}" for it in told[:_MOST_SHOWN]))
        if len(items) > _MOST_SHOWN:
            st.caption(f"and {len(items) - _MOST_SHOWN} more: `eventflow catalog diff` lists all")
