"""Groups as the API tells them: numbers, makers, what changed near the first one, what earlier jobs taught."""

from dataclasses import replace
from typing import Any

import pytest

from monitor.analysis.causes import cause_of
from monitor.letters import DeadMessage, Header
from monitor.model import Status
from monitor.redrive.grouping import MARK, STATUS, Change, Context, Reader, tell_causes, tell_groups
from tests.unit.causes.labelled import letter_of

ORDERS = Reader("k/g/orders", "orders", "g", Status.OK)
OTHER = Reader("k/other/orders", "orders", "other", Status.STOPPED)


def failed(place: int, at: float, said: str = "'email' is a required property", **headers: str) -> DeadMessage:
    told = [("x-original-topic", "orders"), ("x-exception-fqcn", "shop.Bad"), ("x-exception-message", said)]
    return letter_of([*told, *headers.items()], place=place, at=at)


def tell(*messages: DeadMessage, hidden: tuple[str, ...] = (), **known: Any) -> dict[str, Any]:
    (group,) = tell_groups(messages, hidden, Context(2_000.0, **known))
    return group


def test_a_group_says_how_many_since_when_and_how_fast() -> None:
    group = tell(failed(1, 1_000.0), failed(2, 1_010.0), failed(3, 1_020.0))
    assert (group["messages"], group["first_at"], group["last_at"]) == (3, 1_000.0, 1_020.0)
    assert group["per_second"] == pytest.approx(0.1)
    assert (group["kind"], group["certainty"], group["subject"]) == ("schema_violation", "likely", "email")
    assert group["positions"] == ["0:1", "0:2", "0:3"]
    assert tell(failed(1, 1_000.0))["per_second"] is None


def test_a_group_says_who_made_the_messages_and_who_failed_at_them() -> None:
    by = {"ce_source": "/checkout", "ce_type": "order.created", "ce_dataschema": "http://s/2", "x-app-version": "1.4"}
    consumer = {"kafka_dlt-original-consumer-group": "g"}
    group = tell(failed(1, 1.0, **by, **consumer), failed(2, 2.0, **by), failed(3, 3.0))
    assert group["producers"] == [{"name": "/checkout", "version": "1.4", "messages": 2}]
    assert (group["types"], group["schemas"], group["consumers"]) == (["order.created"], ["http://s/2"], ["g"])
    assert tell(failed(1, 1.0), readers=(ORDERS,))["consumers"] == ["k/g/orders"]


def test_what_changed_near_the_first_one_is_told_and_what_did_not_concern_it_is_not() -> None:
    changes = (
        Change(50.0, STATUS, ORDERS.id, "long before"),
        Change(900.0, MARK, "deploy billing", "1.5"),
        Change(990.0, STATUS, ORDERS.id, "it stalled"),
        Change(995.0, STATUS, "k/g/payments", "another"),
        Change(1_500.0, STATUS, ORDERS.id, "long after"),
    )
    group = tell(failed(1, 1_000.0), readers=(ORDERS,), changes=changes)
    assert [(it["subject"], it["before_seconds"]) for it in group["changes"]] == [
        (ORDERS.id, 10.0), ("deploy billing", 100.0),
    ]  # fmt: skip


def test_only_the_reader_that_failed_is_judged_where_the_messages_name_it() -> None:
    down = "Connection refused"
    named = replace(failed(1, 1.0, down), origin_detail={"group": "g"})
    assert tell(named, readers=(ORDERS, OTHER))["advice"]["action"] == "redrive"
    assert tell(failed(1, 1.0, down), readers=(ORDERS, OTHER))["advice"]["action"] == "redrive_after_fix"


def test_what_carries_the_stamp_of_a_redrive_came_back() -> None:
    stamped = replace(failed(1, 1.0), headers=(*failed(1, 1.0).headers, Header("x-redrive-job", b"j")))
    group = tell(stamped, failed(2, 2.0))
    assert (group["came_back"], group["advice"]["action"]) == (1, "do_not")


def test_whoever_may_not_see_bodies_sees_kind_and_advice_and_no_text() -> None:
    message = failed(1, 1.0, "'secret' is a required property", ce_source="secret")
    for hidden in (("",), ("/exception_message", "/headers/*")):
        group = tell(message, hidden=hidden)
        assert "secret" not in str(group)
        assert (group["id"], group["kind"]) == (cause_of(message).id, "schema_violation")
        assert group["advice"]["action"] == "redrive_after_fix"


def test_a_plan_keeps_causes_without_anything_that_messages_say() -> None:
    (cause,) = tell_causes([failed(1, 1.0, "'secret' is a required property")], Context(2.0))
    assert "secret" not in str(cause)
    assert (cause["kind"], cause["messages"], cause["advice"]["action"]) == (
        "schema_violation", 1, "redrive_after_fix",
    )  # fmt: skip


def test_letters_of_two_faults_are_two_groups_and_the_larger_stands_first() -> None:
    groups = tell_groups([failed(1, 1.0, "a"), failed(2, 1.0, "b 7"), failed(3, 1.0, "b 8")], (), Context(2.0))
    assert [(it["message"], it["messages"]) for it in groups] == [("b <n>", 2), ("a", 1)]


def test_without_time_for_more_the_largest_groups_of_what_was_judged_are_told() -> None:
    messages = [failed(1, 1.0, "a"), failed(2, 1.0, "b 7"), failed(3, 1.0, "b 8"), failed(4, 1.0, "c")]
    in_time = iter([True] * 3)
    groups = tell_groups(messages, (), Context(2.0), lambda _: next(in_time, False))
    assert [it["messages"] for it in groups] == [2, 1]
    in_time = iter([True] * 3)  # for the first group and its messages
    assert [
        it["messages"] for it in tell_groups(messages, (), Context(2.0), telling=lambda _: next(in_time, False))
    ] == [2]
    assert tell_causes(messages, Context(2.0), telling=lambda _: False) == []
