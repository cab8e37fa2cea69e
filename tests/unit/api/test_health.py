"""Liveness and readiness."""

import pytest

from monitor.model import CollectionError
from tests.unit.api.builders import Api, blind_view, view


def test_the_monitor_is_alive_whatever_its_clusters_do() -> None:
    answer = Api([blind_view(up=None), blind_view("mail", up=False)]).ask("GET", "/healthz")
    assert (answer.status_code, answer.json()) == (200, {"alive": True})


def test_it_is_not_ready_before_every_collector_has_finished_a_cycle() -> None:
    answer = Api([view(), blind_view("mail", up=None)]).ask("GET", "/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "not_ready": ["mail"], "failing": [], "ok": ["orders"], "elsewhere": []}


def test_it_is_ready_when_a_collector_is_known_to_fail_and_says_which_and_why() -> None:
    failing = blind_view("mail", up=False, errors=(CollectionError("unreachable", "mail", "mail: no connection"),))
    answer = Api([view(), failing]).ask("GET", "/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "not_ready": [],
        "failing": [{"cluster": "mail", "message": "mail: no connection"}],
        "ok": ["orders"],
        "elsewhere": [],
    }


def test_what_another_monitor_reads_does_not_keep_this_one_from_being_ready() -> None:
    answer = Api([view(), blind_view("mail", up=None, read_by="http://two")]).ask("GET", "/readyz")
    assert (answer.status_code, answer.json()["elsewhere"]) == (200, ["mail"])


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_never_kept_by_a_cache(path: str) -> None:
    answer = Api([view()]).ask("HEAD", path)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
