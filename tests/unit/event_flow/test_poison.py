from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from examples.event_flow import orders, payment
from examples.event_flow.downstream import MAIL_SERVER, Condition, MailServer, Warehouse, World
from examples.event_flow.events import OrderCreated, read
from examples.event_flow.handling import DownstreamRefused
from examples.event_flow.poison import POISONS
from examples.event_flow.schemas import BadEvent, MissingField, UnknownVersion, Unparseable, WrongType
from examples.event_flow.shop import Purchase, purchases

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def poisoned(kind: str) -> Purchase:
    return next(purchase for purchase in purchases(1, 1.0) if purchase.poison == kind)


def test_the_same_seed_gives_the_same_purchases_and_another_seed_others() -> None:
    first, again, other = ([*islice(purchases(seed, 0.3), 50)] for seed in (1, 1, 2))
    assert first == again
    assert not {purchase.order.order_id for purchase in first} & {purchase.order.order_id for purchase in other}


def test_the_share_of_poison_changes_which_orders_are_poisonous_and_not_the_orders() -> None:
    healthy, some, all_of_them = ([*islice(purchases(1, share), 1000)] for share in (0.0, 0.1, 1.0))
    assert [p.order for p in healthy] == [p.order for p in some] == [p.order for p in all_of_them]
    assert sum(p.poison is not None for p in healthy) == 0
    assert 70 < sum(p.poison is not None for p in some) < 130
    assert all(p.poison for p in all_of_them)


def test_every_kind_of_poison_takes_its_turn() -> None:
    assert [p.poison for p in islice(purchases(1, 1.0), len(POISONS))] == list(POISONS)


def test_a_healthy_order_can_be_read() -> None:
    purchase = next(purchases(1, 0.0))
    assert read(orders.message(purchase, NOW).body).data == purchase.order


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("missing_field", MissingField, r"data\.customer_email is missing"),
        ("wrong_type", WrongType, r"data\.items\.0\.quantity"),
        ("unknown_version", UnknownVersion, "version 7"),
        ("cut_short", Unparseable, "no JSON"),
    ],
)
def test_a_poisonous_order_cannot_be_read(kind: str, error: type[BadEvent], words: str) -> None:
    message = orders.message(poisoned(kind), NOW)
    with pytest.raises(error, match=words):
        read(message.body)


def test_an_order_with_a_hopeless_downstream_is_fine_but_no_downstream_takes_it(tmp_path: Path) -> None:
    message = orders.message(poisoned("hopeless_downstream"), NOW)
    order = read(message.body).data
    assert isinstance(order, OrderCreated)
    purchase = poisoned("hopeless_downstream")
    rng, world = Random(1), World(tmp_path / "world.db")
    mail_server = MailServer(world, 0.0, 0.0, rng, lambda _: None)
    with pytest.raises(DownstreamRefused, match=r"mailbox\.invalid"):
        mail_server.send("key", order.customer_email, "your order")
    with pytest.raises(DownstreamRefused, match="no bin"):
        Warehouse(world, 0.0, 0.0, rng, lambda _: None).reserve("key", purchase.order.order_id, order.items)
    world.put(MAIL_SERVER, Condition(takes_everything=True))
    mail_server.send("key", order.customer_email, "your order")
    world.close()


def test_a_poisonous_order_keeps_key_id_and_type_on_the_bus() -> None:
    for kind in POISONS:
        purchase = poisoned(kind)
        message = orders.message(purchase, NOW)
        assert (message.order_id, message.type) == (purchase.order.order_id, "OrderCreated")
        message.body.decode()  # SNS takes nothing but text


def test_the_payment_of_a_poisonous_order_is_healthy() -> None:
    purchase = poisoned("hopeless_downstream")
    assert read(payment.message(purchase, NOW).body).data == purchase.payment
