"""Audit: who did what, and who was refused."""

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from dashboards.client import connect
from dashboards.components.address import open_page, read_parameters
from dashboards.components.head import draw_head
from dashboards.components.states import SLOW_REFRESH_SECONDS, failures_told, read, say_empty
from dashboards.components.text import as_text, visible
from dashboards.components.times import say_moment, say_utc
from monitor.words import say_count

_PAGE_ROWS = 100
_LONGEST = 500


def show() -> None:
    """Draw the page."""
    draw_head("Audit")
    _draw_verification()
    _draw_records(read_parameters(("cursor",)).get("cursor"))


def _draw_verification() -> None:
    if not st.button("Check the chain", icon=":material/verified:", help="Each record carries the hash of the last."):
        return
    with failures_told():
        found = connect().audit_verification()
        if found["intact"]:
            end = as_text(found["last_hash"][:16])
            st.success(f"✔ The chain of {say_count(found['records'])} records holds. Its end: `{end}…`")
        else:
            st.error(f"✖ The chain is broken at record {found['broken_at']}: somebody has changed the database.")


@st.fragment(run_every=SLOW_REFRESH_SECONDS)
def _draw_records(cursor: str | None) -> None:
    with failures_told():
        page = read(("audit", cursor), lambda: connect().audit(limit=_PAGE_ROWS, cursor=cursor))
        if not page["items"]:
            say_empty("Nobody has done anything yet.", "Mutes, silences and redrives are written down here.")
            return
        st.dataframe([record_row(it) for it in page["items"]], hide_index=True, placeholder="–", height="content")
        with st.container(horizontal=True):
            if cursor and st.button("Newest", icon=":material/first_page:"):
                open_page("audit")
            if page["next"] and st.button("Older", icon=":material/chevron_right:"):
                open_page("audit", cursor=page["next"])


def record_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as the columns of the table; what has no column of its own stands in the last."""
    rest = {name: value for name, value in record.items() if name not in _COLUMNS and value not in (None, "", {})}
    at = record.get("at")
    return {
        "When": say_moment(at),
        "UTC": say_utc(at),
        "Who": visible(str(record.get("actor") or "")),
        "Role": visible(str(record.get("role") or "")),
        "From": visible(str(record.get("address") or "")),
        "What": visible(str(record.get("operation") or "")),
        "Outcome": _outcome(str(record.get("outcome") or "")),
        "More": visible("; ".join(f"{name}: {_told(value)}" for name, value in rest.items()), _LONGEST),
    }


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


_COLUMNS = frozenset(
    ("id", "at", "actor", "role", "address", "operation", "outcome", "hash", "previous_hash", "sequence")
)


def _outcome(outcome: str) -> str:
    symbols = {"allowed": "✔ allowed", "refused": "✖ refused", "failed": "✖ failed"}
    return symbols.get(outcome, visible(outcome))
