"""What asking AWS costs: list prices of us-east-1, free tier left out. Others are a little higher."""

import math
from collections.abc import Mapping

from monitor.brokers.aws.queues import PAGE as QUEUES_A_PAGE
from monitor.brokers.aws.topics import ATTRIBUTES_EVERY

MONTH_SECONDS = 30 * 86_400.0
DOLLARS_A_METRIC = 0.01 / 1_000
DOLLARS_AN_SQS_CALL = 0.40 / 1_000_000
DOLLARS_AN_SNS_CALL = 0.50 / 1_000_000
_ENTRIES_AN_SNS_PAGE = 100

Costs = Mapping[tuple[str, str], float]
"""Dollars in 30 days by service and operation."""


def metrics_a_month(metrics: int, pace: float) -> float:
    """Return what 30 days cost, in dollars, of asking CloudWatch for so many metrics every `pace` seconds."""
    return metrics * DOLLARS_A_METRIC * MONTH_SECONDS / pace


def queues_a_month(queues: int, interval: float) -> Costs:
    """Return what 30 days cost of listing and reading so many queues every `interval` seconds."""
    dollars = DOLLARS_AN_SQS_CALL * MONTH_SECONDS / interval
    pages = max(1, math.ceil(queues / QUEUES_A_PAGE))
    return {("sqs", "ListQueues"): pages * dollars, ("sqs", "GetQueueAttributes"): queues * dollars}


def topics_a_month(topics: int, subscriptions: int, interval: float) -> Costs:
    """Return the same for topics and their subscriptions, whose attributes are read more seldom."""
    dollars = DOLLARS_AN_SNS_CALL * MONTH_SECONDS / interval
    return {
        ("sns", "ListTopics"): max(1, math.ceil(topics / _ENTRIES_AN_SNS_PAGE)) * dollars,
        ("sns", "ListSubscriptions"): math.ceil(subscriptions / _ENTRIES_AN_SNS_PAGE) * dollars,
        ("sns", "GetSubscriptionAttributes"): subscriptions / ATTRIBUTES_EVERY * dollars,
    }


def of_service(costs: Costs, service: str) -> float:
    """Return what all calls of one service cost."""
    return sum(dollars for (asked, _), dollars in costs.items() if asked == service)
