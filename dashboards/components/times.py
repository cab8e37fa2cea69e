"""Moments in the viewer's own zone, with UTC at hand."""

import time
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from monitor.words import NOT_KNOWN, say_duration

_CURVE_STEP_SECONDS = 15.0


def viewer_zone() -> tzinfo:
    """Return the zone that the viewer's browser is in; UTC where it does not say so."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def say_moment(at: float | None, moment: float | None = None, zone: tzinfo | None = None) -> str:
    """Say when something was: the time, with the date unless that is today's.

    `moment` is the present and `zone` where it is told for: now and the viewer's, unless given.
    """
    if at is None:
        return NOT_KNOWN
    zone = zone or viewer_zone()
    told, today = datetime.fromtimestamp(at, zone), datetime.fromtimestamp(now() if moment is None else moment, zone)
    return told.strftime("%H:%M:%S" if told.date() == today.date() else "%Y-%m-%d %H:%M")


def say_utc(at: float | None) -> str:
    """Say a moment exactly, in UTC."""
    return NOT_KNOWN if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def say_ago(at: float | None, moment: float | None = None) -> str:
    """Say how long ago something was, seen from `moment`: now, unless given."""
    return NOT_KNOWN if at is None else f"{say_duration(_lasting(at, moment))} ago"


def say_since(at: float, moment: float | None = None, zone: tzinfo | None = None) -> str:
    """Say since when something lasts: `for 12 min, since 14:03:20`; see `say_moment`."""
    return f"for {say_duration(_lasting(at, moment))}, since {say_moment(at, moment, zone)}"


def _lasting(at: float, moment: float | None) -> float:
    return max(0.0, (now() if moment is None else moment) - at)


def end_of_curves() -> float:
    """Return up to when curves are asked for: the same for all who look within some seconds."""
    return now() // _CURVE_STEP_SECONDS * _CURVE_STEP_SECONDS


def now() -> float:
    """Return the present, in Unix seconds."""
    return time.time()
