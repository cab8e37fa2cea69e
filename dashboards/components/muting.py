"""Mute and unmute: one click, with a reason."""

from fnmatch import fnmatchcase

import streamlit as st

from dashboards.client import connect, may
from dashboards.components.states import failures_told
from dashboards.components.text import as_text
from dashboards.components.times import say_moment, say_utc
from monitor.api.items import SubscriptionItem

_ICON = ":material/notifications_off:"
_HOURS = {"1 hour": 1, "4 hours": 4, "1 day": 24, "1 week": 168}


def draw_mute(item: SubscriptionItem) -> None:
    """Draw what is muted and until when, and the way to change it for those who may."""
    if item["muted_until"] is not None:
        _draw_muted(item, item["muted_until"])
    elif may("operator"):
        with st.popover(
            "Mute",
            icon=":material/notifications_off:",
            help="It wakes nobody for a while; it changes no number and no status.",
        ):
            _draw_form(item["id"])


def _draw_muted(item: SubscriptionItem, until: float) -> None:
    reason = as_text(item["muted_reason"] or "")
    st.markdown(
        f":material/notifications_off: **muted** until {say_moment(until)}: {reason}", help=f"until {say_utc(until)}"
    )
    if may("operator") and st.button("Unmute", icon=":material/notifications_active:", key="unmute"):
        with failures_told():
            monitor = connect()
            mutes = [it for it in monitor.mutes() if fnmatchcase(item["id"], it["subject"])]
            for mute in mutes:
                monitor.unmute(mute["id"])
            wide = [it for it in mutes if it["subscriptions"] + it["dead_letters"] > 1]
            if wide:
                st.toast(f"Unmuted with it: all that {as_text(wide[0]['subject'])} matches")
            st.rerun()


def _draw_form(subject: str) -> None:
    with st.form("mute", border=False):
        reason = st.text_input("Why", placeholder="deployment, planned stop, ...", max_chars=200)
        lasting = st.segmented_control("For", list(_HOURS), default="1 hour", required=True) or "1 hour"
        if not st.form_submit_button("Mute", type="primary"):
            return
        if not reason.strip():
            st.warning("Say why: others will find it muted.")
            return
        with failures_told():
            connect().mute(subject, reason, for_seconds=_HOURS[lasting] * 3600.0)
            st.rerun()
