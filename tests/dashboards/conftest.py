"""A monitor's API over views filled by hand, or a fake of it, served on loopback as the pages ask it."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import streamlit as st
import uvicorn

from dashboards.client import ANSWERS
from tests.dashboards.fake_monitor import FakeMonitor
from tests.unit.api.builders import Api, guarded


@dataclass
class Served:
    """An API under an address; `api.views` may change between two looks."""

    api: Api
    url: str
    stop: Callable[[], None]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Serve an API without clusters, and point the pages at it."""
    yield from _serve(Api(), monkeypatch)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMonitor]:
    """Serve a fake that says what a test tells it, and point the pages at it."""
    monitor = FakeMonitor()
    with serving(monitor.app, monkeypatch):
        yield monitor


@pytest.fixture
def served_with_tokens(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Serve an API that asks for a token."""
    yield from _serve(Api(server=guarded()), monkeypatch)


def _serve(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with serving(api.app, monkeypatch) as (url, stop):
        yield Served(api, url, stop)


@contextmanager
def serving(app: Any, monkeypatch: pytest.MonkeyPatch, port: int = 0) -> Iterator[tuple[str, Callable[[], None]]]:
    """Serve an app, on any free port by default, for the pages; give its address and what stops it before its time."""
    # With the protocol named, asyncio turns Nagle's algorithm off; without, every answer waits 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join(10)
        listener.close()

    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("EVENTFLOW_URL", url)
    # Tests change what the monitor says from one look to the next.
    monkeypatch.setattr(ANSWERS, "lasts_seconds", 0.0)
    monkeypatch.delenv("EVENTFLOW_TOKEN", raising=False)
    yield url, stop
    st.cache_resource.clear()
    stop()
