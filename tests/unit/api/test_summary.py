"""`/api/v1/summary` and `/api/v1/about`."""

from monitor.model import Mute, Problem, Role, Status
from tests.unit.api.builders import NOW, Api, bearer, blind_view, dead_letters, guarded, subscription, verdict, view


def test_what_needs_a_look_is_counted_without_retries_and_what_is_muted_or_abandoned() -> None:
    judged = [
        (subscription("fine"), verdict(owner="checkout")),
        (subscription("late"), verdict(Status.LAGGING)),
        (subscription("stuck"), verdict(Status.STALLED)),
        (subscription("planned"), verdict(Status.STOPPED)),
        (subscription("again", role=Role.RETRY), verdict(Status.STOPPED)),
        (subscription("left", abandoned=True), verdict(Status.STOPPED)),
    ]
    api = Api([view(judged), blind_view("mail", up=False)])
    api.mute_of = lambda id_: Mute(1, id_, NOW + 9, "planned", "me", NOW) if "planned" in id_ else None
    told = api.get("summary").json()
    orders, mail = told["clusters"]
    assert {name: count for name, count in orders["statuses"].items() if count} == {
        "ok": 1,
        "lagging": 1,
        "stalled": 1,
        "stopped": 2,
    }
    assert (orders["need_a_look"], orders["muted"]) == (1, 1)
    assert (mail["up"], mail["statuses"], mail["need_a_look"]) == (False, None, None)
    assert told["owners"] == ["checkout"]


def test_dead_letters_are_summed_and_what_nobody_could_read_is_not_zero() -> None:
    first = dead_letters("a.dlq", messages=5, expires_at=NOW + 60)
    second = dead_letters("b.dlq", messages=2, expires_at=NOW + 30, problems=(Problem.RETENTION_TOO_SHORT,))
    unread = dead_letters("c.dlq", cluster="mail", messages=None)
    source = dead_letters("a", cluster="aws", problems=(Problem.NONE_CONFIGURED,), role=Role.WORK)
    views = [view([], [first, second]), view([], [unread], cluster="mail"), view([], [source], cluster="aws")]
    orders, mail, aws = Api(views).get("summary").json()["clusters"]
    assert (orders["dead_letter_messages"], orders["dead_letter_queues"], orders["dead_letter_problems"]) == (7, 2, 1)
    assert orders["expiry_timestamp_seconds"] == NOW + 30
    assert mail["dead_letter_messages"] is None
    assert (aws["dead_letter_messages"], aws["dead_letter_queues"], aws["dead_letter_problems"]) == (0, 0, 1)


def test_the_counts_follow_the_snapshot() -> None:
    api = Api([view([subscription("a")])])
    api.get("summary")
    api.views[0] = view([(subscription("a"), verdict(Status.STOPPED))])
    assert api.get("summary").json()["clusters"][0]["need_a_look"] == 1


def test_who_asks_is_told_with_the_role() -> None:
    told = Api(server=guarded()).get("about", headers=bearer("operator")).json()
    assert (told["name"], told["role"], told["started_at"]) == ("the operator", "operator", NOW)
    assert told["bodies"] is True
    assert Api(server=guarded()).get("about", headers=bearer("viewer")).json()["bodies"] is False
    assert Api().get("about").json()["name"] == "local"
    assert Api(server=guarded()).get("about").status_code == 401
