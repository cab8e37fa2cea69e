"""The customers: an endless, reproducible stream of purchases.

Orders and Payment each draw from a stream of their own. With the same seed both see the same purchases, just as a real
payment provider would call back with the order ids that the shop had given to it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle
from random import Random
from typing import Any

from examples.event_flow.events import (
    ORDER_CREATED,
    PAYMENT_PROCESSED,
    Event,
    Item,
    OrderCreated,
    PaymentProcessed,
    event_id,
)
from examples.event_flow.poison import POISONS

_ARTICLES = {"SKU-MUG": 1290, "SKU-LAMP": 4900, "SKU-DESK": 24900, "SKU-CHAIR": 12900, "SKU-PLANT": 1990}
_METHODS = ("card", "transfer", "wallet")


@dataclass(frozen=True, slots=True)
class Purchase:
    """What one customer does: an order and its payment. `poison` is a key of POISONS, or None if all is well."""

    order: OrderCreated
    payment: PaymentProcessed
    poison: str | None


def purchases(seed: int, poison_share: float) -> Iterator[Purchase]:
    """Yield purchases without end; the same seed and share give the same ones. Kinds of poison take turns."""
    rng = Random(seed)
    kinds = cycle(POISONS)
    while True:
        order = _order(rng)
        payment = PaymentProcessed(
            payment_id=f"pay-{rng.getrandbits(48):012x}",
            order_id=order.order_id,
            payer_email=order.customer_email,
            currency=order.currency,
            amount_cents=order.total_cents,
            method=rng.choice(_METHODS),
        )
        yield Purchase(order, payment, next(kinds) if rng.random() < poison_share else None)


def _order(rng: Random) -> OrderCreated:
    items = [
        Item(sku=sku, quantity=rng.randint(1, 4), unit_price_cents=_ARTICLES[sku])
        for sku in rng.sample(sorted(_ARTICLES), k=rng.randint(1, 3))
    ]
    return OrderCreated(
        order_id=f"ord-{rng.getrandbits(48):012x}",
        customer_email=f"customer{rng.randint(1, 500)}@example.com",
        currency="EUR",
        total_cents=sum(item.quantity * item.unit_price_cents for item in items),
        items=items,
    )


def order_created(purchase: Purchase, now: datetime) -> Event:
    """Return the (healthy) event that tells of the order."""
    return Event(event_id(purchase.order.order_id, ORDER_CREATED), ORDER_CREATED, 1, now, purchase.order)


def payment_processed(purchase: Purchase, now: datetime) -> Event:
    """Return the event that tells of the payment."""
    order_id = purchase.payment.order_id
    return Event(event_id(order_id, PAYMENT_PROCESSED), PAYMENT_PROCESSED, 1, now, purchase.payment)


def _with_gift_note(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "data": {**document["data"], "gift_note": "with love"}}


def _as_version_2(document: dict[str, Any]) -> dict[str, Any]:
    data = document["data"]
    moved = {
        "order_id": data["order_id"],
        "customer": {"email": data["customer_email"]},
        "total": {"cents": data["total_cents"], "currency": data["currency"]},
        "items": data["items"],
    }
    return {**document, "schema_version": 2, "data": moved}


SCHEMA_CHANGES: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "compatible": _with_gift_note,
    "breaking": _as_version_2,
}
"""What a new release of Orders may do to the document of `OrderCreated`."""
