from examples.event_flow.buses.base import Message
from examples.event_flow.outbox import Outbox


def message(number: int) -> Message:
    return Message(f"id-{number}", "OrderCreated", f"ord-{number}", b"{}")


def test_a_message_stays_in_the_outbox_until_it_is_confirmed() -> None:
    outbox = Outbox()
    for number in range(3):
        outbox.put(message(number), 0)
    assert outbox.look(2, 0) == outbox.look(2, 0) == [message(0), message(1)]
    outbox.remove(message(0))
    assert outbox.look(10, 0) == [message(1), message(2)]


def test_a_confirmation_that_comes_twice_does_no_harm() -> None:
    outbox = Outbox()
    outbox.put(message(1), 0)
    outbox.remove(message(1))
    outbox.remove(message(1))
    assert len(outbox) == 0


def test_a_full_outbox_takes_nothing_until_there_is_room() -> None:
    outbox = Outbox(capacity=1)
    assert outbox.put(message(1), 0)
    assert not outbox.put(message(2), 0)
    outbox.remove(message(1))
    assert outbox.put(message(2), 0)


def test_an_outbox_is_finished_when_it_is_closed_and_empty() -> None:
    outbox = Outbox()
    outbox.put(message(1), 0)
    assert not outbox.finished
    outbox.close()
    assert not outbox.finished
    outbox.remove(message(1))
    assert outbox.finished


def test_a_closed_outbox_lets_nobody_wait() -> None:
    outbox = Outbox()
    outbox.close()
    assert outbox.look(1, timeout_seconds=60) == []
