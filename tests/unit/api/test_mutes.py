"""Mutes over HTTP: who may set and end them, what is refused, and where they show."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from monitor.api.application import make_api
from monitor.api.guard import Principal
from monitor.api.mutes import make_mute_router
from monitor.api.sources import Sources
from monitor.clock import Clock
from monitor.config import Server
from monitor.errors import StorageError
from monitor.storage.database import Database
from monitor.storage.mutes import Mutes
from tests.unit.api.builders import NOW, Api, bearer, dead_letters, guarded, subscription, view

VIEWS = [view([subscription("payments"), subscription("orders")], [dead_letters("payments.dlq")])]
PAYMENTS = "orders/payments-group/payments"


class MutedApi(Api):
    """An API with mutes in a database of its own; what it noted for the audit stands in `noted`."""

    def __init__(self, database: Database, server: Server | None = None) -> None:
        super().__init__(VIEWS, server or Server())
        self.now = NOW
        self.noted: list[tuple[str, str, dict[str, object]]] = []
        clock = Clock(now=lambda: self.now)
        self.mutes = Mutes(database, clock)
        sources = Sources(lambda: self.views, self.page.page, self.page.series, clock, self.mutes.find)
        router = make_mute_router(self.mutes, sources.views, self.note, clock)
        self.app = make_api(sources, lambda: self.server, [router])

    def note(self, principal: Principal, address: str, operation: str, **told: object) -> None:
        self.noted.append((principal.name, operation, told))

    def mute(self, token: str = "", **body: Any) -> Any:
        return self.ask("POST", "/api/v1/mutes", json=body, headers=bearer(token) if token else {})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database.open(f"sqlite:///{tmp_path}/eventflow.db")) as opened:
        yield opened


def test_a_mute_shows_where_it_matches_and_goes_by_itself(database: Database) -> None:
    api = MutedApi(database)
    item = api.mute(subject="orders/payments*", for_seconds=60, reason="upgrade").json()
    assert (item["until"], item["actor"], item["subscriptions"], item["dead_letters"]) == (NOW + 60, "local", 1, 1)
    assert api.get("mutes").json() == {"items": [item], "next": None}

    shown = {it["id"]: (it["muted_until"], it["muted_reason"]) for it in api.get("subscriptions").json()["items"]}
    assert shown == {PAYMENTS: (NOW + 60, "upgrade"), "orders/orders-group/orders": (None, None)}
    assert api.get("dead-letters").json()["items"][0]["muted_reason"] == "upgrade"
    assert api.get(f"subscriptions/{PAYMENTS}").json()["muted_until"] == NOW + 60

    api.now += 60
    assert api.get("mutes").json()["items"] == []
    assert api.get(f"subscriptions/{PAYMENTS}").json()["muted_until"] is None


def test_a_mute_can_be_ended_once(database: Database) -> None:
    api = MutedApi(database)
    number = api.mute(subject=PAYMENTS, until=NOW + 60, reason="upgrade").json()["id"]
    assert api.ask("DELETE", f"/api/v1/mutes/{number}").json()["subject"] == PAYMENTS
    assert api.get(f"subscriptions/{PAYMENTS}").json()["muted_until"] is None
    assert api.ask("DELETE", f"/api/v1/mutes/{number}").status_code == 404


def test_setting_and_ending_are_for_operators_and_are_noted_for_the_audit(database: Database) -> None:
    api = MutedApi(database, guarded())
    assert api.mute("viewer", subject=PAYMENTS, for_seconds=60, reason="x").status_code == 403
    number = api.mute("operator", subject=PAYMENTS, for_seconds=60, reason="upgrade").json()["id"]
    assert api.get("mutes", headers=bearer("viewer")).json()["items"][0]["actor"] == "the operator"
    assert api.ask("DELETE", f"/api/v1/mutes/{number}", headers=bearer("viewer")).status_code == 403
    assert api.ask("DELETE", f"/api/v1/mutes/{number}", headers=bearer("admin")).status_code == 200
    assert api.noted == [
        ("the operator", "mute", {"subject": PAYMENTS, "until": NOW + 60, "reason": "upgrade"}),
        ("the admin", "unmute", {"mute": number, "subject": PAYMENTS}),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"subject": PAYMENTS, "reason": "x"},
        {"subject": PAYMENTS, "reason": "x", "until": NOW},
        {"subject": PAYMENTS, "reason": "x", "until": NOW + 60, "for_seconds": 60},
        {"subject": PAYMENTS, "reason": "x", "for_seconds": 0},
        {"subject": PAYMENTS, "reason": "x", "for_seconds": 400 * 86400},
        {"subject": PAYMENTS, "reason": " ", "for_seconds": 60},
        {"subject": "", "reason": "x", "for_seconds": 60},
        {"subject": PAYMENTS, "for_seconds": 60},
        {"subject": PAYMENTS, "reason": "x", "for_seconds": 60, "bogus": 1},
    ],
)
def test_what_is_no_mute_is_a_bad_request_and_mutes_nothing(database: Database, body: dict[str, Any]) -> None:
    api = MutedApi(database)
    answer = api.mute(**body)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:eventflow:problem:bad-request")
    assert (api.mutes.active(), api.noted) == ((), [])


def test_nothing_is_muted_that_could_not_be_noted(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    api = MutedApi(database)

    def refuse(*_: Any, **__: Any) -> None:
        raise StorageError("the database cannot be used: disk full")

    monkeypatch.setattr(database, "writing", refuse)
    answer = api.mute(subject=PAYMENTS, for_seconds=60, reason="x")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:eventflow:problem:storage-failed")
    assert answer.json()["detail"] == "the database cannot be used: disk full"
    assert api.mutes.active() == ()


def test_the_reference_page_tells_what_a_mute_takes(database: Database) -> None:
    page = MutedApi(database).ask("GET", "/docs").text
    for name in ("POST /api/v1/mutes", "DELETE /api/v1/mutes/{number}", "for_seconds", "subject"):
        assert f"{name}</code>" in page
