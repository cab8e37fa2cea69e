"""`/api/v1/history`: what may be asked, and how a curve is told."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from monitor.api.application import make_api
from monitor.api.history import make_history_router
from monitor.api.sources import Sources
from monitor.clock import Clock
from monitor.errors import StorageError
from monitor.storage.history import Curve, Point
from tests.unit.api.builders import NOW, Api


@dataclass
class Told:
    """Curves of the test's own; those of the databases have tests of their own."""

    curve: Curve = field(default_factory=lambda: Curve(60, ()))
    asked: list[tuple[str, float, float, float | None]] = field(default_factory=list)

    def read(self, subject: str, start: float, end: float, step: float | None) -> Curve:
        self.asked.append((subject, start, end, step))
        return self.curve

    def read_many(
        self, subjects: Sequence[str], start: float, end: float, step: float | None, values: Collection[str]
    ) -> Mapping[str, Curve]:
        return {subject: self.read(subject, start, end, step) for subject in subjects if "none" not in subject}


class Broken(Told):
    def read(self, subject: str, start: float, end: float, step: float | None) -> Curve:
        raise StorageError("the database cannot be used: disk full")


def api_over(curves: Told) -> Api:
    api = Api()
    clock = Clock(now=lambda: NOW)
    sources = Sources(lambda: (), api.page.page, api.page.series, clock)
    api.app = make_api(sources, lambda: api.server, [make_history_router(curves, clock)])
    return api


def test_a_curve_is_told_with_null_for_what_is_not_known() -> None:
    points: Sequence[Point] = [Point(60, 5.0, 1.5, 2.0, None, 1.0, "lagging"), Point(120)]
    answer = api_over(Told(Curve(60, points))).get("history", params={"subject": "subscription:orders/g/t"})
    rest = {"published_per_second": 2, "consumed_per_second": None, "consumers": 1, "status": "lagging"}
    assert answer.json() == {
        "subject": "subscription:orders/g/t",
        "step_seconds": 60,
        "points": [
            {"at": 60, "messages": 5, "oldest_age_seconds": 1.5, **rest},
            {"at": 120, "messages": None, "oldest_age_seconds": None, **dict.fromkeys(rest)},
        ],
        "note": None,
    }


def test_without_times_the_last_six_hours_are_told_and_never_the_future() -> None:
    told = Told()
    api = api_over(told)
    api.get("history", params={"subject": "dead_letters:orders/a%2Fb"})
    api.get("history", params={"subject": "subscription:x", "from": NOW - 60, "to": NOW + 600, "step": 300})
    assert told.asked == [
        ("dead_letters:orders/a%2Fb", NOW - 6 * 3600, NOW, None),
        ("subscription:x", NOW - 60, NOW, 300.0),
    ]


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"subject": "orders/g/t"},
        {"subject": "subscription:"},
        {"subject": "subscription:x", "from": NOW},
        {"subject": "subscription:x", "from": -5},
        {"subject": "subscription:x", "to": NOW - 60, "from": NOW - 30},
        {"subject": "subscription:x", "step": 0},
        {"subject": "subscription:x", "since": 5},
    ],
)
def test_what_cannot_be_meant_is_a_bad_request(query: dict[str, object]) -> None:
    answer = api_over(Told()).get("history", params=query)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:eventflow:problem:bad-request")


def test_a_database_that_cannot_be_read_is_told() -> None:
    answer = api_over(Broken()).get("history", params={"subject": "subscription:x"})
    assert (answer.status_code, answer.json()["detail"]) == (503, "the database cannot be used: disk full")


def test_chosen_values_of_many_curves_come_as_columns_without_those_that_have_none() -> None:
    told = Told(Curve(60, [Point(60, 5.0, 1.5, status="ok"), Point(120)]))
    subjects = ["subscription:a/b", "dead_letters:none", "cluster:orders"]
    answer = api_over(told).get("history/curves", params={"subject": subjects, "value": ["messages", "status"]})
    columns = {"messages": [5, None], "status": ["ok", None]}
    assert answer.json() == {
        "step_seconds": 60,
        "at": [60, 120],
        "curves": [{"subject": subjects[0], "values": columns}, {"subject": subjects[2], "values": columns}],
    }


def test_no_curve_at_all_is_an_empty_answer() -> None:
    answer = api_over(Told()).get("history/curves", params={"subject": "subscription:none"})
    assert answer.json() == {"step_seconds": None, "at": [], "curves": []}
