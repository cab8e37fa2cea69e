"""What whoever may not see bodies sees instead."""

import json

import pytest

from monitor.config import MaskingRule
from monitor.letters import DeadMessage, Header
from monitor.redrive.masking import EVERYTHING, mask, rule_for
from monitor.redrive.messages import tell_message

BODY = {"card": {"number": "4111", "name": "Ada"}, "lines": [{"iban": "DE1", "n": 1}, {"iban": "DE2"}], "a/b": "x"}
MESSAGE = DeadMessage(
    position="0:1",
    coordinates={"offset": 1},
    key=b"customer-7",
    value=json.dumps(BODY).encode(),
    headers=(Header("Authorization", b"secret"), Header("region", b"eu"), Header("authorization", b"again")),
    properties={"user_id": "ada", "priority": 3},
    exception="java.lang.X",
    exception_message="no such customer Ada",
    raw=b"secret",
)
SECRETS = ("4111", "Ada", "DE1", "DE2", "customer-7", "secret", "again", "ada")


def body_of(*hidden: str) -> object:
    return json.loads(mask(MESSAGE, hidden).value or b"")


def test_fields_are_hidden_by_their_path_and_the_rest_stays() -> None:
    assert body_of("/body/card/number") == {**BODY, "card": {"number": "***", "name": "Ada"}}
    assert body_of("/body/lines/*/iban")["lines"] == [{"iban": "***", "n": 1}, {"iban": "***"}]  # type: ignore[index]
    assert body_of("/body/lines/1")["lines"][1] == "***"  # type: ignore[index]
    assert body_of("/body/a~1b")["a/b"] == "***"  # type: ignore[index]
    assert body_of("/body/nothing/there") == BODY


def test_headers_are_hidden_whatever_their_case_and_however_often() -> None:
    shown = mask(MESSAGE, ("/headers/authorization", "/properties/user_id", "/key", "/exception_message"))
    assert [header.value for header in shown.headers] == [b"***", b"eu", b"***"]
    assert (shown.key, shown.properties, shown.exception_message) == (b"***", {"user_id": "***", "priority": 3}, "***")


@pytest.mark.parametrize("value", [b"card 4111", b"\xff4111", b'{"card": 4111', b"[" * 100_000])
def test_a_body_that_cannot_be_read_is_hidden_as_a_whole(value: bytes) -> None:
    message = DeadMessage("1", {}, None, value)
    assert mask(message, ("/body/card",)).value == b"***"
    assert mask(message, ("/headers/x",)).value == value


def test_where_no_rule_matches_everything_is_hidden() -> None:
    rules = [MaskingRule(queue="orders/*", hide=["/body/card"]), MaskingRule(queue="*", hide=["/body"])]
    assert rule_for("orders/dead", rules) == ("/body/card",)
    assert rule_for("mail/dead", rules) == ("/body",)
    assert rule_for("mail/dead", rules[:1]) == EVERYTHING
    told = tell_message(MESSAGE, EVERYTHING)
    assert told["note"]
    assert told["value_bytes"] == len(MESSAGE.value or b"")
    assert not [secret for secret in SECRETS if secret in json.dumps(told)]


def test_whoever_may_see_all_sees_all() -> None:
    assert mask(MESSAGE, ()) is MESSAGE
    assert tell_message(MESSAGE)["note"] is None
