"""What the catalog adds to causes of death: field, versions, patch, whom it concerns, and the advice."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.catalog.model import EventName
from monitor.catalog.schemas import Schemas
from monitor.clock import Clock
from monitor.config import Configuration
from monitor.errors import ConfigurationError
from monitor.letters import DeadMessage
from monitor.model import FoundBy, Origin
from monitor.redrive.fits import Grounds
from monitor.redrive.grouping import Context, tell_causes, tell_groups
from monitor.redrive.messages import tell_decoded
from monitor.redrive.patching import BodyPatch
from tests.unit.catalog.documents import PLAIN, change

FILE = Path(__file__).parents[3] / "config" / "catalog.yml"
SCHEMAS = Schemas(Configuration(catalog=str(FILE)), Clock())
CONTEXT = Context(1000.0, grounds=Grounds(SCHEMAS, "orders", ("order-events",)))


def letter(body: Any, exception: str = "", message: str = "", **more: Any) -> DeadMessage:
    value = body if isinstance(body, bytes) else json.dumps(body).encode()
    origin = Origin("order-events", FoundBy.HEADERS)
    found = DeadMessage("0:1", {}, None, value, enqueued_at=900.0, origin=origin)
    return replace(found, exception=exception, exception_message=message, **more)


def example(version: str) -> Any:
    assert SCHEMAS.catalog is not None
    return deepcopy(SCHEMAS.catalog.events[EventName("OrderCreated", version)].examples[0])


def group(*letters: DeadMessage, hidden: tuple[str, ...] = (), context: Context = CONTEXT) -> dict[str, Any]:
    (found,) = tell_groups(letters, hidden, context)
    return found


def test_a_new_version_is_told_with_a_patch_that_makes_its_messages_fit() -> None:
    dead = letter(example("2"), "shop.events.UnknownVersion", "OrderCreated version 2 is unknown; known: 1")
    found = group(dead)
    assert (found["schema"]["wrote"], found["schema"]["known"], found["schema"]["fits"]) == ("2", ["1"], "2")
    assert found["advice"]["action"] == "transform_and_redrive"
    patched = BodyPatch(found["schema"]["patch"]).apply(dead.value)
    after = group(replace(dead, value=patched))
    assert (after["schema"]["wrote"], after["schema"]["violations"]) == ("1", [])


def test_a_missing_field_is_named_with_what_was_expected() -> None:
    body = example("1")
    del body["data"]["customer_email"]
    found = group(letter(body, "shop.events.MissingField", "data.customer_email is missing"))
    assert (found["subject"], found["expected"], found["found"]) == ("data.customer_email", "a value", "nothing")
    assert (found["schema"]["patch"], found["advice"]["action"]) == (None, "redrive_after_fix")


def test_what_nobody_said_anything_about_is_judged_by_the_catalog() -> None:
    body = example("1")
    body["data"]["total_cents"] = "a lot"
    found = group(letter(body))
    assert (found["kind"], found["certainty"], found["subject"]) == ("schema_violation", "likely", "data.total_cents")
    assert found["evidence"] == [{"where": "body", "text": "does not fit OrderCreated 1 of the catalog"}]
    (planned,) = tell_causes([letter(body)], CONTEXT)
    assert (planned["group"], planned["kind"]) == (found["id"], "schema_violation")


def test_what_was_only_tried_too_often_is_judged_by_the_catalog_as_well() -> None:
    body = example("1")
    body["data"]["total_cents"] = "a lot"
    queue = "arn:aws:sqs:us-east-1:000000000000:NotificationQueue"
    told = {"DeadLetterQueueSourceArn": queue, "ApproximateReceiveCount": "6"}
    dead = letter(body, properties=told)
    assert group(dead, context=Context(1000.0))["kind"] == "too_many_attempts"
    found = group(dead)
    assert (found["kind"], found["subject"]) == ("schema_violation", "data.total_cents")
    assert found["evidence"][0]["text"] == "does not fit OrderCreated 1 of the catalog"


def test_what_sns_wraps_is_held_against_the_catalog_and_not_patched() -> None:
    wrapped = {"Type": "Notification", "TopicArn": "arn:aws:sns:eu:1:t", "Message": json.dumps(example("2"))}
    found = group(letter(wrapped, "shop.events.UnknownVersion", "OrderCreated version 2 is unknown; known: 1"))
    assert (found["schema"]["wrote"], found["schema"]["known"]) == ("2", ["1"])
    assert found["advice"]["action"] == "redrive_after_fix"
    assert "rewrites plain JSON alone" in found["schema"]["notes"][0]


def test_the_id_of_a_group_does_not_depend_on_the_catalog() -> None:
    dead = letter(example("2"), "shop.events.UnknownVersion", "OrderCreated version 2 is unknown; known: 1")
    assert group(dead)["id"] == group(dead, context=Context(1000.0))["id"]


def test_whom_it_concerns_is_told_with_owners_and_events() -> None:
    dead = letter(example("1"), "java.net.ConnectException", "refused", origin_detail={"group": "inventory-group"})
    impact = group(dead)["impact"]
    assert impact["services"] == [{"name": "inventory", "owner": "warehouse"}]
    assert impact["events"] == [{"name": "OrderCreated", "messages": 1}]
    assert impact["state"] == "waiting"


def test_what_cannot_be_read_by_anybody_is_lost_to_its_readers() -> None:
    impact = group(letter(b'{"event_id": "a", "ty'))["impact"]
    assert (impact["state"], impact["events"]) == ("lost", [])
    assert [it["name"] for it in impact["services"]] == ["notification", "inventory"]


@pytest.mark.parametrize("hidden", [("",), ("/body/data/customer_email",), ("/exception_message",)])
def test_whoever_may_not_see_bodies_sees_nothing_that_they_tell(hidden: tuple[str, ...]) -> None:
    dead = letter(example("2"), "shop.events.UnknownVersion", "OrderCreated version 2 is unknown; known: 1")
    found = group(dead, hidden=hidden)
    assert found["schema"] is None
    assert found["impact"]["events"] == []
    assert tell_decoded(dead, hidden, SCHEMAS) == {"value_decoded": None, "value_schema": None, "value_note": None}


def test_two_versions_in_one_group_get_no_common_patch() -> None:
    said = ("shop.events.BadEvent", "no")
    found = group(letter(example("2"), *said), letter(example("1"), *said), letter(example("2"), *said))
    assert (found["schema"]["wrote"], found["schema"]["patch"]) == ("2", None)


def test_without_a_catalog_nothing_is_added() -> None:
    found = group(letter(example("2")), context=Context(1000.0))
    assert (found["schema"], found["impact"]) == (None, None)


def test_a_catalog_with_mistakes_is_refused_and_the_one_before_stays(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yml"
    file.write_text(PLAIN)
    schemas = Schemas(Configuration(catalog=str(file)), Clock())
    file.write_text(change("action: send", "action: sends"))
    with pytest.raises(ConfigurationError, match="sends"):
        schemas.reconfigure(Configuration(catalog=str(file)))
    assert schemas.catalog is not None
    assert schemas.catalog.title == "Shop"
