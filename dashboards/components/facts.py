"""Facts side by side, and verdicts: plain text in, drawn so that nothing in it acts."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from dashboards.components.progress import Outcome
from dashboards.components.text import as_text, visible

LETTER_COLUMNS = {
    "Cause": st.column_config.TextColumn(width=330),
    "Key": st.column_config.TextColumn(width=130),
    "Body": st.column_config.TextColumn(width=420),
}
"""How wide the columns of messages are, whose texts would push each other out of sight."""

_LONGEST = 4_000
_NAME = "font-weight:600"
_TOLD = "margin:0;overflow-wrap:anywhere"
_LIST = "display:grid;grid-template-columns:minmax(6.5rem,max-content) 1fr;gap:0.3rem 1rem;margin:0;padding:0"
_ICONS = {
    "success": ":material/check_circle:",
    "warning": ":material/warning:",
    "error": ":material/error:",
    "info": ":material/info:",
}


def facts_html(facts: Sequence[tuple[str, str]]) -> str:
    """Return facts, a name and a plain sentence each, as a description list; every character of them is escaped."""
    rows = "".join(
        f'<dt style="{_NAME}">{_inert(name)}</dt><dd style="{_TOLD}">{_inert(told)}</dd>' for name, told in facts
    )
    return f'<dl style="{_LIST}">{rows}</dl>'


def draw_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Draw facts, a name and a plain sentence each."""
    st.html(facts_html(facts))


def draw_outcome(outcome: Outcome) -> None:
    """Draw a verdict in the colour, and with the shape, of its kind."""
    draw = {"success": st.success, "warning": st.warning, "error": st.error}.get(outcome.kind, st.info)
    draw(as_text(outcome.told, _LONGEST), icon=_ICONS.get(outcome.kind, _ICONS["info"]))


def _inert(text: str) -> str:
    return escape(visible(text, _LONGEST))
