"""`/api/v1/alerts`, `silences` and `runbooks`: from a real Alertmanager, and without one."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from monitor.api.alerts import make_alert_router
from monitor.api.application import make_api
from monitor.api.sources import Sources
from monitor.clock import Clock
from monitor.config import Alerts
from monitor.model import CollectionError, Mute, Status
from stack.ports import reserve_ports
from tests.unit.api.builders import NOW, Api, bearer, blind_view, dead_letters, guarded, subscription, verdict, view

RUNBOOKS = Path(__file__).parents[3] / "alerts" / "runbooks"


@dataclass
class AlertApi(Api):
    """The API with the endpoints of alerts; `noted` is what went to the audit log."""

    settings: Alerts = field(default_factory=Alerts)
    transport: httpx.BaseTransport | None = None
    clock: Clock = field(default_factory=lambda: Clock(now=lambda: NOW))
    noted: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        sources = Sources(
            lambda: self.views, self.page.page, self.page.series, self.clock, lambda id_: self.mute_of(id_)
        )
        router = make_alert_router(lambda: self.settings, sources, RUNBOOKS, self._note, self.transport)
        self.app = make_api(sources, lambda: self.server, [router])

    def _note(self, principal: Any, address: str, operation: str, **told: object) -> None:
        self.noted.append((principal.name, operation, told))


def test_without_prometheus_the_statuses_themselves_are_told_but_not_what_is_muted() -> None:
    judged = [
        (subscription("fine"), verdict()),
        (subscription("late"), verdict(Status.STOPPED, reason="nobody consumes", owner="checkout")),
        (subscription("planned"), verdict(Status.STALLED)),
    ]
    error = CollectionError("timeout", "x", "no answer within 5 s")
    api = AlertApi(
        [view(judged, [dead_letters("late.dlq", messages=7)]), blind_view("mail", up=False, errors=(error,))]
    )
    api.mute_of = lambda id_: Mute(1, id_, NOW + 9, "planned", "me", NOW) if "planned" in id_ else None
    told = api.get("alerts").json()
    assert (told["source"], told["total"]) == ("status", 3)
    assert [(it["name"], it["state"], it["summary"]) for it in told["items"]] == [
        ("EventflowCollectorStale", "firing", "no answer within 5 s"),
        ("EventflowSubscriptionStopped", "firing", "nobody consumes"),
        ("EventflowDeadLettersNotDrained", "firing", "7 dead letters wait"),
    ]
    assert told["items"][1]["labels"]["owner"] == "checkout"


def test_every_alert_that_a_status_stands_for_has_its_runbook() -> None:
    judged = [(subscription(status), verdict(status)) for status in Status]
    error = CollectionError("timeout", "x", "away")
    api = AlertApi([view(judged, [dead_letters("q", messages=1)]), blind_view("mail", up=False, errors=(error,))])
    names = {it["name"] for it in api.get("alerts").json()["items"]}
    assert len(names) == 7
    assert {api.get(f"runbooks/{name}").status_code for name in names} == {200}


def test_a_runbook_is_told_and_no_name_leads_elsewhere() -> None:
    api = AlertApi()
    assert "## How to mend it" in api.get("runbooks/EventflowSubscriptionStopped").json()["text"]
    for name in ("Nothing", "..%2F..%2FREADME", "%2Fetc%2Fpasswd", "EventflowSubscriptionStopped.md"):
        assert api.get(f"runbooks/{name}").status_code == 404


def test_silences_need_an_alertmanager_and_an_operator() -> None:
    asked = {"labels": {"alertname": "X"}, "reason": "because", "for_seconds": 60}
    refused = AlertApi().ask("POST", "/api/v1/silences", json=asked)
    assert (refused.status_code, "mute instead" in refused.json()["detail"]) == (409, True)
    api = AlertApi(server=guarded(), settings=Alerts(alertmanager_url=SecretStr("http://127.0.0.1:9")))
    assert api.ask("POST", "/api/v1/silences", json=asked, headers=bearer("viewer")).status_code == 403
    assert api.noted == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(200, text="<html>"), "what answers as Prometheus (alerts.prometheus_url) is none"),
        (httpx.Response(200, json={"data": []}), "what answers as Prometheus (alerts.prometheus_url) is none"),
        (httpx.Response(503), "Prometheus (alerts.prometheus_url) refused with status 503"),
    ],
)
def test_what_is_no_prometheus_is_told_without_its_address(answer: httpx.Response, told: str) -> None:
    settings = Alerts(prometheus_url=SecretStr("http://me:secret@127.0.0.1:9"))
    api = AlertApi(settings=settings, transport=httpx.MockTransport(lambda _: answer))
    problem = api.get("alerts")
    assert (problem.status_code, problem.json()["detail"]) == (502, told)
    assert problem.json()["type"] == "urn:eventflow:problem:alerting-failed"


def test_a_prometheus_that_is_away_is_told() -> None:
    problem = AlertApi(settings=Alerts(prometheus_url=SecretStr("http://127.0.0.1:9"))).get("alerts")
    assert problem.json()["detail"] == "Prometheus (alerts.prometheus_url) cannot be asked: ConnectError"


def test_pending_alerts_of_prometheus_are_told_after_those_that_fire() -> None:
    alert = {"labels": {"alertname": "A", "severity": "warning"}, "annotations": {"summary": "s"}}
    alerts = [
        {**alert, "state": "pending", "activeAt": "2026-01-01T00:00:00.5Z"},
        {**alert, "state": "firing", "activeAt": "2026-01-01T00:00:00Z"},
    ]
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": {"alerts": alerts}}))
    told = AlertApi(settings=Alerts(prometheus_url=SecretStr("http://p")), transport=transport).get("alerts").json()
    assert told["source"] == "prometheus"
    assert [it["state"] for it in told["items"]] == ["firing", "pending"]
    assert told["items"][0]["since"] == datetime(2026, 1, 1, tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run Debian's Alertmanager with one receiver that does nothing."""
    folder = tmp_path_factory.mktemp("alertmanager")
    port = reserve_ports(["alertmanager"], folder)["alertmanager"]
    (folder / "alertmanager.yml").write_text(
        "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n", encoding="utf-8"
    )
    command = ["prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data",
               f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until(lambda: httpx.get(f"{url}/-/ready").status_code == 200)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _wait_until(holds: Any) -> None:
    give_up = time.monotonic() + 20
    while True:
        try:
            if holds():
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_an_alert_of_a_real_alertmanager_is_silenced_and_comes_back(alertmanager: str) -> None:
    labels = {"alertname": "EventflowSubscriptionStopped", "severity": "critical", "subscriber": 'a "quoted" <name>'}
    httpx.post(f"{alertmanager}/api/v2/alerts", json=[{"labels": labels, "annotations": {"summary": "nobody"}}])
    api = AlertApi(settings=Alerts(alertmanager_url=SecretStr(alertmanager)), clock=Clock(now=time.time))

    def states() -> list[str]:
        return [it["state"] for it in api.get("alerts").json()["items"]]

    _wait_until(lambda: states() == ["firing"])
    asked = {"labels": labels, "reason": "planned", "for_seconds": 60}
    made = api.ask("POST", "/api/v1/silences", json=asked).json()
    assert made["matchers"][0] == "alertname=EventflowSubscriptionStopped"
    _wait_until(lambda: states() == ["silenced"])
    (silence,) = api.get("silences").json()
    assert (silence["id"], silence["reason"], silence["actor"]) == (made["id"], "planned", "local")
    assert api.get("alerts").json()["items"][0]["silences"] == [made["id"]]
    assert api.ask("DELETE", f"/api/v1/silences/{made['id']}").status_code == 200
    _wait_until(lambda: states() == ["firing"])
    assert api.ask("DELETE", f"/api/v1/silences/{made['id']}").status_code == 404
    assert [operation for _, operation, _ in api.noted] == ["silence", "unsilence", "unsilence"]
