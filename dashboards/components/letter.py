"""One message on the page."""

import streamlit as st

from dashboards.components.facts import draw_facts
from dashboards.components.message import (
    earlier_lives,
    header_rows,
    letter_facts,
    raw_body,
    read_body,
    stacktrace,
)
from dashboards.components.text import as_text, visible
from dashboards.components.times import now, viewer_zone
from monitor.api.redrive_items import LetterItem


def draw_letter(one: LetterItem) -> None:
    """Draw a message: what is known of it, its body, its headers, its stack trace."""
    with st.container(border=True):
        st.markdown(f"**Message {as_text(one['position'])}**")
        for line in earlier_lives(one):
            st.warning(as_text(line), icon=":material/replay:")
        draw_facts(letter_facts(one, now(), viewer_zone()))
        if one["note"]:
            st.info(as_text(one["note"]), icon=":material/lock:")
        trace = stacktrace(one)
        names = ["Body", "Raw", f"Headers ({len(one['headers'])})", *(["Stack trace"] if trace else [])]
        body, raw, headers, *more = st.tabs(names)
        with body:
            _draw_body(one)
        with raw:
            st.code(raw_body(one), language=None, wrap_lines=True)
        with headers:
            st.dataframe(header_rows(one), hide_index=True, width="stretch", alt="Headers and properties")
        for tab in more:
            with tab:
                st.code(trace, language=None)


def _draw_body(one: LetterItem) -> None:
    body = read_body(one)
    if body.note:
        st.caption(as_text(visible(body.note)))
    if body.text:
        st.code(body.text, language=body.language, wrap_lines=True)
