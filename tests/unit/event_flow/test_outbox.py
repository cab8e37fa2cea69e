import sqlite3
from collections.abc import Iterator
from functools import partial
from itertools import islice, permutations
from pathlib import Path

import pytest

from examples.event_flow import orders
from examples.event_flow.buses.base import Message
from examples.event_flow.outbox import Outbox
from examples.event_flow.shop import Purchase, purchases

BUSES = ["kafka", "aws"]
PURCHASES = [*islice(purchases(1, 0.0), 3)]


def message(purchase: Purchase) -> Message:
    return Message(f"id of {purchase.order.order_id}", "OrderCreated", purchase.order.order_id, b"{}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "orders.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    outbox = Outbox(path, orders.TABLES, BUSES)
    yield outbox
    shut(outbox)


def shut(outbox: Outbox) -> None:
    outbox.close()
    for bus in BUSES:
        outbox.leave(bus)


def order(outbox: Outbox, purchase: Purchase) -> bool:
    return outbox.put(message(purchase), partial(orders.note, purchase))


def test_an_event_waits_for_each_bus_until_that_bus_has_confirmed_it(outbox: Outbox) -> None:
    for purchase in PURCHASES:
        assert order(outbox, purchase)
    first, second, third = (message(purchase) for purchase in PURCHASES)
    looked = outbox.look("kafka", 2, 0)
    assert looked == outbox.look("kafka", 2, 0) == [first, second]
    outbox.remove(looked)
    outbox.remove(looked[:1])  # a confirmation that comes twice does no harm
    assert outbox.look("kafka", 10, 0) == [third]
    assert outbox.look("aws", 10, 0) == [first, second, third]


def test_an_order_that_is_placed_again_is_not_told_again(outbox: Outbox) -> None:
    assert [order(outbox, PURCHASES[0]) for _ in range(2)] == [True, False]
    assert outbox.waiting("kafka") == 1


def test_order_and_event_are_there_together_or_not_at_all(outbox: Outbox, path: Path) -> None:
    def crash(db: sqlite3.Connection) -> bool:
        orders.note(PURCHASES[0], db)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        outbox.put(message(PURCHASES[0]), crash)
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM orders").fetchone() == (0,)
    db.close()
    assert outbox.waiting("kafka") == 0
    assert order(outbox, PURCHASES[0])


def test_what_waits_outlives_the_process(outbox: Outbox, path: Path) -> None:
    order(outbox, PURCHASES[0])
    again = Outbox(path, orders.TABLES, BUSES)
    assert again.look("aws", 10, 0) == [message(PURCHASES[0])]
    shut(again)


def test_an_outbox_is_finished_when_it_is_closed_and_empty(outbox: Outbox) -> None:
    order(outbox, PURCHASES[0])
    assert not outbox.finished("kafka")
    outbox.close()
    assert not outbox.finished("kafka")
    outbox.remove(outbox.look("kafka", 1, 0))
    assert (outbox.finished("kafka"), outbox.finished("aws")) == (True, False)


def test_a_closed_outbox_lets_nobody_wait(outbox: Outbox) -> None:
    outbox.close()
    assert outbox.look("kafka", 1, timeout_seconds=60) == []


@pytest.mark.parametrize("turns", [*permutations(["close", *BUSES])], ids=", ".join)
def test_the_database_is_closed_when_no_more_events_come_and_all_relays_have_left(
    turns: tuple[str, ...], outbox: Outbox
) -> None:
    for turn in turns:
        assert outbox.waiting("aws") == 0
        if turn == "close":
            outbox.close()
        else:
            outbox.leave(turn)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        outbox.waiting("aws")
