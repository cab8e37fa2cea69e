"""Where a dead letter goes: back to where it says it comes from, or nowhere without evidence."""

import pytest

from monitor.brokers.aws.access import Look, split_target
from monitor.brokers.aws.client import Missing
from monitor.brokers.aws.messages import Limits, Unsendable, read_message
from monitor.brokers.aws.routing import EACH_ORIGIN, Router
from monitor.letters import DeadMessage
from tests.unit.aws.builders import arn, queue

ROUTES = {arn("a"): arn("a"), arn("b"): arn("b")}


def look(name: str) -> Look:
    bare = name.rpartition(":")[2]
    if bare == "gone":
        raise Missing("it does not exist")
    return Look(queue(bare), Limits(False), 0.0)


def message(source: str | None) -> DeadMessage:
    system = {"DeadLetterQueueSourceArn": arn(source)} if source else {}
    return read_message({"MessageId": "m", "Body": "b", "Attributes": system}, 60.0)  # type: ignore[typeddict-item]


def route(target: str, source: str | None, routes: dict[str, str] = ROUTES, *, chosen: bool = False) -> str | None:
    found = Router(target, routes, look, chosen=chosen).target_of(message(source))
    return None if isinstance(found, Unsendable) else found.name


def test_each_goes_to_its_own_origin_also_one_that_was_not_known_before() -> None:
    assert [route(EACH_ORIGIN, source) for source in ("a", "b", "c", None)] == ["a", "b", "c", None]


def test_one_of_another_origin_is_not_sent_to_the_only_target() -> None:
    only = {arn("a"): arn("a")}
    assert [route("a", source, only) for source in ("a", "b", None)] == ["a", None, "a"]


def test_a_chosen_target_gets_everything() -> None:
    assert [route("z", source, chosen=True) for source in ("a", "b", None)] == ["z"] * 3


def test_a_target_that_is_gone_is_a_refusal() -> None:
    assert route("gone", "a", chosen=True) is None


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("work", ("work", None)),
        ("aws/work", ("work", None)),
        ("other/work", None),
        ("arn:aws:sqs:us-east-1:42:work", ("work", "42")),
        ("arn:aws:sqs:eu-west-1:42:work", None),
        ("arn:aws:sns:us-east-1:42:topic", None),
        ("", None),
    ],
)
def test_a_target_is_a_name_an_id_or_an_arn_of_the_region(target: str, expected: tuple[str, str | None] | None) -> None:
    assert split_target(target, "aws", "us-east-1") == expected
