"""What a view is chosen by. Every choice stands in the address, so that it survives a reload and can be passed on."""

from collections.abc import Sequence

import streamlit as st

SPANS = {"1 h": 3600.0, "6 h": 6 * 3600.0, "1 d": 86400.0, "7 d": 7 * 86400.0}


def draw_search(hint: str = "part of a name") -> str | None:
    """Draw a field to search by; return what is searched, None for everything."""
    given = st.text_input(
        "Search",
        key="q",
        bind="query-params",
        placeholder=hint,
        max_chars=200,
        icon=":material/search:",
        width=200,
        type="search",
    )
    return given or None


def draw_choice(label: str, options: Sequence[str], key: str, width: int = 175) -> list[str]:
    """Draw a choice of several; return those chosen, empty for any.

    `key` is the query parameter, and none of those that name one thing (`system`, `cluster`): Streamlit lets no link
    set a parameter that a widget is bound to.
    """
    return st.multiselect(label, options, key=key, bind="query-params", placeholder="any", width=width)


def draw_span() -> float:
    """Draw the choice of how far to look back; return it in seconds."""
    chosen = st.segmented_control(
        "Over the last", list(SPANS), default="1 h", key="span", bind="query-params", required=True
    )
    return SPANS[chosen or "1 h"]


def chosen_page() -> int:
    """Return the number of the page that is turned to, also before its widget, whose key is `page`, is drawn."""
    given = st.session_state.get("page") or st.query_params.get("page") or 1
    return max(1, int(given)) if str(given).isdecimal() else 1
