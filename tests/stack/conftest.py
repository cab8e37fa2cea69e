"""What the tests of the stack share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import wait_for

Until = Callable[[Callable[[], bool], str], bool]


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder for this test alone."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("EVENTFLOW_CACHE_DIR", str(folder))
    return folder


@pytest.fixture(scope="session")
def until() -> Until:
    """Wait until something holds; fail with what was waited for after a minute."""

    return wait_for
