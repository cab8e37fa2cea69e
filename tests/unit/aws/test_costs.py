import pytest

from monitor.brokers.aws.costs import metrics_a_month, of_service, queues_a_month, topics_a_month


def test_a_hundred_queues_with_nine_metrics_a_minute_cost_about_389_dollars() -> None:
    assert metrics_a_month(900, pace=60.0) == pytest.approx(388.8)


def test_a_hundred_queues_read_every_minute_cost_about_two_dollars() -> None:
    assert of_service(queues_a_month(100, interval=60.0), "sqs") == pytest.approx(1.75, abs=0.01)


def test_attributes_of_subscriptions_are_read_in_one_of_five_passes() -> None:
    # two pages and 100 / 5 attribute calls a minute
    assert of_service(topics_a_month(10, 100, interval=60.0), "sns") == pytest.approx(22 * 43_200 * 0.5e-6)
