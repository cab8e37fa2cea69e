"""What the tests of the stack share."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

Until = Callable[[Callable[[], bool], str], None]


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder for this test alone."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("EVENTFLOW_CACHE_DIR", str(folder))
    return folder


@pytest.fixture(scope="session")
def until() -> Until:
    """Wait until something holds; fail with what was waited for after half a minute."""

    def wait(holds: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < end, f"waited in vain: {what}"
            time.sleep(0.05)

    return wait
