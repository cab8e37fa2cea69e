"""The monitor as the pages ask it, by the person who looks at them."""

import os

import streamlit as st

from dashboards.components.states import read
from monitor.api.items import AboutItem
from monitor.apiclient import DEFAULT_URL, ApiClient
from monitor.errors import ClientError

PATIENT_SECONDS = 60.0
"""For calls that have the monitor read messages: planning, looking at many, exporting."""

_TIMEOUT_SECONDS = 5.0
_ROLES = ("viewer", "operator", "admin")


@st.cache_resource(on_release=ApiClient.close)
def _client(url: str, token: str | None, timeout_seconds: float) -> ApiClient:
    # One client a token for all its sessions and redraws: it is thread-safe, and connections stay open.
    return ApiClient(url, token, timeout_seconds=timeout_seconds)


def connect(timeout_seconds: float = _TIMEOUT_SECONDS) -> ApiClient:
    """Return the client of the monitor that EVENTFLOW_URL names, with the token of whoever has signed in."""
    return _client(os.environ.get("EVENTFLOW_URL", DEFAULT_URL), os.environ.get("EVENTFLOW_TOKEN"), timeout_seconds)


def about() -> AboutItem | None:
    """Return which monitor it is and who asks; None while that cannot be told."""
    try:
        return read("about", connect().about)
    except ClientError:
        return None


def may(role: str) -> bool:
    """Say whether who looks has this role or one above it, so that what one may not do is not offered.

    The API decides all the same. While nobody can be asked, nothing is offered.
    """
    known = about()
    return known is not None and _ROLES.index(known["role"]) >= _ROLES.index(role)
