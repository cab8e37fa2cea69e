import json
from datetime import UTC, datetime
from typing import Any

import pytest

from examples.event_flow.events import event_id, read, to_bytes, to_document
from examples.event_flow.schemas import (
    BadEvent,
    MissingField,
    UnknownType,
    UnknownVersion,
    Unparseable,
    WrongType,
    validators,
)
from examples.event_flow.shop import SCHEMA_CHANGES, order_created, payment_processed, purchases

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def healthy() -> dict[str, Any]:
    return to_document(order_created(next(purchases(1, 0.0)), NOW))


def test_an_event_is_read_as_it_was_written() -> None:
    purchase = next(purchases(1, 0.0))
    for event in (order_created(purchase, NOW), payment_processed(purchase, NOW)):
        assert read(to_bytes(to_document(event))) == event


def test_an_event_has_id_type_version_time_and_data() -> None:
    document = healthy()
    assert list(document) == ["event_id", "type", "schema_version", "time", "data"]
    assert (document["type"], document["schema_version"]) == ("OrderCreated", 1)
    assert document["time"] == "2026-01-31T12:00:00+00:00"


def test_the_same_fact_has_the_same_event_id_and_another_fact_another() -> None:
    assert event_id("ord-1", "OrderCreated") == event_id("ord-1", "OrderCreated")
    assert len({event_id("ord-1", "OrderCreated"), event_id("ord-2", "OrderCreated"), event_id("ord-1", "Paid")}) == 3


def test_fields_that_a_newer_producer_adds_are_ignored() -> None:
    document = healthy()
    document["trace"] = "abc"
    document["data"]["gift_wrap"] = True
    assert read(to_bytes(document)).id == document["event_id"]


@pytest.mark.parametrize(
    ("payload", "kind", "words"),
    [
        (b"", Unparseable, "no JSON"),
        (b"\xff\xfe\x00", Unparseable, "no JSON"),
        (b'{"event_id": "1', Unparseable, "no JSON"),
        (b"[1, 2]", Unparseable, "no JSON object"),
        (b"null", Unparseable, "no JSON object"),
        (b"{}", MissingField, "type is missing"),
        (b'{"type": NaN}', Unparseable, "no JSON"),
        (b'{"type": "\\ud800"}', Unparseable, "no JSON"),
        (b"[" * 100_000, Unparseable, "no JSON"),
    ],
)
def test_a_payload_that_is_no_event_is_told_for_what_it_is(payload: bytes, kind: type[BadEvent], words: str) -> None:
    with pytest.raises(kind, match=words):
        read(payload)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"type": "OrderShipped"}, UnknownType, "no schema for events of type OrderShipped"),
        ({"schema_version": 2}, UnknownVersion, "OrderCreated version 2 is unknown; known: 1"),
        ({"schema_version": "1"}, WrongType, "schema_version must be integer, found string"),
        ({"time": "2026-01-31T12:00:00"}, WrongType, "time must have format date-time"),
        ({"schema_version": True}, WrongType, "schema_version must be integer, found boolean"),
        ({"event_id": "7"}, WrongType, "event_id must have format uuid"),
        ({"data": []}, WrongType, "data must be object, found array"),
    ],
)
def test_a_wrong_envelope_names_the_field(changes: dict[str, Any], kind: type[BadEvent], words: str) -> None:
    with pytest.raises(kind, match=words):
        read(to_bytes(healthy() | changes))


def test_a_wrong_field_inside_the_data_is_named_by_its_path() -> None:
    document = healthy()
    document["data"]["items"][0]["quantity"] = "3"
    with pytest.raises(WrongType, match=r"^data\.items\.0\.quantity must be integer, found string$"):
        read(to_bytes(document))


def test_an_error_does_not_quote_the_payload() -> None:
    document = healthy()
    document["data"]["customer_email"] = ["somebody@example.com"]
    with pytest.raises(WrongType) as caught:
        read(json.dumps(document).encode())
    assert "somebody" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_limits_of_the_schema_hold() -> None:
    document = healthy()
    document["data"]["items"][0]["quantity"] = 0
    with pytest.raises(WrongType, match=r"^data\.items\.0\.quantity must have minimum 1, found another integer$"):
        read(to_bytes(document))


def test_every_version_of_the_catalog_can_be_read_and_what_is_read_fits_it() -> None:
    purchase = next(purchases(1, 0.0))
    order, paid = (to_document(it(purchase, NOW)) for it in (order_created, payment_processed))
    written = [order, SCHEMA_CHANGES["breaking"](order), paid]
    assert [read(to_bytes(it), newest_version=2).id for it in written] == [it["event_id"] for it in written]
    assert {(it["type"], it["schema_version"]) for it in written} == {
        (kind, version) for kind, versions in validators().items() for version in versions
    }


def test_a_new_version_is_read_as_the_old_one_by_those_that_know_it_and_by_nobody_else() -> None:
    purchase = next(purchases(1, 0.0))
    document = to_document(order_created(purchase, NOW))
    payload = to_bytes(SCHEMA_CHANGES["breaking"](document))
    with pytest.raises(UnknownVersion, match="OrderCreated version 2 is unknown; known: 1"):
        read(payload)
    assert read(payload, newest_version=2).data == purchase.order


def test_a_compatible_change_of_a_schema_is_read_by_everybody() -> None:
    purchase = next(purchases(1, 0.0))
    document = SCHEMA_CHANGES["compatible"](to_document(order_created(purchase, NOW)))
    assert "gift_note" in document["data"]
    assert read(to_bytes(document)).data == purchase.order
