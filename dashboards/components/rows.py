"""Words for numbers of the API's items, where those of `monitor.words` need more than one of them."""

from monitor.api.items import SubscriptionItem
from monitor.words import say_duration


def say_drain(item: SubscriptionItem) -> str:
    """Say how long the backlog lasts at the present rates."""
    if item["drains"] is False:
        return "not at this rate"
    return "–" if item["drain_seconds"] in (None, 0) else say_duration(item["drain_seconds"])
