"""Errors are problem+json of a documented type."""

import logging
import re
from pathlib import Path

import pytest

from monitor.api.problems import PROBLEM_TYPES
from monitor.errors import RequestError
from tests.unit.api.builders import Api, view

DOCS = Path(__file__).parents[3] / "docs" / "api.md"


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/api", "/api/v1", "/api/v1/nothing", "/api/v2/subscriptions", "/api/v1/history",
             "/api/v1/catalog", "/api/v1/redrives", "/api/v1/audit", "/api/v1/collector/orders", "/metrics/"]
)  # fmt: skip
def test_an_unknown_path_is_not_found(path: str) -> None:
    problem = Api().ask("GET", path)
    assert problem.status_code == 404
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["type"] == "urn:eventflow:problem:not-found"
    assert problem.json()["status"] == 404
    assert path in problem.json()["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/api/v1/subscriptions", "/api/v1/dead-letters/x", "/healthz", "/readyz", "/docs"])
def test_a_method_that_a_path_does_not_know_is_told_with_those_it_knows(method: str, path: str) -> None:
    problem = Api().ask(method, path)
    assert problem.status_code == 405
    assert "GET" in problem.headers["allow"]
    assert problem.json()["type"] == "urn:eventflow:problem:method-not-allowed"


def test_what_fails_inside_tells_nothing_of_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    api = Api([view()])

    @api.app.get("/api/v1/broken")
    def fail() -> None:
        raise RuntimeError("password=hunter2")

    with caplog.at_level(logging.ERROR):
        problem = api.ask("GET", "/api/v1/broken")
    assert problem.status_code == 500
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json() == {
        "type": "urn:eventflow:problem:internal-error",
        "title": "The monitor failed to answer",
        "status": 500,
        "detail": "something failed inside the monitor; its log says what",
    }


def test_the_documented_types_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `(urn:eventflow:problem:[a-z-]+)` \| (\d+) \| (.+?) \|", DOCS.read_text("utf-8"), re.M)
    assert {(uri, int(status), title) for uri, status, title in rows} == {
        (it.uri, it.status, it.title) for it in PROBLEM_TYPES
    }


def test_every_request_error_has_a_type_of_its_own() -> None:
    raised = {kind.slug for kind in RequestError.__subclasses__()}
    assert {it.slug for it in PROBLEM_TYPES} >= raised
    assert len({it.slug for it in PROBLEM_TYPES}) == len(PROBLEM_TYPES)
