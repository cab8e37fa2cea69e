"""A stand-in that is frozen or gone; it is one of its own, so that nobody else's is broken."""

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from monitor.errors import BrokerError, TimedOut, Unreachable
from stack.control import Stack
from stack.state import Options
from tests.integration.aws.conftest import Aws, collect, open_aws


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    own = Stack(tmp_path_factory.mktemp("aws"), Options(parts=("aws",)))
    own.start()
    yield own
    own.stop()


@pytest.fixture
def aws(stack: Stack) -> Iterator[Aws]:
    with open_aws(stack.endpoints.aws) as opened:
        yield opened


def aws_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "aws-worker"}


def test_frozen_it_is_a_timeout_before_the_deadline_and_thawed_all_is_there_again(aws: Aws, stack: Stack) -> None:
    of_others = aws_threads()
    for index in range(20):
        aws.make_queue(f"q-{index}")
    with contextlib.closing(aws.collector(interval="1s", deadline="2s")) as collector:
        assert collect(collector).measured == 20
        stack.freeze("aws")
        try:
            deadline = time.monotonic() + 2.0
            with pytest.raises(TimedOut):
                collector.collect(deadline)
            assert time.monotonic() < deadline
            assert 0 < len(aws_threads() - of_others) <= 16
        finally:
            stack.thaw("aws")
        # threads that hung are back with their own time limit
        deadline = time.monotonic() + 20
        while True:
            try:
                snapshot = collect(collector, seconds=5.0)
                break
            except BrokerError:
                assert time.monotonic() < deadline
        assert (snapshot.expected, snapshot.measured) == (20, 20)


def test_closing_ends_a_call_that_hangs(aws: Aws, stack: Stack) -> None:
    aws.make_queue("orders")
    collector = aws.collector()
    collect(collector)
    stack.freeze("aws")
    try:
        caught: list[BrokerError] = []

        def hang() -> None:
            try:
                collect(collector, seconds=60.0)
            except BrokerError as error:
                caught.append(error)

        waiting = threading.Thread(target=hang)
        waiting.start()
        began = time.monotonic()
        collector.close()
        waiting.join(10)
        assert time.monotonic() - began < 5.0
        assert [type(error) for error in caught] == [Unreachable]
        collector.close()
    finally:
        stack.thaw("aws")


def test_killed_it_is_unreachable_and_restarted_it_is_read_again(aws: Aws, stack: Stack) -> None:
    with contextlib.closing(aws.collector()) as collector:
        collect(collector)
        stack.kill("aws")
        with pytest.raises(Unreachable, match="endpoint_url"):
            collect(collector)
        (finding, *_) = [finding for finding in collector.check(time.monotonic() + 20) if not finding.ok]
        assert finding.remedy
        stack.restart("aws")
        assert collect(collector).errors == ()


def test_a_name_that_does_not_resolve_is_unreachable(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")  # only on loopback it goes without
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with (
        contextlib.closing(aws.collector(endpoint_url="http://no-such-host.invalid:4566")) as collector,
        pytest.raises(Unreachable, match="does not resolve"),
    ):
        collect(collector)
