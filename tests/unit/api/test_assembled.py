"""The app as a monitor assembles it, with all of its endpoints."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from monitor.app import Monitor
from monitor.clock import Clock
from monitor.config import parse_configuration
from monitor.storage.database import Database
from tests.unit.api.builders import BASE_URL

CONFIG = 'clusters: [{name: orders, kind: kafka, bootstrap_servers: "127.0.0.1:1", redrive: {}}]'

Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Ask the app of a monitor that has not begun to read anything."""
    database = Database.open(f"sqlite:///{tmp_path_factory.mktemp('monitor')}/eventflow.db")
    app = Monitor(parse_configuration(CONFIG, "monitor.yml", {}), database, Clock()).make_app()

    async def send(method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
            return await client.request(method, path, **more)

    yield lambda method, path, **more: asyncio.run(send(method, path, **more))
    database.close()


@pytest.fixture(scope="module")
def description(ask: Ask) -> dict[str, Any]:
    return dict(ask("GET", "/openapi.json").json())


def test_the_description_is_valid(description: dict[str, Any]) -> None:
    assert [str(it) for it in OpenAPIV31SpecValidator(description).iter_errors()] == []


def test_the_page_shows_every_operation_of_the_description(ask: Ask, description: dict[str, Any]) -> None:
    page = ask("GET", "/docs")
    assert page.status_code == 200
    for path, operations in description["paths"].items():
        for method in operations:
            assert f"<code>{method.upper()} {path}</code>" in page.text
    assert "Answer: <code>application/x-ndjson</code>" in page.text


def test_the_paths_beside_the_api_are_described(description: dict[str, Any]) -> None:
    assert {"/metrics", "/healthz", "/readyz", "/docs", "/openapi.json"} <= description["paths"].keys()
    assert description["paths"]["/readyz"]["get"]["responses"].keys() == {"200", "503"}


def test_what_goes_wrong_is_described_as_the_problem_that_is_answered(ask: Ask, description: dict[str, Any]) -> None:
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            assert "422" not in operation["responses"], f"{method} {path}"
            if path.startswith("/api/"):
                told = operation["responses"]["4XX"]["content"]["application/problem+json"]["schema"]
                assert told == {"$ref": "#/components/schemas/Problem"}
    answer = ask("GET", "/api/v1/redrives?limit=none")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json().keys() <= description["components"]["schemas"]["Problem"]["properties"].keys()


def test_a_new_job_is_201_and_one_that_had_been_started_200(description: dict[str, Any]) -> None:
    responses = description["paths"]["/api/v1/redrives"]["post"]["responses"]
    schemas = [responses[status]["content"]["application/json"]["schema"] for status in ("200", "201")]
    assert schemas == [{"$ref": "#/components/schemas/JobItem"}] * 2


def test_a_parameter_that_a_path_does_not_have_is_refused_on_all_paths(ask: Ask, description: dict[str, Any]) -> None:
    asked = [(path, method) for path, it in description["paths"].items() for method in it if path.startswith("/api/")]
    for path, method in asked:
        body: dict[str, Any] = {"json": {}} if method == "post" else {}
        answer = ask(method.upper(), path.replace("{", "").replace("}", ""), params={"bogus": "1"}, **body)
        assert answer.status_code == 400, path
        assert {"parameter": "bogus", "message": "there is no such parameter here; /docs lists them"} in (
            answer.json()["errors"]
        )
