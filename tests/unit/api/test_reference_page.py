"""`/docs` and `/openapi.json`."""

import re

from monitor.api.items import CollectorItem, DeadLetterItem, SubscriptionItem
from monitor.api.problems import PROBLEM_TYPES
from monitor.api.reference import render_reference
from tests.unit.api.builders import Api


def test_the_page_names_every_path_parameter_field_and_problem() -> None:
    page = Api().ask("GET", "/docs")
    assert page.headers["content-type"].startswith("text/html")
    paths = ("/api/v1/subscriptions", "/api/v1/dead-letters/{id}", "/api/v1/collectors", "/metrics", "/readyz")
    fields = [
        f"items[].{name}" for item in (SubscriptionItem, DeadLetterItem, CollectorItem) for name in item.__annotations__
    ]
    problems = [it.uri for it in PROBLEM_TYPES]
    for name in (*paths, "limit", "cursor", "sort", "q", "status", *fields, *problems):
        assert f"{name}</code>" in page.text, name


def test_the_page_asks_no_other_host_and_runs_no_script() -> None:
    page = Api().ask("GET", "/docs")
    assert not re.search(r"<script|https?://|src=|@import", page.text)
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


def test_the_page_shows_markup_as_text() -> None:
    schema = {"info": {"title": "<b>", "version": "&"}, "paths": {}}
    assert "<b>" not in render_reference(schema)


def test_the_description_for_programs_knows_the_scheme_and_the_parameters() -> None:
    schema = Api().ask("GET", "/openapi.json").json()
    assert schema["openapi"].startswith("3.")
    assert schema["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    operation = schema["paths"]["/api/v1/subscriptions"]["get"]
    names = {it["name"] for it in operation["parameters"]}
    assert names == {"limit", "offset", "cursor", "sort", "q", "cluster", "system", "role", "status", "owner"}
