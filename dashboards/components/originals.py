"""Messages as they were before a redrive changed them."""

import streamlit as st

from dashboards.client import PATIENT_SECONDS, connect
from dashboards.components.letter import draw_letter
from dashboards.components.message import in_cell
from dashboards.components.states import failures_told, read, say_empty
from dashboards.components.text import as_text
from monitor.api.redrive_items import EditsItem, OriginalItem
from monitor.words import say_count

_MOST_SHOWN = 100
_KEPT_SECONDS = 60.0
_HASH_SHOWN = 16


def draw_originals(job: str, edits: EditsItem) -> None:
    """Offer a job's edited messages as they were, with the hashes of before and after."""
    label = f"Edited messages as they were ({say_count(edits['messages'])})"
    shown = st.expander(label, key=f"originals {job}", on_change="rerun")
    with shown, failures_told():
        if not shown.open:  # they hold bodies, and may be many
            return
        found = read(("originals", job), lambda: _ask(job), _KEPT_SECONDS)
        if not found:
            say_empty("None is kept.")
            return
        st.caption("Tick one to see it.")
        rows = st.dataframe(
            [original_row(it) for it in found], hide_index=True, width="stretch", placeholder="–", on_select="rerun",
            selection_mode="single-row", key=f"originals of {job}", alt="Edited messages",
        )["selection"]["rows"]  # fmt: skip
        for row in rows:
            _draw_original(found[row])
        if edits["digest"]:
            st.caption(f"In the audit log they stand under {as_text(edits['digest'][:_HASH_SHOWN])}….")


def _ask(job: str) -> list[OriginalItem]:
    return connect(PATIENT_SECONDS).redrive_originals(job, limit=_MOST_SHOWN)["items"]


def original_row(item: OriginalItem) -> dict[str, str]:
    """Return one of them as the columns of the table."""
    return {
        "Position": in_cell(item["position"], 60),
        "Before (SHA-256)": item["before_sha256"][:_HASH_SHOWN],
        "After (SHA-256)": item["after_sha256"][:_HASH_SHOWN],
        "Body": in_cell(item["letter"]["value"] or item["letter"]["note"]) if item["letter"] else "–",
    }


def _draw_original(item: OriginalItem) -> None:
    if item["letter"] is None:
        say_empty("It is not kept any more, or the broker has it still.")
    else:
        draw_letter(item["letter"])
