"""The monitor as the pages ask it."""

import os

import streamlit as st

from monitor.apiclient import DEFAULT_URL, ApiClient


@st.cache_resource(on_release=ApiClient.close)
def _client(url: str, token: str | None) -> ApiClient:
    # One client for all sessions and redraws: it is thread-safe, and connections stay open.
    return ApiClient(url, token, timeout_seconds=5.0)


def connect() -> ApiClient:
    """Return the client of the monitor that EVENTFLOW_URL and EVENTFLOW_TOKEN name."""
    return _client(os.environ.get("EVENTFLOW_URL", DEFAULT_URL), os.environ.get("EVENTFLOW_TOKEN"))
