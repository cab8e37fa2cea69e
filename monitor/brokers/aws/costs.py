"""What asking AWS costs: list prices of us-east-1, free tier left out. Others are a little higher."""

import math

from monitor.brokers.aws.queues import PAGE as QUEUES_A_PAGE
from monitor.brokers.aws.topics import ATTRIBUTES_EVERY

MONTH_SECONDS = 30 * 86_400.0
DOLLARS_A_METRIC = 0.01 / 1_000
DOLLARS_AN_SQS_CALL = 0.40 / 1_000_000
DOLLARS_AN_SNS_CALL = 0.50 / 1_000_000
_ENTRIES_AN_SNS_PAGE = 100


def metrics_a_month(metrics: int, pace: float) -> float:
    """Return what 30 days cost, in dollars, of asking CloudWatch for so many metrics every `pace` seconds."""
    return metrics * DOLLARS_A_METRIC * MONTH_SECONDS / pace


def queues_a_month(queues: int, interval: float) -> float:
    """Return what 30 days cost, in dollars, of listing and reading so many queues every `interval` seconds."""
    calls = queues + max(1, math.ceil(queues / QUEUES_A_PAGE))
    return calls * DOLLARS_AN_SQS_CALL * MONTH_SECONDS / interval


def topics_a_month(topics: int, subscriptions: int, interval: float) -> float:
    """Return the same for topics and their subscriptions, whose attributes are read more seldom."""
    pages = max(1, math.ceil(topics / _ENTRIES_AN_SNS_PAGE)) + math.ceil(subscriptions / _ENTRIES_AN_SNS_PAGE)
    calls = pages + subscriptions / ATTRIBUTES_EVERY
    return calls * DOLLARS_AN_SNS_CALL * MONTH_SECONDS / interval
