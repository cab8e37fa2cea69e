import logging
from collections.abc import Iterator

import pytest

from tests.unit.cli.running import Shell


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    for name in ("EVENTFLOW_URL", "EVENTFLOW_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    handlers, level = logging.root.handlers[:], logging.root.level
    yield Shell(monkeypatch, capsys)
    # Commands set up the logging of the whole process.
    logging.captureWarnings(capture=False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
