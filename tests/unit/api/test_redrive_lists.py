"""Lists of jobs, of audit records and of causes: both ways, and searched."""

from collections.abc import Iterator
from typing import Any

import pytest

from monitor.api.application import make_api
from monitor.api.redrives import make_redrive_router, order_groups
from monitor.api.sources import Sources
from monitor.clock import Clock
from monitor.config import Server
from monitor.storage.database import Database
from tests.unit.api.builders import Api
from tests.unit.redrive.test_service import ALICE, World


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API with three jobs, the first and second of which were cancelled, and their audit records."""
    database = Database.open(f"sqlite:///{tmp_path_factory.mktemp('lists')}/eventflow.db")
    world, api = World(database), Api()
    for number in range(3):
        job = world.start(first=1)
        if number < 2:
            world.redrives.steer(job["id"], "cancel", ALICE)
            world.journal.update_job(job["id"], state="cancelled", reason=f"Reason 100% {number}")
        world.now += 1
    sources = Sources(lambda: (), api.page.page, api.page.series, Clock())
    api.app = make_api(sources, Server, [make_redrive_router(world.redrives)])
    yield api
    database.close()


def told(api: Api, path: str, field: str, **parameters: Any) -> list[Any]:
    """One field of the items of all pages, which have two items each."""
    found, cursor = [], None
    for _ in range(10):
        page = api.get(path, params={"limit": 2, **parameters, **({"cursor": cursor} if cursor else {})}).json()
        found += [item[field] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    return found


@pytest.mark.parametrize(("path", "field"), [("redrives", "created_at"), ("audit", "at")])
def test_lists_go_both_ways_over_all_pages(api: Api, path: str, field: str) -> None:
    newest_first = told(api, path, field)
    assert len(newest_first) > 2
    assert newest_first == sorted(newest_first, reverse=True)
    assert told(api, path, field, sort=field) == newest_first[::-1]
    assert told(api, path, field, sort=f"-{field}") == newest_first


@pytest.mark.parametrize(
    ("q", "found"), [("cancelled", 2), ("REASON 1", 2), ("0% 1", 2), ("reason nothing", 0), ("k/q", 3), ("reas_n", 0)]
)
def test_jobs_are_found_by_words(api: Api, q: str, found: int) -> None:
    assert len(told(api, "redrives", "id", q=q)) == found


def test_audit_records_are_found_by_words(api: Api) -> None:
    assert told(api, "audit", "operation", q="redrive.cancel Alice") == ["redrive.cancel"] * 2


@pytest.mark.parametrize("path", ["redrives", "audit", "dead-letters/k/q/groups"])
def test_an_order_that_a_list_does_not_have_is_refused_by_name(api: Api, path: str) -> None:
    problem = api.get(path, params={"sort": "bogus"})
    assert (problem.status_code, problem.json()["errors"][0]["parameter"]) == (400, "sort")


@pytest.mark.parametrize("path", ["dead-letters/k/q/messages", "redrives/job/items", "archive"])
@pytest.mark.parametrize("parameter", ["sort", "q"])
def test_what_has_one_order_alone_says_so(api: Api, path: str, parameter: str) -> None:
    problem = api.get(path, params={parameter: "at"})
    assert problem.status_code == 400
    assert problem.json()["detail"].startswith(f"{parameter}: not possible here; docs/api.md says")


def test_causes_are_ordered_and_found_by_words() -> None:
    named = dict.fromkeys(("kind", "exception", "frame", "subject", "origins", "types", "consumers"))
    groups = [
        {**named, "id": "a", "messages": 3, "first_at": 2.0, "message": "no such Customer"},
        {**named, "id": "b", "messages": 2, "first_at": None, "message": "customer is late"},
        {**named, "id": "c", "messages": 1, "first_at": 1.0, "message": "late"},
    ]
    orders = {
        sort: [it["id"] for it in order_groups(groups, sort, "")] for sort in ("first_at", "-first_at", "messages")
    }
    assert orders == {"first_at": ["c", "a", "b"], "-first_at": ["a", "c", "b"], "messages": ["c", "b", "a"]}
    assert [it["id"] for it in order_groups(groups, "-messages", "LATE customer")] == ["b"]
