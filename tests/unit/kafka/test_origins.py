"""Which topics letters may be sent to, and which positions there can be."""

import pytest

from monitor.brokers.kafka.origins import Origins
from monitor.brokers.kafka.waiting import parse_position
from monitor.errors import BadRequest
from monitor.letters import LEDGER_TOPIC, DeadMessage
from monitor.model import FoundBy, Origin

INTERNAL = (LEDGER_TOPIC, "__consumer_offsets", "__transaction_state", "__share_group_state", "_schemas")
TOPICS = dict.fromkeys((*INTERNAL, "orders", "orders.dlq"), 1)


def letter_from(topic: str) -> DeadMessage:
    return DeadMessage("0:0", {}, None, b"", origin=Origin(topic, FoundBy.HEADERS))


@pytest.mark.parametrize("topic", INTERNAL)
def test_an_internal_topic_is_no_target_whoever_names_it(topic: str) -> None:
    asked = Origins("k", "orders.dlq", TOPICS, (), topic)
    asked.look_at([letter_from("orders")])
    forged = Origins("k", "orders.dlq", TOPICS, (), None)
    forged.look_at([letter_from(topic)])
    for found in (asked, forged):
        assert found.targets == []
        assert found.blockers == [f"The target {topic} is an internal topic, which no message may be sent to."]


def test_letters_whose_headers_name_an_internal_topic_stay_while_the_others_go() -> None:
    found = Origins("k", "orders.dlq", TOPICS, (), None)
    found.look_at([letter_from("orders"), letter_from("orders"), letter_from(LEDGER_TOPIC)])
    assert (found.targets, found.blockers) == (["orders"], [])
    assert "internal" in found.warnings[0]


@pytest.mark.parametrize("text", ["abc", "1", "1:", ":1", "-1:-5", "²:0", "٠:٠", "0:" + "9" * 19, "9" * 400 + ":0"])
def test_what_is_no_position_is_a_mistake_of_whoever_asks(text: str) -> None:
    assert parse_position("3:17") == (3, 17)
    with pytest.raises(BadRequest, match="is no position"):
        parse_position(text)
