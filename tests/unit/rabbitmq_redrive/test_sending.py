"""What a sender makes of a broker's answers that a shared broker cannot be brought to give; the line is a fake."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from pika.exceptions import ChannelClosedByBroker
from pika.spec import Basic

from monitor.brokers.rabbitmq.sending import Letter, Sender
from monitor.errors import Throttled
from monitor.letters import SendResult


class FakeLine:
    """A connection whose channel notes what is published and says nothing by itself."""

    def __init__(self) -> None:
        self.blocked, self.closed, self.target, self.failure = False, False, "broker", None
        self.timers: list[Callable[[], None]] = []
        self.loop = SimpleNamespace(call_later=self._later, remove_timeout=lambda _timer: None)
        publish = lambda _channel, _exchange, _key, _raw, body: self.published.append(body)  # noqa: E731
        self.connection = SimpleNamespace(channel=self._channel, corked=nullcontext, publish=publish)
        self.published: list[bytes] = []
        self.confirm: Callable[[Any], None] = lambda _found: None
        self.close_channel: Callable[[object, Exception], None] = lambda _channel, _reason: None
        self.on_blocked: Callable[[], None] = lambda: None

    def when_closed(self, _call: Callable[[], None]) -> None:
        """Never closes."""

    def _later(self, _seconds: float, call: Callable[[], None]) -> int:
        self.timers.append(call)
        return len(self.timers)

    def _channel(self, on_open_callback: Callable[[Any], None]) -> None:
        channel = SimpleNamespace(
            is_open=True,
            channel_number=1,
            add_on_close_callback=lambda call: setattr(self, "close_channel", call),
            add_on_return_callback=lambda _call: None,
        )
        channel.confirm_delivery = self._confirm_delivery
        on_open_callback(channel)

    def _confirm_delivery(self, call: Callable[[Any], None], callback: Callable[[object], None]) -> None:
        self.confirm = call
        callback(None)

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        self.confirm(SimpleNamespace(method=Basic.Ack(tag, multiple)))


def begin(line: FakeLine, bodies: Sequence[bytes]) -> "Future[list[SendResult]]":
    sender, done = Sender(line, 100), Future[Any]()  # type: ignore[arg-type]
    sender.open(Future())
    letters = [Letter(body.decode(), "", "q", b"\0\0", body, "q") for body in bodies]
    sender.send(letters, 1.0, done)
    return done


def test_the_first_message_travels_alone_then_all_do() -> None:
    line = FakeLine()
    done = begin(line, [b"a", b"b", b"c"])
    assert line.published == [b"a"]
    line.ack(1)
    assert line.published == [b"a", b"b", b"c"]
    line.ack(3, multiple=True)
    assert all(result.confirmed for result in done.result(0))


def test_two_batches_are_under_way_at_once_and_each_of_equal_letters_is_published() -> None:
    line = FakeLine()
    sender, first, second = Sender(line, 100), Future[Any](), Future[Any]()  # type: ignore[arg-type]
    sender.open(Future())
    a, b = (Letter(body.decode(), "", "q", b"\0\0", body, "q") for body in (b"a", b"b"))
    sender.send([a, a], 1.0, first)
    sender.send([a, b], 1.0, second)
    line.ack(1)
    assert line.published == [b"a", b"a", b"a", b"b"]
    line.ack(2)
    assert (len(first.result(0)), second.done()) == (2, False)
    line.ack(4, multiple=True)
    assert [result.confirmed for result in second.result(0)] == [True, True]


def test_of_what_the_broker_will_not_have_only_the_one_at_fault_is_refused() -> None:
    line = FakeLine()
    done = begin(line, [b"large", b"b"])
    line.close_channel(None, ChannelClosedByBroker(406, "PRECONDITION_FAILED - message size"))
    line.ack(1)
    refused, sent = done.result(0)
    assert (refused.confirmed, refused.known) == (False, True)
    assert "message size" in refused.reason
    assert sent.confirmed


def test_others_under_way_when_the_channel_is_closed_are_not_known_and_the_next_go_one_by_one() -> None:
    line = FakeLine()
    done = begin(line, [b"a", b"b", b"large"])
    line.ack(1)
    line.close_channel(None, ChannelClosedByBroker(406, "PRECONDITION_FAILED - message size"))
    assert [(result.confirmed, result.known) for result in done.result(0)] == [
        (True, True),
        (False, False),
        (False, False),
    ]


def test_blocked_publishers_are_told_as_such_and_nothing_is_published() -> None:
    line = FakeLine()
    line.blocked = True
    done = begin(line, [b"a"])
    line.timers[0]()
    assert line.published == []
    with pytest.raises(Throttled, match="blocked all publishers"):
        done.result(0)
