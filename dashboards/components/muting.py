"""Mute and unmute: one click, with a reason."""

from fnmatch import fnmatchcase

import streamlit as st

from dashboards.client import connect, may
from dashboards.components.states import failures_told
from dashboards.components.text import as_text
from dashboards.components.times import say_moment, say_utc
from monitor.api.items import DeadLetterItem, SubscriptionItem

_ICON = ":material/notifications_off:"
_HOURS = {"1 hour": 1, "4 hours": 4, "1 day": 24, "1 week": 168}
_REASONS = ("deployment", "planned stop", "known, being mended")
_ASKED = "mute asked for"

Subject = SubscriptionItem | DeadLetterItem


def draw_mute(item: Subject) -> None:
    """Draw what is muted and until when, and the way to change it for those who may."""
    if item["muted_until"] is not None:
        _draw_muted(item, item["muted_until"])
    elif may("operator"):
        with st.popover(
            "Mute",
            icon=_ICON,
            help="It wakes nobody for a while; it changes no number and no status.",
        ):
            _draw_form(item["id"])


def _draw_muted(item: Subject, until: float) -> None:
    reason = as_text(item["muted_reason"] or "")
    st.markdown(f"{_ICON} **muted** until {say_moment(until)}: {reason}", help=f"until {say_utc(until)}")
    if may("operator") and st.button("Unmute", icon=":material/notifications_active:", key="unmute"):
        unmute(item["id"])
        st.rerun()


def unmute(id_: str) -> None:
    """End all mutes that hold for an id, and say what else they held for."""
    with failures_told():
        monitor = connect()
        mutes = [it for it in monitor.mutes() if fnmatchcase(id_, it["subject"])]
        for mute in mutes:
            monitor.unmute(mute["id"])
        wide = [it for it in mutes if it["subscriptions"] + it["dead_letters"] > 1]
        if wide:
            st.toast(f"Unmuted with it: all that {as_text(wide[0]['subject'])} matches")


def change_mute(item: Subject) -> None:
    """Unmute what is muted; for what is not, have the reason asked for by `ask_why_muted` in the next redraw."""
    if item["muted_until"] is not None:
        unmute(item["id"])
    else:
        st.session_state[_ASKED] = (item["id"],)
    st.rerun()


def ask_why_muted() -> None:
    """Ask over the page why something is to be muted, where somebody has clicked so.

    It is called by the page itself and by none of its parts: one that renews itself would close it again.
    """
    asked = st.session_state.pop(_ASKED, None)
    if asked:
        st.dialog("Mute", icon=_ICON)(_ask)(*asked)


def _ask(id_: str) -> None:
    st.markdown(f"**{as_text(id_)}** wakes nobody for a while; no number and no status changes.")
    _draw_form(id_)


def _draw_form(subject: str) -> None:
    with st.form("mute", border=False):
        usual = st.pills("Why", _REASONS)
        own = st.text_input("Or in your own words", placeholder="a ticket, ...", max_chars=200)
        lasting = st.segmented_control("For", list(_HOURS), default="1 hour", required=True) or "1 hour"
        if not st.form_submit_button("Mute", type="primary"):
            return
        reason = own.strip() or usual
        if not reason:
            st.warning("Say why: others will find it muted.")
            return
        with failures_told():
            connect().mute(subject, reason, for_seconds=_HOURS[lasting] * 3600.0)
            st.rerun()
