"""What pages are made of, as far as it is pure."""

from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dashboards.components.address import address
from dashboards.components.changes import last_turn, say_changes, say_marks, say_turn
from dashboards.components.charts import Run, runs_of
from dashboards.components.flows import group
from dashboards.components.graph import draw_map, quoted
from dashboards.components.head import say_data_age
from dashboards.components.problems import find_troubles, say_state
from dashboards.components.status import STATUSES, look_of
from dashboards.components.times import say_moment, say_since, say_utc
from dashboards.views.alerts import view_of
from dashboards.views.monitor import error_rows
from dashboards.views.subscriptions import id_of
from monitor.api.items import HistoryPoint, MarkItem, collector_item, dead_letter_item, subscription_item
from monitor.model import CollectionError, Mute, Problem, Status
from tests.unit.api.builders import NOW, Api, blind_view, dead_letters, subscription, verdict, view


def point(at: int, status: str | None = "ok", consumers: float | None = 3.0, out: float | None = 20.0) -> HistoryPoint:
    return {
        "at": at,
        "messages": 1,
        "oldest_age_seconds": 1,
        "published_per_second": 20.0,
        "consumed_per_second": out,
        "consumers": consumers,
        "status": None if status is None else Status(status),
    }


def items(status: Status = Status.OK, mute: Mute | None = None, **fields: Any) -> Any:
    seen = view([(subscription("late", **fields), verdict(status, reason="as told", owner="checkout"))])
    assert seen.snapshot is not None
    return subscription_item(seen.snapshot, 0, seen.verdicts[0], NOW, mute)


def queue(**fields: Any) -> Any:
    seen = view([], [dead_letters("late.dlq", **fields)])
    assert seen.snapshot is not None
    return dead_letter_item(seen.snapshot, 0, NOW)


def collector(**health: Any) -> Any:
    return collector_item(blind_view(**health), None, None, NOW)


def test_every_status_has_a_shape_and_a_word_of_its_own() -> None:
    assert set(STATUSES) == set(Status)
    assert len({look.symbol for look in STATUSES.values()}) == len({look.word for look in STATUSES.values()}) == 7
    assert str(look_of("newer")) == "? newer"


def test_when_it_broke_and_what_changed_is_told() -> None:
    points = [point(60 * n) for n in range(10)] + [point(60 * n, "stopped", 0.0, 0.0) for n in range(10, 15)]
    turn = last_turn(points)
    assert turn is not None
    assert (turn.at, say_turn(turn)) == (600, "✔ ok → ■ stopped")
    assert say_changes(points, turn) == ["consumers: 3 → 0", "going out: 20.0/s → 0/s"]


def test_what_broke_while_nothing_was_read_may_have_broken_earlier() -> None:
    points = [point(60 * n) for n in range(5)] + [point(60 * n, None, None, None) for n in range(5, 8)]
    points += [point(60 * n, "stalled") for n in range(8, 12)]
    turn = last_turn(points)
    assert turn is not None
    assert say_changes(points, turn) == ["nothing was read for 3 min before, so it may have begun earlier"]
    assert last_turn([point(0), point(60, "lagging"), point(120)]) is None


def test_what_was_noted_shortly_before_is_told_with_it() -> None:
    def mark(at: float, name: str, note: str = "") -> MarkItem:
        return {"id": 1, "at": at, "name": name, "note": note, "actor": "ci", "created_at": at}

    turn = last_turn([point(36_000), point(36_060, "stopped")])
    assert turn is not None
    marks = [mark(36_000, "deploy mailer", "v42"), mark(35_400, "failover"), mark(30_000, "old"), mark(37_000, "after")]
    assert say_marks(marks, turn) == ["deploy mailer v42, 1 min before", "failover, 11 min before"]


def test_steps_of_one_status_are_joined_and_gaps_stay_gaps() -> None:
    statuses = [None, "ok", "ok", None, "stopped", None]
    assert runs_of([0, 60, 120, 180, 240, 300], statuses, 60) == [
        Run(60, 180, "ok"),
        Run(180, 240, None),
        Run(240, 300, "stopped"),
    ]


@pytest.mark.parametrize(
    ("at", "told"), [(NOW, "23:13:20"), (NOW - 86_400, "2023-11-13 23:13"), (NOW + 2_800, "2023-11-15 00:00")]
)
def test_moments_are_told_in_the_viewers_zone(at: float, told: str) -> None:
    assert say_moment(at, NOW, ZoneInfo("Europe/Berlin")) == told
    assert say_utc(NOW) == "2023-11-14 22:13:20 UTC"
    assert say_since(NOW - 120, NOW, UTC) == "for 2 min, since 22:11:20"


def test_old_data_is_told_as_late_and_what_was_never_read_as_starting() -> None:
    assert say_data_age(collector(up=True, last_success=NOW - 10), NOW) == ":small[orders 10 s ago]"
    assert ":orange-badge[◷ late]" in say_data_age(collector(up=True, last_success=NOW - 31), NOW)
    assert ":red-badge[✖ down]" in say_data_age(collector(up=False, last_success=NOW - 5), NOW)
    assert "… starting" in say_data_age(collector(), NOW)


def test_troubles_come_by_kind_and_what_is_muted_stands_apart() -> None:
    error = CollectionError("timeout", "orders", "no answer within 5 s")
    mute = Mute(1, "*", NOW + 60, "deploy", "me", NOW)
    found = find_troubles(
        [collector(up=False, errors=(error,)), collector(up=True), collector()],
        [items(Status.STOPPED), items(Status.LAGGING), items(Status.STALLED, mute)],
        [queue(messages=7, expires_at=NOW + 3600), queue(messages=0, problems=(Problem.RETENTION_TOO_SHORT,))],
        NOW,
    )
    assert [it.why for it in found.blind] == ["timeout: no answer within 5 s"]
    assert [(it.title, it.owner, it.parameters["subscriber"]) for it in found.behind] == [
        ("late-group ← late", "checkout", "late-group")
    ]
    assert "7 wait" in found.dead[0].why
    assert "the next is lost in 1 h at worst" in found.dead[0].why
    assert [it.why for it in found.wrong] == ["retention too short"]
    assert [it.muted for it in found.muted] == ["deploy"]


def test_what_was_not_watched_for_long_enough_is_told_apart_from_what_could_not_be_read() -> None:
    young, unread = items(Status.UNKNOWN), items(Status.UNKNOWN, expected=12, measured=9)
    found = find_troubles([], [young, unread], [], NOW).behind
    assert [it.action for it in found] == ["Look who consumes it", "See what is missing"]


def test_one_line_says_what_cannot_be_seen_first() -> None:
    api = Api([view([(subscription("late"), verdict(Status.STOPPED))], [dead_letters("q", messages=7)]),
               blind_view("mail", up=False)])  # fmt: skip
    look, told = say_state(api.get("summary").json())
    assert (str(look), told) == (
        "✖ cannot be read",
        "mail cannot be read; 1 of 1 subscriptions need a look; 7 dead letters wait",
    )
    assert say_state(Api([blind_view()]).get("summary").json())[1] == "orders not yet read"
    assert say_state(Api().get("summary").json())[1] == "no cluster is configured"


def test_the_map_has_text_only_as_text() -> None:
    hostile = 'x" URL="javascript:alert(1)" \\N &quot; <b>'
    drawn = draw_map([items(Status.STOPPED, destination=hostile)], [queue(messages=3)])
    assert quoted(hostile)[1:-1] in drawn
    assert '" URL=' not in drawn.replace('\\" URL=', "")
    assert "■ stopped" in drawn


def test_what_a_topic_gets_is_counted_once_and_what_a_service_reads_is_summed() -> None:
    both = [items(published_messages_total=1.0), items(subscriber="other")]
    for item, rate in zip(both, (10.0, 4.0), strict=True):
        item.update(published_per_second=rate, consumed_per_second=rate - 1)
    (flow,) = group(both, "destination")
    assert (flow.produced, flow.consumed, flow.falls_behind_by) == (10, 12, 2)
    assert [it.produced for it in group(both, "service")] == [10, 4]


@pytest.mark.parametrize(
    ("labels", "path", "parameters"),
    [
        ({"cluster": "c", "system": "kafka", "destination": "d", "subscriber": "s", "severity": "x"}, "subscriptions",
         {"system": "kafka", "cluster": "c", "destination": "d", "subscriber": "s"}),
        ({"system": "sqs", "cluster": "c", "queue": "q"}, "dead-letters",
         {"system": "sqs", "cluster": "c", "queue": "q"}),
        ({"cluster": "c", "source": "q"}, "redrive", {"cluster": "c", "source": "q"}),
        ({"cluster": "c", "node": "n"}, "clusters", {"cluster": "c"}),
        ({"alertname": "Watchdog"}, "overview", {}),
    ],
)  # fmt: skip
def test_an_alert_leads_to_what_it_is_about(labels: dict[str, str], path: str, parameters: dict[str, str]) -> None:
    assert view_of(labels) == (path, parameters)


@pytest.mark.parametrize(
    ("named", "id_"),
    [
        ({"cluster": "c", "system": "kafka", "destination": "a/b", "subscriber": "g"}, "c/g/a%2Fb"),
        ({"cluster": "c", "system": "kafka", "destination": "t", "subscriber": "t"}, "c/t/t"),
        ({"cluster": "c", "system": "rabbitmq", "destination": "v/q", "subscriber": "v/q"}, "c/v%2Fq"),
        ({"cluster": "c", "destination": "t", "subscriber": "g"}, "c/g/t"),
    ],
)
def test_an_address_names_a_subscription_as_alerts_do(named: dict[str, str], id_: str) -> None:
    assert id_of(named) == id_


def test_an_address_holds_every_choice() -> None:
    assert address("subscriptions", status=["stopped", "losing"], q="a&b", owner=None) == (
        "/subscriptions?status=stopped&status=losing&q=a%26b"
    )
    assert address("overview") == "/"


def test_every_error_says_what_to_do() -> None:
    (row,) = error_rows([{"reason": "forbidden", "target": "topic\x1b", "message": "no DESCRIBE"}])
    assert (row["At"], row["What to do"].startswith("Give the monitor's user")) == ("topic\\x1b", True)
