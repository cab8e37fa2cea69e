import pytest

from monitor.brokers.aws.filters import drops_everything


@pytest.mark.parametrize(
    "policy",
    [
        {"eventType": []},
        {"eventType": ["OrderCreated"], "amount": [{"numeric": [">", 10, "<", 5]}]},
        {"amount": [{"numeric": [">=", 5, "<", 5]}]},
        {"event type": ["OrderCreated"]},
        {".eventType": ["OrderCreated"]},
        {"event..type": [{"prefix": "Order"}]},
        {"$or": [{"a": []}, {"b": []}]},
    ],
)
def test_an_impossible_policy_drops_everything(policy: object) -> None:
    assert drops_everything(policy)


@pytest.mark.parametrize(
    "policy",
    [
        None,
        {},
        {"eventType": ["OrderCreated"]},
        {"eventType": [{"exists": False}]},
        {"event type": [{"exists": False}]},
        {"event type": ["OrderCreated", {"exists": False}]},
        {"amount": [{"numeric": [">=", 5, "<=", 5]}]},
        {"amount": [{"numeric": ["=", 5]}]},
        {"amount": [{"numeric": [">", 10, "<", 5]}, {"exists": True}]},
        {"eventType": [{"anything-but": ["OrderCreated"]}]},
        {"$or": [{"a": []}, {"b": ["1"]}]},
    ],
)
def test_a_policy_that_some_message_can_pass_does_not(policy: object) -> None:
    assert not drops_everything(policy)


def test_keys_of_a_body_nest_and_have_any_name() -> None:
    assert not drops_everything({"event type": ["OrderCreated"]}, "MessageBody")
    assert not drops_everything({"order": {"kind": ["new"]}}, "MessageBody")
    assert drops_everything({"order": {"kind": []}}, "MessageBody")
