"""The overview in each of its states, as Streamlit runs it."""

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from monitor.model import Age, AgeMethod, CollectionError, Problem, Status
from tests.dashboards.conftest import Served
from tests.unit.api.builders import NOW, blind_view, dead_letters, subscription, verdict, view

APP = str(Path(__file__).parents[2] / "dashboards" / "app.py")


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)


def drawn() -> AppTest:
    page = AppTest.from_file(APP, default_timeout=30).run()
    assert not page.exception
    return page


def texts(page: AppTest) -> str:
    shown = [*page.markdown, *page.caption, *page.info, *page.error]
    return "\n".join(element.value for element in shown)


def test_worst_comes_first_and_numbers_are_said_as_people_say_them(served: Served) -> None:
    late = subscription("late", backlog_messages=12400, oldest_age=Age(185.0, AgeMethod.INTERPOLATED), consumers=2)
    served.api.views = [
        view(
            [
                (subscription("fine", backlog_messages=0), verdict()),
                (late, verdict(Status.STOPPED, reason="no commit")),
            ],
            [dead_letters("orders.dlq", messages=7, oldest_age=Age(60.0, AgeMethod.EXACT), expires_at=NOW + 7200)],
        )
    ]
    page = drawn()
    subscriptions, dead = (table.value for table in page.dataframe)
    assert list(subscriptions["Subscriber"]) == ["late-group", "fine-group"]
    assert (subscriptions["Status"][0], subscriptions["Behind"][0], subscriptions["Waiting"][0]) == (
        "■ stopped",
        "3 min",
        12400,
    )
    assert (dead["Queue"][0], dead["Dead letters"][0], dead["Next loss in"][0]) == ("orders.dlq", 7, "2 h")
    assert "1 of 2 subscriptions need a look; 7 dead letters wait" in texts(page)


def test_how_old_the_data_is_stands_beside_every_cluster(served: Served) -> None:
    served.api.views = [view(last_success=NOW - 10)]
    assert "data 10 s ago" in texts(drawn())


def test_a_cluster_that_cannot_be_read_is_named_with_the_reason(served: Served) -> None:
    error = CollectionError("timeout", "orders", "no answer within 5 s")
    served.api.views = [blind_view(up=False, errors=(error,))]
    told = texts(drawn())
    assert "orders cannot be read" in told
    assert "timeout: no answer within 5 s" in told.replace("\\", "")


def test_set_up_mistakes_of_dead_letter_queues_are_named(served: Served) -> None:
    served.api.views = [view([], [dead_letters("q.dlq", messages=0, problems=(Problem.RETENTION_TOO_SHORT,))])]
    assert drawn().dataframe[0].value["Set-up"][0] == "retention too short"


def test_nothing_to_see_says_why(served: Served) -> None:
    told = texts(drawn())
    assert "No subscription has been seen yet" in told
    assert "No dead-letter queue has been found" in told


def test_a_monitor_that_is_away_is_said_and_heals_by_itself(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.api.views = [view([subscription("fine", backlog_messages=0)])]
    monkeypatch.setenv("EVENTFLOW_URL", "http://127.0.0.1:9")
    page = drawn()
    assert "cannot be reached" in texts(page)
    assert not page.dataframe
    monkeypatch.setenv("EVENTFLOW_URL", served.url)
    assert len(page.run().dataframe) == 1


def test_a_monitor_that_wants_a_token_says_where_to_give_one(served_with_tokens: Served) -> None:
    assert "EVENTFLOW_TOKEN" in texts(drawn())


def test_names_from_brokers_stay_text(served: Served) -> None:
    served.api.views = [blind_view("<img src=x> **bold** [a](b)", up=False)]
    told = texts(drawn())
    assert r"\<img src\=x\> \*\*bold\*\* \[a\]\(b\)" in told
