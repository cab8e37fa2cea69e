"""Which policies hold for a queue, where the broker does not say it."""

from typing import Any

from monitor.brokers.rabbitmq.policies import merged, with_policies
from tests.unit.rabbitmq.builders import queue


def policy(name: str, pattern: str, definition: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"vhost": "/", "name": name, "pattern": pattern, "definition": definition, **more}


def test_the_matching_policy_with_the_highest_priority_holds() -> None:
    policies = [
        policy("low", "^orders", {"max-length": 1}, priority=0),
        policy("high", "orders", {"message-ttl": 2}, priority=9),
        policy("other", "^stock", {"message-ttl": 3}, priority=10),
        policy("elsewhere", ".*", {"message-ttl": 4}, priority=11) | {"vhost": "v"},
    ]
    found = with_policies(queue("orders.eu"), policies, [])
    assert (found.policy, found.definition) == ("high", {"message-ttl": 2})


def test_a_policy_for_another_type_does_not_hold() -> None:
    policies = [policy("quorum", ".*", {"max-length": 1}, **{"apply-to": "quorum_queues"})]
    assert with_policies(queue("a"), policies, []).policy == ""
    assert with_policies(queue("a", queue_type="quorum"), policies, []).policy == "quorum"
    assert with_policies(queue("a"), [policy("x", ".*", {}, **{"apply-to": "exchanges"})], []).policy == ""


def test_an_operator_policy_holds_beside_the_other() -> None:
    found = with_policies(
        queue("a"),
        [policy("p", "a", {"message-ttl": 9, "overflow": "drop-head"})],
        [policy("o", "a", {"message-ttl": 5})],
    )
    assert (found.policy, found.operator_policy) == ("p", "o")
    assert found.definition == {"message-ttl": 5, "overflow": "drop-head"}


def test_of_two_limits_the_smaller_holds_and_else_the_operator_decides() -> None:
    assert merged({"max-length": 3}, {"max-length": 7, "overflow": "reject-publish"}) == {
        "max-length": 3,
        "overflow": "reject-publish",
    }


def test_a_pattern_that_cannot_be_read_matches_nothing() -> None:
    assert with_policies(queue("a"), [policy("odd", "(?<", {"max-length": 1})], []).policy == ""
