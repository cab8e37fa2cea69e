"""What leaves a dead-letter queue without a redrive: an export, what is set aside, and a purge after an export."""

from collections.abc import Callable

import streamlit as st

from dashboards.client import PATIENT_SECONDS, connect, may
from dashboards.components.facts import LETTER_COLUMNS
from dashboards.components.message import in_cell, letter_row, without_empty
from dashboards.components.plan import Choices
from dashboards.components.planning import open_plan
from dashboards.components.states import failures_told, read
from dashboards.components.text import as_text
from dashboards.components.times import now, say_moment, viewer_zone
from monitor.api.items import DeadLetterItem
from monitor.api.redrive_items import ArchiveItem
from monitor.errors import ClientError
from monitor.words import say_count, say_duration

_MOST_DOWNLOADED = 50_000
_MOST_ARCHIVES = 50
_MOST_LOOKED = 50
_KEPT_SECONDS = 10.0
_ASIDE = ":material/archive:"
_EXPORTS = "exports by queue"
_FORMATS = {"jsonl": ("JSON lines", "application/x-ndjson"), "csv": ("CSV", "text/csv")}


def draw_export(item: DeadLetterItem) -> None:
    """Offer all messages as a file; where that is too many for a browser, the command that writes them."""
    with st.popover("Export", icon=":material/download:"):
        if (item["messages"] or 0) > _MOST_DOWNLOADED:
            st.caption(
                f"More than {say_count(_MOST_DOWNLOADED)} are too many for a browser; this writes them to a file:"
            )
            st.code(f"eventflow dlq export {in_cell(item['id'], 500)} --output dead-letters.jsonl", language="sh")
            return
        st.caption(
            "All messages that wait now, with headers and bodies as far as you may see them. It looks at each: where "
            "looking changes something, so does this."
        )
        for style, (word, mime) in _FORMATS.items():
            name = f"dead-letters-{item['cluster']}.{style}"
            st.download_button(word, _exporter(item["id"], style), name, mime, key=f"export {style}", on_click="ignore")


def _exporter(queue: str, style: str) -> Callable[[], bytes]:
    """Return what fetches an export when somebody clicks; its id is kept, since a purge asks for it."""
    exports: dict[str, str] = st.session_state.setdefault(_EXPORTS, {})
    client = connect(PATIENT_SECONDS)

    def fetch() -> bytes:
        with client.export_letters(queue, format=style) as exported:
            data = b"".join(exported.chunks)
        exports[queue] = exported.id
        return data

    return fetch


def draw_purge(item: DeadLetterItem) -> None:
    """Offer an admin to remove everything for good: after an export, and with the name typed."""
    if not may("admin"):
        return
    with st.popover("Purge", icon=":material/delete_forever:"):
        st.error("This removes all of them for good. Nothing else than your export brings them back.")
        exported = _draw_first_step(item)
        typed = st.text_input(
            "2. Type the name of the queue", key=f"purge {item['id']}", placeholder=in_cell(item["queue"])
        )
        if st.button("Remove all for good", disabled=typed != item["queue"], key=f"purge now {item['id']}"):
            _purge(item, typed, exported)


def _draw_first_step(item: DeadLetterItem) -> str | None:
    """Draw the export that has to come first; return its id, None while there is none."""
    exported: str | None = st.session_state.get(_EXPORTS, {}).get(item["id"])
    if exported:
        st.markdown(f"1. ✔ Exported :small[{as_text(exported)}]")
        return exported
    st.markdown("1. Export all of them: by **Export** beside this, or by the command that it shows.")
    given = st.text_input("Id of an export of the last hour", key=f"export of {item['id']}",
                          placeholder="needed only if the command made it")  # fmt: skip
    return given.strip() or None


def _purge(item: DeadLetterItem, typed: str, exported: str | None) -> None:
    if exported is None:
        st.error("Export them first, whole, and within the last hour.")
        return
    try:
        answer = connect(PATIENT_SECONDS).purge(item["id"], typed, exported)
    except ClientError as refusal:
        st.error(f"Nothing was removed: {as_text(str(refusal), 1_000)}", icon=":material/block:")
    else:
        st.success(f"{say_count(answer['removed'])} were removed.", icon=":material/delete_forever:")


def draw_archives(item: DeadLetterItem, *, acts: bool) -> None:
    """Draw what is set aside of a queue, with the way back; nothing where nothing is."""
    with failures_told():
        found = read(("archives", item["id"]), lambda: connect().archives(dead_letters=item["id"], limit=50))
        if not found["items"]:
            return
        st.subheader("Set aside")
        for archive in found["items"]:
            _draw_archive(archive, acts=acts)


def draw_all_archives(*, acts: bool) -> None:
    """Draw what is set aside of all queues, also of those that are gone; nothing where nothing is."""
    with failures_told(lesser=True):
        found = read("all archives", lambda: connect().archives(limit=_MOST_ARCHIVES), _KEPT_SECONDS)
        items = found["items"]
        if not items:
            return
        with st.expander(f"Set aside: {say_count(sum(it['messages'] for it in items))} messages", icon=_ASIDE):
            for note in found["notes"]:
                st.caption(as_text(note, 500))
            for archive in items:
                _draw_archive(archive, acts=acts, of=f"{archive['source']} on {archive['cluster']}")
            if found["next"]:
                st.caption(f"The newest {_MOST_ARCHIVES}. `eventflow dlq archived` lists all.")


def _draw_archive(archive: ArchiveItem, *, acts: bool, of: str = "") -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(gap=None, width="stretch", key=f"text-archive-{archive['id']}"):
                from_queue = f" of {as_text(of)}" if of else ""
                st.markdown(f"**{say_count(archive['messages'])}**{from_queue} · {as_text(archive['reason'])}")
                st.caption(as_text(say_archive(archive, now()), 1_000))
            looking = st.toggle("Look", key=f"look into {archive['id']}")
            if acts and st.button("Restore", icon=":material/unarchive:", key=f"restore {archive['id']}"):
                open_plan(Choices(archive["dead_letters"], action="restore", archive=archive["id"], canary=0))
        if looking:
            _draw_archived(archive["id"])


def _draw_archived(archive: str) -> None:
    with failures_told():
        key = ("archived", archive)
        found = read(key, lambda: connect(PATIENT_SECONDS).archived_letters(archive, limit=_MOST_LOOKED), _KEPT_SECONDS)
        moment, zone = now(), viewer_zone()
        rows = without_empty([letter_row(it, moment, zone) for it in found["items"]])
        st.dataframe(rows, hide_index=True, placeholder="–", column_config=LETTER_COLUMNS, alt="Messages set aside")
        if found["next"]:
            st.caption(f"The first {_MOST_LOOKED}.")


def say_archive(archive: ArchiveItem, moment: float) -> str:
    """Say by whom and when messages were set aside, and until when they are kept: plain text."""
    when = say_moment(archive["archived_at"], moment, viewer_zone())
    kept = "kept in the topic itself" if archive["kept_in"] == "ledger" else "kept in the monitor's database"
    until = archive["delete_at"]
    end = (
        "as long as the broker keeps them" if until is None else f"deleted in {say_duration(max(0.0, until - moment))}"
    )
    return f"by {archive['archived_by']}, {when}; {kept}, {end}"
