"""The frame: which pages there are, at which addresses, and what stands around all of them."""

import os
from collections.abc import Callable
from typing import NamedTuple

import streamlit as st

from dashboards.client import about, is_signed_in
from dashboards.components.address import remember_pages
from dashboards.components.text import as_text
from dashboards.views import (
    alerts,
    audit,
    catalog,
    dead_letters,
    event_flow,
    monitor,
    overview,
    redrive,
    subscriptions,
    throughput,
)


class Place(NamedTuple):
    """A page: its path in the address, what it is called, and what draws it."""

    path: str
    title: str
    icon: str
    show: Callable[[], None]


# Alerts link to these paths, see alerts/rules.
PLACES = (
    Place("overview", "Overview", "monitor_heart", overview.show),
    Place("subscriptions", "Subscriptions", "inbox", subscriptions.show),
    Place("throughput", "Throughput", "swap_vert", throughput.show),
    Place("dead-letters", "Dead letters", "mark_email_unread", dead_letters.show),
    Place("redrive", "Redrive", "replay", redrive.show),
    Place("event-flow", "Event flow", "account_tree", event_flow.show),
    Place("catalog", "Catalog", "menu_book", catalog.show),
    Place("alerts", "Alerts", "notifications", alerts.show),
    Place("clusters", "Monitor", "dns", monitor.show),
    Place("audit", "Audit", "history_edu", audit.show),
)


# What no option of Streamlit says: less air, so that more is in sight; texts that keep a line of their own in a narrow
# window; captions, chosen filters and main buttons that can be read well in both themes.
_STYLE = """<style>
.stMainBlockContainer { padding-top: 3.4rem; padding-bottom: 2rem; }
[data-testid="stLayoutWrapper"]:has(> [class*="st-key-text-"]) { min-width: min(24rem, 100%); }
.stMultiSelect [data-tag], .stMultiSelect [data-tag] *,
[data-testid^="stBaseButton-primary"]:not(:disabled),
[data-testid^="stBaseButton-primary"]:not(:disabled) * { color: light-dark(#ffffff, #10243d); }
.stMainBlockContainer h1 { font-size: 1.7rem; padding: 0; }
.stMainBlockContainer h2 { font-size: 1.35rem; }
.stMainBlockContainer h3 { font-size: 1.2rem; padding: 0.2rem 0; }
[data-testid="stMetricValue"] { font-size: 1.4rem; }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p { color: inherit; opacity: 0.9; }
</style>"""


def run(first: str = "overview") -> None:
    """Draw the page that the address names, else the `first`."""
    st.set_page_config(page_title="Eventflow Monitor", page_icon=":material/monitor_heart:", layout="wide")
    pages = {
        it.path: st.Page(
            it.show, title=it.title, icon=f":material/{it.icon}:", url_path=it.path, default=it.path == first
        )
        for it in PLACES
    }
    st.html(_STYLE)
    chosen = st.navigation(list(pages.values()), position="sidebar", expanded=True)
    remember_pages(pages, chosen)
    _say_who()
    chosen.run()


def _say_who() -> None:
    known = about()
    with st.sidebar:
        if known:
            st.caption(f"{as_text(known['name'])} ({known['role']}) · monitor {as_text(known['version'])}")
            if is_signed_in():
                # As Markdown the link would be taken for one to a page of Streamlit's.
                st.html('<a href="/sign-out" target="_self">Sign out</a>')
        else:
            st.caption(f"monitor at {as_text(os.environ.get('EVENTFLOW_URL', ''))}")
