"""Order, filters, search and pages of lists."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from monitor.model import Age, AgeMethod, FoundBy, Origin, Problem, Role, Snapshot, Status, System
from tests.unit.api.builders import Api, blind_view, dead_letters, pages, subscription, verdict, view


def age(seconds: float) -> Age:
    return Age(seconds, AgeMethod.EXACT)


def many(count: int, **fields: Any) -> list[Any]:
    return [subscription(f"t{i:03}", backlog_messages=float(i), **fields) for i in range(count)]


def id_of(name: str, cluster: str = "orders") -> str:
    return f"{cluster}/{name}-group/{name}"


def test_subscriptions_come_worst_first_over_all_clusters() -> None:
    api = Api(
        [
            view(
                [
                    (subscription("fine"), verdict(Status.OK)),
                    (subscription("behind", oldest_age=age(10)), verdict(Status.LAGGING)),
                    (subscription("stopped", oldest_age=age(5)), verdict(Status.STOPPED)),
                ]
            ),
            view(
                [
                    (subscription("far-behind", "mail", oldest_age=age(99)), verdict(Status.LAGGING)),
                    (subscription("losing", "mail"), verdict(Status.LOSING)),
                ],
                cluster="mail",
            ),
        ]
    )
    assert api.ids("subscriptions") == [
        id_of("losing", "mail"),
        id_of("stopped"),
        id_of("far-behind", "mail"),
        id_of("behind"),
        id_of("fine"),
    ]


def test_dead_letter_queues_come_by_what_waits_in_them() -> None:
    api = Api(
        [
            view(
                dead=[
                    dead_letters("empty", messages=0.0),
                    dead_letters("unread"),
                    dead_letters("young", messages=9.0, oldest_age=age(1)),
                    dead_letters("old", messages=1.0, oldest_age=age(100)),
                    dead_letters("broken", messages=0.0, problems=(Problem.TARGET_MISSING,)),
                ]
            )
        ]
    )
    assert api.ids("dead-letters") == [f"orders/{it}" for it in ("old", "young", "broken", "unread", "empty")]


def test_collectors_come_failing_first() -> None:
    api = Api([view(cluster="a"), blind_view("b", up=None), blind_view("c", up=False)])
    assert [it["cluster"] for it in api.get("collectors").json()["items"]] == ["c", "b", "a"]


def test_a_list_is_sorted_by_any_field_with_unknown_values_last_in_both_directions() -> None:
    known = [subscription("b", backlog_messages=2.0), subscription("c", backlog_messages=10.0)]
    api = Api([view([subscription("a"), *known])])
    assert api.ids("subscriptions", sort="backlog_messages") == [id_of("b"), id_of("c"), id_of("a")]
    assert api.ids("subscriptions", sort="-backlog_messages") == [id_of("c"), id_of("b"), id_of("a")]


def test_equal_values_are_sorted_by_id() -> None:
    api = Api([view([subscription(name, backlog_messages=1.0) for name in "cab"])])
    assert api.ids("subscriptions", sort="-backlog_messages") == [id_of(name) for name in "abc"]


def test_status_is_sorted_from_worst_to_best() -> None:
    api = Api([view([(subscription(status), verdict(status)) for status in reversed(Status)])])
    assert api.ids("subscriptions", sort="status") == [id_of(status) for status in Status]


@pytest.mark.parametrize("path", ["subscriptions", "dead-letters", "collectors"])
def test_every_field_that_an_error_names_can_be_sorted_by(path: str) -> None:
    api = Api([view([subscription("a"), subscription("b")], dead=[dead_letters("a"), dead_letters("b")])])
    problem = api.get(path, params={"sort": "nothing"}).json()
    fields = problem["detail"].partition("known are ")[2].partition(", each with")[0].split(", ")
    assert len(fields) > 5
    for field in fields:
        assert field in api.get(path).json()["items"][0]
        for sort in (field, f"-{field}"):
            assert api.get(path, params={"sort": sort}).status_code == 200


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"cluster": "mail"}, ["q"]),
        ({"system": "rabbitmq"}, ["q"]),
        ({"system": ["rabbitmq", "kafka"]}, ["a", "b", "q"]),
        ({"status": "lagging"}, ["b"]),
        ({"owner": "checkout"}, ["a"]),
        ({"role": "retry"}, ["q"]),
        ({"cluster": "orders", "status": ["ok", "lagging"], "owner": "checkout"}, ["a"]),
        ({"cluster": "elsewhere"}, []),
    ],
)
def test_subscriptions_are_filtered(filters: dict[str, Any], names: list[str]) -> None:
    queue = replace(subscription("q", "mail", role=Role.RETRY), system=System.RABBITMQ)
    orders = view([(subscription("a"), verdict(owner="checkout")), (subscription("b"), verdict(Status.LAGGING))])
    api = Api([orders, view([queue], cluster="mail", kind="rabbitmq")])
    found = api.ids("subscriptions", sort="destination", **filters)
    assert [id_.rpartition("/")[2] for id_ in found] == names


def test_dead_letter_queues_are_filtered_by_problem() -> None:
    broken = dead_letters("broken", problems=(Problem.NOT_ALLOWED, Problem.OTHER_REGION))
    api = Api([view(dead=[broken, dead_letters("fine")])])
    assert api.ids("dead-letters", problem="other_region") == ["orders/broken"]


@pytest.mark.parametrize(
    ("q", "names"),
    [
        ("pay", ["payments"]),
        ("PAY", ["payments"]),
        ("checkout", ["payments"]),
        ("straße", ["straße/1"]),
        ("STRASSE", ["straße/1"]),
        ("straße/1", ["straße/1"]),
        ("orders payments-group", ["payments"]),
        ("payments elsewhere", []),
        ("  ", ["payments", "straße/1"]),
    ],
)
def test_search_finds_all_words_in_names_and_owner(q: str, names: list[str]) -> None:
    api = Api([view([(subscription("payments"), verdict(owner="Checkout")), subscription("straße/1")])])
    items = api.get("subscriptions", params={"q": q, "sort": "destination"}).json()["items"]
    assert [it["destination"] for it in items] == names


def test_dead_letter_queues_are_found_by_their_origins() -> None:
    api = Api([view(dead=[dead_letters("x.dlq", origins=(Origin("payments", FoundBy.NAME),)), dead_letters("y.dlq")])])
    assert api.ids("dead-letters", q="payments") == ["orders/x.dlq"]


def test_following_next_gives_everything_once_and_ends_with_null() -> None:
    api = Api([view(many(25))])
    told = list(pages(api, "subscriptions", limit=10, sort="id"))
    assert [len(page["items"]) for page in told] == [10, 10, 5]
    assert [it["id"] for page in told for it in page["items"]] == [id_of(f"t{i:03}") for i in range(25)]


def test_a_list_that_fits_exactly_has_no_next_page() -> None:
    assert Api([view(many(10))]).get("subscriptions", params={"limit": 10}).json()["next"] is None


def test_a_later_page_can_be_gone_to_at_once_and_the_number_of_all_is_told() -> None:
    api = Api([view(many(25))])
    page = api.get("subscriptions", params={"limit": 10, "offset": 20, "sort": "id"}).json()
    assert ([it["destination"] for it in page["items"]], page["next"], page["total"]) == (
        [f"t{i:03}" for i in range(20, 25)],
        None,
        25,
    )
    between = api.get("subscriptions", params={"limit": 10, "offset": 10, "sort": "id"}).json()
    after = api.get("subscriptions", params={"limit": 10, "cursor": between["next"], "sort": "id"}).json()
    assert after["items"][0]["destination"] == "t020"
    refused = api.get("subscriptions", params={"offset": 1, "cursor": between["next"], "sort": "id"})
    assert refused.json()["parameter"] == "offset"


def test_pages_stay_whole_while_the_snapshot_changes_between_them() -> None:
    api = Api([view(many(30))])
    seen: list[dict[str, Any]] = []
    for page in pages(api, "subscriptions", limit=7, sort="-backlog_messages"):
        seen += page["items"]
        # Every backlog is turned upside down, as a cycle may do.
        now = [subscription(f"t{i:03}", backlog_messages=1000.0 - i) for i in range(30)]
        api.views[0] = view(now)
    assert sorted(it["id"] for it in seen) == [id_of(f"t{i:03}") for i in range(30)]
    assert [it["backlog_messages"] for it in seen[:7]] == [29, 28, 27, 26, 25, 24, 23]
    assert seen[7]["backlog_messages"] == 1000 - 22  # in the old order, with its present value


def test_rows_that_have_gone_are_left_out_without_making_a_page_shorter() -> None:
    api = Api([view(many(30))])
    first = api.get("subscriptions", params={"limit": 10, "sort": "id"}).json()
    api.views[0] = view([it for i, it in enumerate(many(30)) if i not in (12, 13)])
    second = api.get("subscriptions", params={"limit": 10, "sort": "id", "cursor": first["next"]}).json()
    assert [it["destination"] for it in second["items"]] == [f"t{i:03}" for i in (10, 11, *range(14, 22))]


def test_a_page_can_be_asked_for_again() -> None:
    api = Api([view(many(30))])
    cursor = api.get("subscriptions", params={"limit": 10}).json()["next"]
    again = [api.get("subscriptions", params={"limit": 10, "cursor": cursor}).json() for _ in range(2)]
    assert again[0] == again[1]


def test_the_filters_of_the_first_page_hold_for_all() -> None:
    subscriptions = [(it, verdict(Status.LAGGING if i % 2 else Status.OK)) for i, it in enumerate(many(20))]
    api = Api([view(subscriptions)])
    told = list(pages(api, "subscriptions", limit=3, status="lagging"))
    assert [it["status"] for page in told for it in page["items"]] == ["lagging"] * 10


def test_a_cursor_with_other_filters_is_refused() -> None:
    api = Api([view(many(20))])
    cursor = api.get("subscriptions", params={"limit": 5, "cluster": "orders"}).json()["next"]
    problem = api.get("subscriptions", params={"limit": 5, "cluster": "mail", "cursor": cursor})
    assert problem.status_code == 400
    assert problem.json()["detail"] == "cursor: it belongs to other filters, q or sort; repeat those"


@pytest.mark.parametrize(
    "cursor",
    ["x", "%%%", base64.urlsafe_b64encode(b"token").decode(), base64.urlsafe_b64encode(b"token -5").decode(), "ÿ"],
)
def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    problem = Api([view(many(5))]).get("subscriptions", params={"cursor": cursor})
    assert (problem.status_code, problem.json()["parameter"]) == (400, "cursor")


def test_a_cursor_of_a_list_that_is_long_forgotten_is_refused_with_what_to_do() -> None:
    api = Api([view(many(5))])
    cursor = api.get("subscriptions", params={"limit": 1}).json()["next"]
    for _ in range(64):
        api.get("subscriptions", params={"limit": 1})
    problem = api.get("subscriptions", params={"limit": 1, "cursor": cursor})
    assert problem.json()["detail"] == "cursor: it is not known any more; ask for the first page again"


@pytest.mark.parametrize(
    ("parameters", "parameter"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": -1}, "limit"),
        ({"sort": "nothing"}, "sort"),
        ({"sort": "--id"}, "sort"),
        ({"status": "bad"}, "status"),
        ({"status": ["ok", "bad"]}, "status"),
        ({"system": "pulsar"}, "system"),
        ({"q": "x" * 201}, "q"),
        ({"clutser": "orders"}, "clutser"),
    ],
)
def test_a_bad_parameter_is_named(parameters: dict[str, Any], parameter: str) -> None:
    problem = Api([view(many(5))]).get("subscriptions", params=parameters)
    assert problem.status_code == 400
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["type"] == "urn:eventflow:problem:bad-request"
    assert problem.json()["detail"].startswith(f"{parameter}: ")


def test_a_view_that_stays_is_not_prepared_again() -> None:
    counted = 0

    class Counting(tuple[Any, ...]):
        def __iter__(self) -> Any:
            nonlocal counted
            counted += 1
            return super().__iter__()

    big = view(many(50))
    assert big.snapshot is not None
    snapshot: Snapshot = replace(big.snapshot, subscriptions=Counting(big.snapshot.subscriptions))
    api = Api([replace(big, snapshot=snapshot), view(many(1, cluster="mail"), cluster="mail")])
    api.ids("subscriptions")
    before = counted
    api.ids("subscriptions")
    api.views[1] = view([subscription("other", "mail")], cluster="mail")
    assert id_of("other", "mail") in api.ids("subscriptions")
    assert counted == before
