import pytest

from monitor.brokers.naming import is_dead_by_name, is_retry_by_name, is_retry_on_cycle, strip_dead_suffix


@pytest.mark.parametrize(
    "name",
    [
        "o.dlq",
        "o-dlq",
        "o_dlq",
        "o.dlt",
        "o-dlt",
        "o_dlt",
        "o_error",
        "NotificationDLQ",
        "OrdersDLT",
        "o.DLT",
        "o-Dlq.fifo",
    ],
)
def test_dead_letter_endings_are_recognised_in_any_case(name: str) -> None:
    assert is_dead_by_name(name)


@pytest.mark.parametrize(
    "name", ["orders", "orders.errors", "error", "terror", "dlq-orders", "orders.dlq.old", "o.fifo", ""]
)
def test_other_names_are_not_taken_for_dead(name: str) -> None:
    assert not is_dead_by_name(name)


@pytest.mark.parametrize("name", ["orders-retry-0", "orders-retry-5000", "orders-RETRY-1", "o-retry-1.fifo"])
def test_a_numbered_retry_stage_is_one_by_its_name(name: str) -> None:
    assert is_retry_by_name(name)
    assert is_retry_on_cycle(name)
    assert not is_dead_by_name(name)


@pytest.mark.parametrize("name", ["orders-retry", "orders.retry", "orders.retry.5000", "orders_RETRY_1"])
def test_names_like_those_of_retry_queues_are_no_evidence_but_on_a_cycle(name: str) -> None:
    assert not is_retry_by_name(name)
    assert is_retry_on_cycle(name)


@pytest.mark.parametrize("name", ["retry", "orders-retry-policy", "orders-retry-dlt", "orders2"])
def test_other_names_are_not_taken_for_retry(name: str) -> None:
    assert not is_retry_by_name(name)
    assert not is_retry_on_cycle(name)


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("order-events.dlq", "order-events"),
        ("orders-retry-0_DLT", "orders-retry-0"),
        ("NotificationDLQ", "Notification"),
        ("payments_error", "payments"),
        ("Orders-DLQ.fifo", "Orders.fifo"),
        ("orders", None),
        ("dlq", None),
        ("-dlq", None),
    ],
)
def test_the_origin_is_the_name_without_its_ending(name: str, origin: str | None) -> None:
    assert strip_dead_suffix(name) == origin
