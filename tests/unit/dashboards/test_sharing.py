"""Answers that several who look at once share."""

import threading
from typing import Any

import pytest

from dashboards.sharing import Answers, SharingClient
from monitor.errors import MonitorUnreachable
from tests.unit.api.builders import BASE_URL


class Counting:
    """A monitor that counts how often it is asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> int:
        self.times += 1
        return self.times


def test_an_answer_holds_for_a_moment_and_no_longer() -> None:
    now, ask = [0.0], Counting()
    answers = Answers(1.0, lambda: now[0])
    assert [answers.find("a", ask), answers.find("a", ask), answers.find("b", ask)] == [1, 1, 2]
    now[0] = 1.0
    assert answers.find("a", ask) == 3
    answers.forget()
    assert answers.find("a", ask) == 4


def test_a_failure_is_told_and_not_kept() -> None:
    answers, ask = Answers(60.0), Counting()

    def fail() -> Any:
        raise MonitorUnreachable("away")

    with pytest.raises(MonitorUnreachable):
        answers.find("a", fail)
    assert answers.find("a", ask) == 1


def test_what_nobody_reckons_with_is_told_to_all_who_wait_for_the_answer() -> None:
    answers, began, go_on, told = Answers(60.0), threading.Event(), threading.Event(), []

    def break_down() -> Any:
        began.set()
        go_on.wait(10)
        raise RuntimeError("broken")

    def ask() -> None:
        with pytest.raises(RuntimeError, match="broken") as failed:
            answers.find("a", break_down)
        told.append(failed.value)

    threads = [threading.Thread(target=ask), threading.Thread(target=ask)]
    threads[0].start()
    began.wait(10)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert len(told) == 2


def test_who_asks_while_it_is_being_asked_waits_for_the_same_answer() -> None:
    answers, began, go_on, found = Answers(60.0), threading.Event(), threading.Event(), []

    def slow() -> str:
        began.set()
        go_on.wait(10)
        return "slow"

    first = threading.Thread(target=lambda: found.append(answers.find("a", slow)))
    second = threading.Thread(target=lambda: found.append(answers.find("a", lambda: "second")))
    first.start()
    began.wait(10)
    second.start()
    go_on.set()
    for thread in (first, second):
        thread.join(10)
    assert found == ["slow", "slow"]


def test_nobody_is_given_the_answers_of_another_and_a_change_is_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(self: object, method: str, path: str, *_: object) -> dict[str, object]:
        asked.append(f"{method} {path}")
        return {"items": []}

    monkeypatch.setattr("monitor.apiclient.ApiClient._ask", ask)
    answers = Answers(60.0)
    alice, bob = (SharingClient(answers, BASE_URL, "token", name, 1.0) for name in ("alice", "bob"))
    alice.summary()
    alice.summary()
    bob.summary()
    assert asked == ["GET summary", "GET summary"]
    bob.unmute(1)
    alice.summary()
    assert asked[2:] == ["DELETE mutes/1", "GET summary"]
