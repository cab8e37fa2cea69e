"""A monitor's API over views filled by hand, served on loopback as the pages ask it."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import streamlit as st
import uvicorn

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
def served_with_tokens(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Serve an API that asks for a token."""
    yield from _serve(Api(server=guarded()), monkeypatch)


def _serve(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(api.app, log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join(10)
        listener.close()

    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("EVENTFLOW_URL", url)
    monkeypatch.delenv("EVENTFLOW_TOKEN", raising=False)
    yield Served(api, url, stop)
    st.cache_resource.clear()
    stop()
