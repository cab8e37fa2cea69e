"""Many requests at once, in lanes, one a broker, that do not wait for each other: a sick one delays only its own."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from confluent_kafka import KafkaError, KafkaException

from monitor.brokers.kafka.translation import translate
from monitor.errors import BrokerError, TimedOut, Unreachable

R = TypeVar("R")

STEP_SECONDS = 0.1
"""How long anything waits before it looks whether it has been closed, and lets the library's callbacks run."""
_IN_FLIGHT = 64
_UNSETTLED = frozenset(
    {KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE}
)
_SHORTEST_PATIENCE = 1.0
_SHORTEST_TIMEOUT = 0.1


class Unsettled(Unreachable):
    """The broker that was asked does not, or not yet, coordinate this group; it answers, and may do so for others."""


def is_unsettled(error: object) -> bool:
    """Say whether an error, of the library or of the product, means that a coordinator is moving."""
    return isinstance(error, Unsettled) or (isinstance(error, KafkaError) and error.code() in _UNSETTLED)


@dataclass(frozen=True, slots=True, eq=False)
class Call(Generic[R]):
    """One request that can be made: `start` takes its timeout in seconds, `finish` reads what its future brought.

    `key` is the caller's own mark on it.
    """

    key: Any
    start: Callable[[float], Future[Any]]
    finish: Callable[[Any], R | BrokerError]


@dataclass(slots=True, eq=False)
class _Lane(Generic[R]):
    waiting: deque[Call[R]]
    heard_at: float
    in_flight: list[Call[R]] = field(default_factory=list)
    failure: BrokerError | None = None


class Lanes(Generic[R]):
    """One run of calls. `hung` are, afterwards, the calls that were given up while they were under way."""

    def __init__(self, calls: Mapping[Any, Iterable[Call[R]]], seconds: float, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        now = monotonic()
        self._deadline = now + seconds
        self._lanes = [_Lane(deque(lane), now) for lane in calls.values()]
        # A lane that is silent for a while is given up, so that later stages have time left; a single one may take all.
        self._patience = max(seconds / 2, _SHORTEST_PATIENCE) if len(self._lanes) > 1 else seconds
        self._window = max(1, _IN_FLIGHT // max(1, len(self._lanes)))
        self._done: SimpleQueue[tuple[_Lane[R], Call[R], Future[Any]]] = SimpleQueue()
        self.hung: list[Call[R]] = []

    def run(self, idle: Callable[[], None]) -> Generator[tuple[Call[R], R | BrokerError], None, None]:
        """Carry out all calls and yield each with its result as it comes; `idle` is called while nothing comes.

        After a timeout, or a silence, no more of that lane is asked: the rest gets the same error.
        """
        for lane in self._lanes:
            yield from self._fill(lane)
        while any(lane.in_flight for lane in self._lanes):
            try:
                lane, call, future = self._done.get(timeout=STEP_SECONDS)
            except Empty:
                idle()
            else:
                if call in lane.in_flight:
                    yield call, self._take(lane, call, future)
                    yield from self._fill(lane)
            yield from self._give_up_silent()

    def _take(self, lane: _Lane[R], call: Call[R], future: Future[Any]) -> R | BrokerError:
        lane.in_flight.remove(call)
        lane.heard_at = self._monotonic()
        result = _outcome(call, future)
        if isinstance(result, TimedOut | Unreachable) and not isinstance(result, Unsettled):
            lane.failure = result
        return result

    def _fill(self, lane: _Lane[R]) -> Iterator[tuple[Call[R], R | BrokerError]]:
        while lane.waiting and len(lane.in_flight) < self._window:
            call = lane.waiting.popleft()
            left = self._deadline - self._monotonic()
            if lane.failure is None and left < _SHORTEST_TIMEOUT:
                lane.failure = TimedOut("the time of this cycle is used up")
            if lane.failure is not None:
                yield call, lane.failure
                continue
            try:
                future = call.start(left)
            except KafkaException as error:
                yield call, translate(error.args[0])
                continue
            lane.in_flight.append(call)
            future.add_done_callback(partial(self._put, lane, call))

    def _put(self, lane: _Lane[R], call: Call[R], future: Future[Any]) -> None:
        self._done.put((lane, call, future))  # in a thread of the library's, which must not be held up

    def _give_up_silent(self) -> Iterator[tuple[Call[R], R | BrokerError]]:
        now = self._monotonic()
        for lane in self._lanes:
            if lane.in_flight and (now - lane.heard_at > self._patience or now > self._deadline + STEP_SECONDS):
                lane.failure = TimedOut("no answer in time")
                given_up, lane.in_flight = lane.in_flight, []
                self.hung += given_up
                yield from ((call, lane.failure) for call in given_up)
                yield from self._fill(lane)


def _outcome(call: Call[R], future: Future[Any]) -> R | BrokerError:
    try:
        return call.finish(future.result())
    except KafkaException as error:
        told = translate(error.args[0])
        return Unsettled(told.problem) if is_unsettled(error.args[0]) else told
