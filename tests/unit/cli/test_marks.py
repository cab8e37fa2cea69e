"""Marks over HTTP and by `eventflow mark`: who may make them, what is refused, how they are told."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from monitor.api.application import make_api
from monitor.api.guard import Principal
from monitor.api.marks import make_mark_router
from monitor.api.sources import Sources
from monitor.apiclient import ApiClient
from monitor.cli import commands
from monitor.clock import Clock
from monitor.config import Server
from monitor.storage.database import Database
from monitor.storage.marks import Marks
from tests.unit.api.builders import NOW, Api, AppTransport, bearer, guarded
from tests.unit.cli.running import Shell

DAY = 86_400.0


class MarkedApi(Api):
    """An API with marks in a database of its own; what it noted for the audit stands in `noted`."""

    def __init__(self, database: Database, server: Server | None = None) -> None:
        super().__init__([], server or Server())
        self.noted: list[tuple[str, str, dict[str, object]]] = []
        clock = Clock(now=lambda: NOW)
        sources = Sources(lambda: self.views, self.page.page, self.page.series, clock)
        router = make_mark_router(Marks(database, clock), self.note, clock)
        self.app = make_api(sources, lambda: self.server, [router])

    def note(self, principal: Principal, address: str, operation: str, **told: object) -> None:
        self.noted.append((principal.name, operation, told))

    def mark(self, token: str = "", **body: Any) -> Any:
        return self.ask("POST", "/api/v1/marks", json=body, headers=bearer(token) if token else {})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database.open(f"sqlite:///{tmp_path}/eventflow.db")) as opened:
        yield opened


def test_marks_are_told_the_newest_first_and_stand_in_the_audit(database: Database) -> None:
    api = MarkedApi(database)
    now = api.mark(name=" deploy billing ", note="1.5").json()
    before = api.mark(name="deploy mail", at=NOW - 2 * DAY).json()
    assert (now["name"], now["at"], now["actor"]) == ("deploy billing", NOW, "local")
    assert api.get("marks").json() == {"items": [now, before], "next": None}
    assert api.get(f"marks?from={NOW - DAY}").json()["items"] == [now]
    assert api.get(f"marks?to={NOW - DAY}").json()["items"] == [before]
    assert [it[1:] for it in api.noted] == [
        ("mark", {"name": "deploy billing", "at": NOW}), ("mark", {"name": "deploy mail", "at": NOW - 2 * DAY}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [{}, {"name": " "}, {"name": "x" * 201}, {"name": "x", "at": NOW + 3600}, {"name": "x", "at": NOW - 400 * DAY},
     {"name": "x", "note": "x" * 1001}, {"name": "x", "other": 1}],
)  # fmt: skip
def test_what_cannot_have_happened_is_refused(database: Database, body: dict[str, Any]) -> None:
    api = MarkedApi(database)
    assert api.mark(**body).status_code == 400
    assert api.get("marks").json()["items"] == []


def test_only_operators_mark(database: Database) -> None:
    api = MarkedApi(database, guarded())
    assert api.mark("viewer", name="x").status_code == 403
    assert api.mark("operator", name="x").status_code == 200


def test_the_command_marks_and_lists(database: Database, monkeypatch: pytest.MonkeyPatch, shell: Shell) -> None:
    api = MarkedApi(database)
    transport = AppTransport(api)
    monkeypatch.setattr(commands, "ApiClient", lambda url, token: ApiClient(url, token, transport=transport))
    assert shell.run("marks").out == "nothing is marked\n"
    assert "marked deploy billing" in shell.run("mark", "deploy billing", "--note", "1.5").out
    assert "deploy billing: 1.5 (local)" in shell.run("marks").out
