"""Ids in the path, however they were encoded on the way."""

from urllib.parse import quote

import pytest

from monitor.model import encode_id
from tests.unit.api.builders import Api, dead_letters, subscription, view

NAMES = ["plain", "with/slash", "with space", "100%", "%2F", "dots..", "a?b", "a#b", "ü/ß", "a+b", "a;b", "'\"<>"]


@pytest.mark.parametrize("name", NAMES)
def test_an_id_is_found_as_it_is_and_encoded_once_more(name: str) -> None:
    it = subscription(name)
    api = Api([view([it, subscription("other")])])
    for given in (it.id, quote(it.id, safe="")):
        answer = api.get(f"subscriptions/{given}")
        assert answer.status_code == 200, answer.text
        assert answer.json()["id"] == it.id
        assert answer.json()["destination"] == name


def test_a_part_that_paths_swallow_is_found_when_it_was_encoded_once_more() -> None:
    api = Api([view(dead=[dead_letters("..")])])
    assert api.get(f"dead-letters/{quote('orders/..', safe='')}").json()["queue"] == ".."


def test_every_id_of_a_list_leads_to_its_item() -> None:
    api = Api([view([subscription(name) for name in NAMES], dead=[dead_letters(name) for name in NAMES])])
    for path in ("subscriptions", "dead-letters"):
        ids = api.ids(path)
        assert len(ids) == len(NAMES)
        assert [api.get(f"{path}/{id_}").json()["id"] for id_ in ids] == ids


def test_a_slash_that_was_not_encoded_is_understood_where_that_leaves_one_choice() -> None:
    api = Api([view([subscription("a/b")])])
    assert api.get("subscriptions/orders/a/b-group/a/b").json()["id"] == encode_id("orders", "a/b-group", "a/b")


def test_a_slash_that_was_not_encoded_is_not_guessed_at() -> None:
    one, other = dead_letters("a/b"), dead_letters("b", cluster="orders/a")
    assert one.id != other.id
    api = Api([view(dead=[one]), view(dead=[other], cluster="orders/a")])
    assert api.get("dead-letters/orders/a/b").status_code == 404
    assert api.get(f"dead-letters/{one.id}").json()["id"] == one.id
    assert api.get(f"dead-letters/{other.id}").json()["id"] == other.id


def test_an_unknown_id_is_told_with_the_nearest_ones() -> None:
    api = Api([view([subscription(name) for name in ("payments", "payment-events", "mail")])])
    problem = api.get("subscriptions/orders/paymnts-group/paymnts")
    assert problem.status_code == 404
    assert problem.headers["content-type"] == "application/problem+json"
    body = problem.json()
    assert body["type"] == "urn:eventflow:problem:not-found"
    assert body["detail"] == "there is no subscription 'orders/paymnts-group/paymnts'"
    assert body["nearest"][0] == "orders/payments-group/payments"
    assert "orders/mail-group/mail" not in body["nearest"]


def test_an_unknown_id_that_resembles_nothing_has_no_nearest() -> None:
    assert Api([view([subscription("payments")])]).get("subscriptions/zzz").json()["nearest"] == []


@pytest.mark.parametrize("path", ["subscriptions/", "dead-letters/", "dead-letters/orders/x.dlq/messages"])
def test_what_is_no_id_is_not_found(path: str) -> None:
    assert Api([view(dead=[dead_letters("x.dlq")])]).get(path).status_code == 404


def test_a_very_long_id_is_answered_all_the_same() -> None:
    api = Api([view([subscription("payments")])])
    assert api.get(f"subscriptions/{'x/' * 20_000}").status_code == 404
