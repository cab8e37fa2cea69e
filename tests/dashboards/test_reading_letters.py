"""How one dead letter is read: bodies, headers, expressions. Pure functions."""

import base64
import json
from datetime import UTC
from typing import Any

import jmespath  # type: ignore[import-untyped]
import pytest

from dashboards.components.groups import make_examples, quote_text, select_text
from dashboards.components.message import (
    header_rows,
    in_cell,
    letter_row,
    read_body,
    stacktrace,
    visible_lines,
    without_empty,
)
from tests.dashboards.fake_monitor import make_letter

NOW = 1_700_000_000.0


def letter(**changes: Any) -> Any:
    return make_letter(**changes)


def header(name: str, value: str | None, encoding: str | None = "utf-8") -> dict[str, Any]:
    return {"name": name, "value": value, "encoding": encoding, "kind": None}


def test_json_is_laid_out_and_says_nothing_of_it() -> None:
    body = read_body(letter(value='{"a":[1,"ä"]}'))
    assert (body.text, body.language, body.note) == ('{\n  "a": [\n    1,\n    "ä"\n  ]\n}', "json", "")


def test_what_is_no_json_is_shown_as_it_is() -> None:
    for text in ('{"cut": "sho', "plain", "[" * 100_000):
        body = read_body(letter(value=text))
        assert body.language is None
        assert body.text.startswith(text[:10])
        assert "it is no JSON" in body.note


def test_an_envelope_of_sns_is_opened_in_body_and_table() -> None:
    one = letter(value=json.dumps({"Type": "Notification", "Message": '{"order": 1}', "TopicArn": "arn"}))
    assert json.loads(read_body(one).text) == {"order": 1}
    assert letter_row(one, NOW, UTC)["Body"] == '{"order": 1}'


def test_bytes_are_shown_in_hexadecimal_with_what_is_readable() -> None:
    data = bytes(range(256)) * 8
    body = read_body(letter(value=base64.b64encode(data).decode(), value_encoding="base64"))
    assert body.text.splitlines()[2].startswith("000020  20 21 22")
    assert body.text.splitlines()[2].endswith(" !\"#$%&'()*+,-./")
    assert body.text.splitlines()[-1] == "… and 1,024 bytes more"


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"value": None}, "No body: the value is null"),
        ({"value": ""}, "The body is empty."),
        ({"value": None, "note": "bodies are for those who may see them"}, "bodies are for those who may see them"),
        ({"value": "abc", "value_cut": True, "value_bytes": 70_000}, "Only the beginning of 70,000 bytes is shown."),
    ],
)
def test_what_is_missing_of_a_body_is_said(changes: dict[str, Any], note: str) -> None:
    assert read_body(letter(**changes)).note.startswith(note)


def test_numbers_that_frameworks_write_as_bytes_are_numbers() -> None:
    stamp = base64.b64encode(int(NOW * 1000).to_bytes(8, "big")).decode()
    rows = header_rows(
        letter(
            headers=[
                header("kafka_dlt-original-partition", "\0\0\0\5"),
                header("kafka_dlt-original-timestamp", stamp, "base64"),
                header("x-offset", "1234"),
                header("x-null", None, None),
                header("x-other", "\0\0\0\5"),
            ],
            properties={"delivery_mode": 2},
        )
    )
    values = [row["Value"] for row in rows]
    assert values[:4] == ["5", "1700000000000 (2023-11-14 22:13:20 UTC)", "1234", "null"]
    assert "\0" not in values[4]
    assert rows[5] == {"Name": "delivery_mode", "Value": "2", "Type": "property"}


def test_nothing_that_acts_is_left_in_texts_of_several_lines() -> None:
    shown = visible_lines("one\r\n\ttwo\x1b[31m\n\u202ethree")
    assert shown.count("\n") == 2
    assert not any(character in shown for character in "\r\x1b\u202e\t")
    assert in_cell("a\n b\t c" * 200, 20) == "a b ca b ca b ca b …"
    assert stacktrace(letter(headers=[header("x-exception-stacktrace", "a\n b\x07")])).startswith("a\n b")


def test_columns_in_which_nothing_is_known_take_no_room() -> None:
    rows = [letter_row(letter(enqueued_at=None, key=None, attempts=None), NOW, UTC)]
    assert {"Dead since", "Key", "Tried"}.isdisjoint(without_empty(rows)[0])
    assert without_empty([]) == []


@pytest.mark.parametrize("text", ["it's", '`back` "quoted"', "\\", "ä\u202e\n", "'; || `true`"])
def test_whatever_is_searched_for_is_a_literal_of_the_language(text: str) -> None:
    assert jmespath.search(quote_text(text), {}) == text
    for document, found in (({"text": f"x{text}y"}, True), ({"text": "other", "key": None}, False)):
        assert jmespath.search(select_text(text), document) is found


def test_examples_are_expressions_that_fit_the_messages() -> None:
    one = letter(value='{"order": {"id": "o-1", "total cents": 5}}')
    seen = {"body": json.loads(one["value"]), "exception": one["exception"], "attempts": 3, "age_seconds": 1,
            "headers": {it["name"]: it["value"] for it in one["headers"]}}  # fmt: skip
    found = {it.label: jmespath.search(it.expression, seen) for it in make_examples([one])}
    assert found["died of MissingField"] is True
    assert found["id is o-1"] is True
    assert found["header event_type is OrderCreated"] is True
    assert found["total cents above 5"] is False
