"""Edits of bodies: what they make of a message, and what they leave alone."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import BadRequest
from monitor.letters import DeadMessage, Header, Job, Outcome, Outgoing, PlanRequest, Refusal
from monitor.redrive.choosing import Edits, make_chooser
from monitor.redrive.editing import Editor, digest_of
from monitor.redrive.messages import tell_sample
from monitor.redrive.patching import BodyPatch, DoesNotApply

SET_STATUS = {"op": "replace", "path": "/status", "value": "new"}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_operations_are_done_in_their_order() -> None:
    patch = BodyPatch(
        [SET_STATUS, {"op": "add", "path": "/tags/-", "value": "again"}, {"op": "remove", "path": "/old"}]
    )
    assert patch.apply(b'{"status": "bad", "tags": ["a"], "old": 1}') == b'{"status":"new","tags":["a","again"]}'


def test_one_message_never_leaves_something_in_the_next() -> None:
    patch = BodyPatch([{"op": "add", "path": "/list", "value": []}, {"op": "add", "path": "/list/-", "value": 1}])
    assert [patch.apply(b"{}") for _ in range(2)] == [b'{"list":[1]}'] * 2


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"op": "nope", "path": "/a"}, "patch[1]: Unknown operation"),
        ({"path": "/a"}, "patch[1]: "),
        ({"op": "add", "path": "a", "value": 1}, "patch[1]: `path` is no JSON pointer"),
        ({"op": "add", "path": 3, "value": 1}, "patch[1]: "),
        ({"op": "add", "path": "/a"}, "patch[1]: add needs `value`"),
        ({"op": "move", "path": "/a"}, "patch[1]: move needs `from`"),
        ({"op": "copy", "path": "/a", "from": "b"}, "patch[1]: `from` is no JSON pointer"),
    ],
)
def test_a_malformed_patch_is_refused_with_its_place(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(BadRequest) as refused:
        Editor(PlanRequest("k/q", patch=(SET_STATUS, wrong)))
    assert str(refused.value).startswith(told)
    assert refused.value.members["position"] == 1


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"<xml/>",
        b"\x00\x00\x00\x00\x07Avro",
        '{"status": "ä"}'.encode("latin-1"),
        '{"status": 1}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"status": "' + b"x" * 5_000_000 + b'"}',
        b'{"other": 1}',
        b"[]",
        b'"secret"',
        b'{"status": 1, "twice": 1, "twice": 2}',
        b'{"status": 1, "exact": 0.1234567890123456789}',
        b'{"status": 1, "huge": 1e999}',
        b'{"status": NaN}',
    ],
)
def test_what_the_patch_does_not_apply_to_is_skipped_and_says_why_without_its_content(value: bytes | None) -> None:
    job = Job("j", PlanRequest("k/q", patch=(SET_STATUS,)), "q", "t", {})
    choice = make_chooser(job, lambda: 0.0)(DeadMessage("1", {}, None, value))
    assert isinstance(choice, Refusal)
    assert choice.outcome == Outcome.SKIPPED
    assert choice.reason
    assert "secret" not in choice.reason


def test_a_test_that_does_not_hold_tells_no_value() -> None:
    patch = BodyPatch([{"op": "test", "path": "/iban", "value": "DE1"}])
    with pytest.raises(DoesNotApply) as refused:
        patch.apply(b'{"iban": "DE2"}')
    assert "DE" not in str(refused.value)


def test_a_patch_that_multiplies_is_given_up() -> None:
    copies = [{"op": "copy", "from": "", "path": f"/{n}"} for n in range(40)]
    with pytest.raises(DoesNotApply, match="too much"):
        BodyPatch(copies).apply(b'{"a": "' + b"x" * 1000 + b'"}')


@given(body=JSON)
def test_whatever_is_not_named_by_a_patch_stays(body: Any) -> None:
    value = json.dumps({"status": 1, "rest": body}).encode()
    assert json.loads(BodyPatch([SET_STATUS]).apply(value)) == {"status": "new", "rest": body}


def test_an_edit_is_kept_with_its_original_and_hashes_that_tell_both_apart() -> None:
    request = PlanRequest("k/q", patch=(SET_STATUS,), set_headers={"why": "again"}, remove_headers=("old",))
    message = DeadMessage("1", {}, None, b'{"status":0}', (Header("old", b"1"), Header("kept", b"2")))
    edits = Edits()
    choice = make_chooser(Job("j", request, "q", "t", {}), lambda: 0.0, edits)(message)
    assert isinstance(choice, Outgoing)
    assert choice.message.headers == (Header("kept", b"2"), Header("why", b"again"))
    (edit,) = edits.take()
    assert edit.original is message
    assert (edit.before_sha256, edit.after_sha256) == (digest_of(message), digest_of(choice.message))
    assert edit.before_sha256 != edit.after_sha256
    assert edits.take() == []


def test_a_sample_shows_before_and_after_or_why_it_would_be_skipped() -> None:
    editor = Editor(PlanRequest("k/q", patch=(SET_STATUS,)))
    fits = tell_sample(DeadMessage("1", {}, None, b'{"status":0}'), editor, (), 100)
    assert (fits["value"], fits["after"]["value"], fits["skipped"]) == ('{"status":0}', '{"status":"new"}', None)
    not_fitting = tell_sample(DeadMessage("1", {}, None, b"text"), editor, (), 100)
    assert not_fitting["after"] is None
    assert "no JSON" in not_fitting["skipped"]
