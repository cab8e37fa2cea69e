"""The monitor as the pages ask it, by the person who looks at them."""

import os

import streamlit as st

from dashboards.components.states import read
from dashboards.gate import COOKIE, GATE, PERSON_HEADER
from dashboards.sharing import Answers, SharingClient
from monitor.api.items import AboutItem
from monitor.apiclient import DEFAULT_URL, ApiClient
from monitor.errors import ClientError

PATIENT_SECONDS = 60.0
"""For calls that have the monitor read messages: planning, looking at many, exporting."""

_TIMEOUT_SECONDS = 5.0
_ABOUT_SECONDS = 10.0
_MOST_CLIENTS = 200
_ROLES = ("viewer", "operator", "admin")


ANSWERS = Answers(lasts_seconds=1.0)
"""What is shared by all sessions of this process."""


@st.cache_resource(on_release=ApiClient.close, max_entries=_MOST_CLIENTS)
def _client(url: str, token: str | None, person: str | None, timeout_seconds: float) -> ApiClient:
    # One client a token for all its sessions and redraws: it is thread-safe, and connections stay open.
    return SharingClient(ANSWERS, url, token, person, timeout_seconds)


def connect(timeout_seconds: float = _TIMEOUT_SECONDS) -> ApiClient:
    """Return the client of the monitor that EVENTFLOW_URL names, for whoever looks.

    That is whom a listed proxy has signed in, else who has signed in with a token, else who holds EVENTFLOW_TOKEN,
    which where proxies sign people in speaks for them alone.
    """
    url, own = os.environ.get("EVENTFLOW_URL", DEFAULT_URL), os.environ.get("EVENTFLOW_TOKEN") or None
    person = _told(st.context.headers.get(PERSON_HEADER)) if GATE.stands and GATE.settings.proxies else None
    if person:
        return _client(url, own, person, timeout_seconds)
    token = GATE.sessions.find(_told(st.context.cookies.get(COOKIE)))
    return _client(url, token or (None if GATE.settings.proxies else own), None, timeout_seconds)


def _told(value: object) -> str | None:
    # Where no browser is connected, as in Streamlit's AppTest, the context has stand-ins instead of texts.
    return value if isinstance(value, str) else None


def is_signed_in() -> bool:
    """Say whether who looks has signed in with a token, and so can sign out."""
    return GATE.sessions.find(_told(st.context.cookies.get(COOKIE))) is not None


def about() -> AboutItem | None:
    """Return which monitor it is and who asks; None while that cannot be told."""
    try:
        return read("about", connect().about, _ABOUT_SECONDS)
    except ClientError:
        return None


def may(role: str) -> bool:
    """Say whether who looks has this role or one above it, so that what one may not do is not offered.

    The API decides all the same. While nobody can be asked, nothing is offered.
    """
    known = about()
    return known is not None and _ROLES.index(known["role"]) >= _ROLES.index(role)
