"""A bounded crew of threads that ask a service in parallel, and are waited for no longer than a deadline allows."""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from monitor.brokers.aws.client import Missing
from monitor.clock import Clock
from monitor.errors import BrokerError, TimedOut, Unreachable

T = TypeVar("T")


class Workers:
    """Runs calls on at most `count` threads.

    The threads are daemons: one that hangs in a socket ends with that call's own time limit, and until then holds up
    neither the caller, who stops waiting at the deadline, nor the end of the process.
    """

    def __init__(self, count: int, clock: Clock) -> None:
        self._count, self._clock = count, clock
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unmade = 0  # calls that wait for a thread or are being made
        self._changed = threading.Condition()
        self._closed = False

    def run(self, calls: Sequence[Callable[[], T]], deadline: float) -> list[T | BrokerError]:
        """Make all calls and return, in their order, what each returned or the BrokerError that it raised.

        A call that is not done at `deadline` (of `Clock.monotonic`) counts as TimedOut; if it has not begun, it never
        will. Raises Unreachable when `close` came meanwhile, and whatever else a call raises.
        """
        return self.wait(self.begin(calls), deadline)

    def begin(self, calls: Sequence[Callable[[], T]]) -> "Batch[T]":
        """Have all calls made, to be waited for later."""
        batch = Batch(calls, self._changed)
        self._enlist(len(calls))
        for index in range(len(calls)):
            self._waiting.put(lambda index=index: batch.make(index))  # type: ignore[misc]
        return batch

    def wait(self, batch: "Batch[T]", deadline: float) -> list[T | BrokerError]:
        """Return what became of the calls, as `run` does."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or not batch.left, timeout=max(0.0, deadline - self._clock.monotonic())
            )
            if self._closed:
                raise Unreachable("the connection was closed")
            return batch.end()

    def run_named(
        self, calls: Mapping[str, Callable[[], T]], deadline: float
    ) -> tuple[dict[str, T], dict[str, BrokerError]]:
        """Make all calls as `run` does; return what they returned and the errors of the others, by name.

        What is Missing, gone since it was listed, is in neither.
        """
        returned: dict[str, T] = {}
        failures: dict[str, BrokerError] = {}
        for name, outcome in zip(calls, self.run(list(calls.values()), deadline), strict=True):
            if not isinstance(outcome, BrokerError):
                returned[name] = outcome
            elif not isinstance(outcome, Missing):
                failures[name] = outcome
        return returned, failures

    def call(self, call: Callable[[], T], deadline: float) -> T:
        """Make one call. Raises as it does, TimedOut at the deadline."""
        (outcome,) = self.run([call], deadline)
        if isinstance(outcome, BrokerError):
            raise outcome
        return outcome

    def close(self) -> None:
        """Wake whoever waits, and let the threads end after what they are doing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for _ in self._threads:
            self._waiting.put(None)

    def _enlist(self, more: int) -> None:
        with self._changed:
            self._unmade += more
            while len(self._threads) < min(self._count, self._unmade):
                thread = threading.Thread(target=self._work, name="aws-worker", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None and not self._closed:
            job()
            with self._changed:
                self._unmade -= 1


class Batch(Generic[T]):
    """Calls that are waited for together."""

    def __init__(self, calls: Sequence[Callable[[], T]], changed: threading.Condition) -> None:
        self._calls, self._changed = calls, changed
        self._outcomes: list[Any] = [TimedOut("no answer before the deadline")] * len(calls)
        self._failure: Exception | None = None
        self._ended = False
        self.left = len(calls)

    def make(self, index: int) -> None:
        """Make one of the calls, unless nobody waits any more."""
        if self._ended:
            return
        outcome: Any
        try:
            outcome = self._calls[index]()
        except BrokerError as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits, which raises it
            outcome, self._failure = None, error
        with self._changed:
            if self._ended:
                return
            self._outcomes[index] = outcome
            self.left -= 1
            if not self.left:
                self._changed.notify_all()

    def end(self) -> list[Any]:
        """Return the outcomes as they are now; what comes later changes nothing. Called with the lock held."""
        self._ended = True
        if self._failure is not None:
            raise self._failure
        return self._outcomes
