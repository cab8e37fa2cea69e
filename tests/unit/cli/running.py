"""The command line as a person runs it, in this process."""

import sys
from dataclasses import dataclass

import pytest

from monitor.cli import main


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


class Shell:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def run(self, *arguments: str) -> Ended:
        self._monkeypatch.setattr(sys, "argv", ["eventflow", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 0, out, err)
