"""What the consumers call: simulated, slow, and now and then out of order."""

from collections.abc import Callable
from random import Random

from examples.event_flow.events import Item
from examples.event_flow.handling import DownstreamFailed
from examples.event_flow.poison import UNDELIVERABLE_DOMAIN, WITHDRAWN_SKU


class Downstream:
    """Takes `work_seconds` for a call, and fails a share of the calls, which succeed when tried again."""

    def __init__(self, flaky_share: float, work_seconds: float, rng: Random, wait: Callable[[float], object]) -> None:
        self._flaky_share, self._work_seconds, self._rng, self._wait = flaky_share, work_seconds, rng, wait

    def _call(self, complaint: str) -> None:
        self._wait(self._work_seconds)
        if self._rng.random() < self._flaky_share:
            raise DownstreamFailed(complaint)


class MailServer(Downstream):
    """Sends mails."""

    def send(self, address: str, subject: str) -> None:
        """Send a mail. Raises DownstreamFailed."""
        self._call(f"the mail server did not answer in time ({subject})")
        if address.endswith(f"@{UNDELIVERABLE_DOMAIN}"):
            raise DownstreamFailed(f"the mail server refused the mail: 451 no route to {UNDELIVERABLE_DOMAIN}")


class Warehouse(Downstream):
    """Keeps stock."""

    def reserve(self, order_id: str, items: list[Item]) -> None:
        """Put the items of an order aside. Raises DownstreamFailed, and then none is."""
        self._call(f"the warehouse did not answer in time (order {order_id})")
        if any(item.sku == WITHDRAWN_SKU for item in items):
            raise DownstreamFailed(f"the warehouse has no bin for {WITHDRAWN_SKU}")
