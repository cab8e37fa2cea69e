"""The pace at which the management API is read beside the cycles. The source is a scripted one, so that time obeys."""

import threading
import time
from collections.abc import Iterator

import pytest

from monitor.brokers.rabbitmq.facts import NodeFacts, QueueFacts, Routes
from monitor.brokers.rabbitmq.management_source import Listing, ManagementSource, Overview
from monitor.brokers.rabbitmq.readings import QueueKey
from monitor.brokers.rabbitmq.survey import Surveyor, pause_after, take_survey
from monitor.clock import Clock
from monitor.errors import BrokerError, Forbidden, TimedOut, Unreachable
from tests.unit.rabbitmq.builders import key, queue, readings


class ScriptedSource(ManagementSource):
    """Says what it is told to, when it is let."""

    def __init__(self) -> None:
        self.queues: list[QueueFacts] = [queue("a")]
        self.failure: BrokerError | None = None
        self.policies: list[dict[str, object]] | None = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.read_times, self.route_times, self.blocked_times = 0, 0, 0
        self.nodes: tuple[NodeFacts, ...] | None = None
        self.deadlines: list[float] = []

    @property
    def target(self) -> str:
        return "scripted"

    def read_overview(self, deadline: float) -> Overview:
        self.read_times += 1
        self.deadlines.append(deadline)
        self.may_answer.wait(10)
        if self.failure is not None:
            raise self.failure
        return Overview("3.10.8", "n", stats=True, counts=True, unroutable=None)

    def read_queues(self, deadline: float, overview: Overview) -> Listing:
        keys = tuple(sorted(facts.key for facts in self.queues))
        return Listing(tuple(sorted(self.queues, key=lambda q: q.key)), readings(keys, ready=[1.0] * len(keys)))

    def read_routes(self, deadline: float) -> Routes:
        self.route_times += 1
        return Routes()

    def read_nodes(self, deadline: float) -> tuple[NodeFacts, ...]:
        if self.nodes is None:
            raise Forbidden("no")
        return self.nodes

    def count_blocked(self, deadline: float) -> float | None:
        self.blocked_times += 1
        return 2.0

    def read_policies(self, deadline: float) -> list[dict[str, object]] | None:
        return self.policies

    def read_operator_policies(self, deadline: float) -> list[dict[str, object]]:
        return []


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, monotonic=lambda: self.now)


@pytest.fixture
def source() -> Iterator[ScriptedSource]:
    scripted = ScriptedSource()
    yield scripted
    scripted.may_answer.set()


def keys_of(*names: str) -> tuple[QueueKey, ...]:
    return tuple(key(name) for name in names)


def test_the_first_cycle_waits_for_the_survey(source: ScriptedSource) -> None:
    survey = Surveyor(source, Clock()).latest(keys_of("a"), time.monotonic() + 5, eager=False)
    assert survey is not None
    assert survey.readings.keys == keys_of("a")
    assert survey.nodes is None


def test_a_slow_survey_does_not_hold_up_the_cycles(source: ScriptedSource) -> None:
    moved = Time()
    surveyor = Surveyor(source, moved.clock())
    keys = keys_of("a")
    first = surveyor.latest(keys, moved.now + 5, eager=True)
    moved.now += 100
    source.may_answer.clear()
    began = time.monotonic()
    assert surveyor.latest(keys, moved.now + 5, eager=True) is first
    assert time.monotonic() - began < 4
    source.may_answer.set()
    assert surveyor.latest(keys, moved.now + 5, eager=True) is not first


@pytest.mark.parametrize(
    ("cost", "eager", "pause"),
    [(0.02, True, 0.08), (0.02, False, 0.98), (1.5, True, 6.0), (1.5, False, 30.0), (20.0, True, 30.0)],
)
def test_the_costlier_it_is_the_rarer_it_is_read(cost: float, eager: bool, pause: float) -> None:
    assert pause_after(cost, eager=eager) == pytest.approx(pause)


def test_it_is_read_in_each_cycle_while_that_costs_nothing(source: ScriptedSource) -> None:
    moved = Time()
    surveyor = Surveyor(source, moved.clock())
    keys = keys_of("a")
    for _ in range(5):
        surveyor.latest(keys, moved.now + 5, eager=True)
        moved.now += 1
    assert source.read_times == 5


def test_a_queue_that_it_does_not_know_makes_it_read_again_at_once(source: ScriptedSource) -> None:
    moved = Time()
    surveyor = Surveyor(source, moved.clock())
    surveyor.latest(keys_of("a"), moved.now + 5, eager=False)
    source.queues.append(queue("b"))
    survey = surveyor.latest(keys_of("a", "b"), moved.now + 5, eager=False)
    assert survey is not None
    assert survey.readings.keys == keys_of("a", "b")


def test_a_queue_that_it_cannot_see_is_waited_for_once(source: ScriptedSource) -> None:
    surveyor = Surveyor(source, Clock())
    keys = keys_of("a", "hidden")
    surveyor.latest(keys, time.monotonic() + 5, eager=False)
    source.may_answer.clear()
    began = time.monotonic()
    surveyor.latest(keys, time.monotonic() + 5, eager=False)
    assert time.monotonic() - began < 4


def test_a_queue_that_vanished_makes_it_read_again(source: ScriptedSource) -> None:
    moved = Time()
    surveyor = Surveyor(source, moved.clock())
    source.queues.append(queue("b"))
    surveyor.latest(keys_of("a", "b"), moved.now + 5, eager=False)
    del source.queues[1]
    survey = surveyor.latest(keys_of("a"), moved.now + 5, eager=False)
    assert survey is not None
    assert survey.readings.keys == keys_of("a")


def test_a_failure_keeps_the_last_survey_and_is_told_until_it_is_over(source: ScriptedSource) -> None:
    moved = Time()
    surveyor = Surveyor(source, moved.clock())
    first = surveyor.latest(keys_of("a"), moved.now + 5, eager=True)
    source.failure = Unreachable("gone")
    moved.now += 10
    assert surveyor.latest(keys_of("a"), moved.now + 5, eager=True) is first
    assert surveyor.failure is source.failure
    source.failure = None
    moved.now += 10
    assert surveyor.latest(keys_of("a"), moved.now + 5, eager=True) is not first
    assert surveyor.failure is None


def test_an_answer_that_lacks_something_is_a_failure_and_not_a_crash(source: ScriptedSource) -> None:
    def read_routes(deadline: float) -> Routes:
        raise KeyError("vhost")

    source.read_routes = read_routes  # type: ignore[method-assign]
    surveyor = Surveyor(source, Clock())
    assert surveyor.latest(keys_of("a"), time.monotonic() + 5, eager=True) is None
    assert "KeyError('vhost')" in str(surveyor.failure)


def test_a_fresh_survey_is_one_that_began_after_it_was_asked_for(source: ScriptedSource) -> None:
    surveyor = Surveyor(source, Clock())
    source.may_answer.clear()
    with pytest.raises(TimedOut):
        surveyor.fresh(time.monotonic() + 0.1)
    threading.Timer(0.1, source.may_answer.set).start()
    asked = time.monotonic()
    assert surveyor.fresh(asked + 5).taken_at >= asked


def test_a_fresh_survey_that_fails_raises(source: ScriptedSource) -> None:
    source.failure = Forbidden("no")
    with pytest.raises(Forbidden):
        Surveyor(source, Clock()).fresh(time.monotonic() + 5)


def test_exchanges_are_read_again_only_when_queues_change_or_they_are_old(source: ScriptedSource) -> None:
    first = take_survey(source, 1000.0, 1005.0, None)
    second = take_survey(source, 1010.0, 1015.0, first)
    assert source.route_times == 1
    assert second.queues is first.queues
    source.queues.append(queue("b"))
    third = take_survey(source, 1011.0, 1016.0, second)
    take_survey(source, 1050.0, 1055.0, third)
    assert source.route_times == 3


def test_policies_are_worked_out_where_the_list_does_not_tell_them(source: ScriptedSource) -> None:
    source.queues = [QueueFacts(key("a"), definition=None)]
    source.policies = [{"vhost": "/", "name": "p", "pattern": "a", "definition": {"max-length": 5}}]
    survey = take_survey(source, 1000.0, 1005.0, None)
    assert survey.queues[0].definition == {"max-length": 5}
    assert survey.policies_seen


def test_policies_that_are_hidden_stay_unknown(source: ScriptedSource) -> None:
    source.queues, source.policies = [QueueFacts(key("a"), definition=None)], None
    assert not take_survey(source, 1000.0, 1005.0, None).policies_seen


@pytest.mark.parametrize(
    ("alarms", "blocked", "asked"),
    [(None, None, 0), ({"memory": 0.0}, 0.0, 0), ({"memory": 0.0, "disk": 1.0}, 2.0, 1)],
)
def test_blocked_publishers_are_counted_only_while_there_is_an_alarm(
    source: ScriptedSource, alarms: dict[str, float] | None, blocked: float | None, asked: int
) -> None:
    source.nodes = None if alarms is None else (NodeFacts("n", True, {}), NodeFacts("m", True, alarms))
    assert take_survey(source, 0.0, 10.0, None).blocked == blocked
    assert source.blocked_times == asked


def test_one_that_is_lost_is_given_up_the_sooner_the_quicker_they_are_and_later_when_they_fail(
    source: ScriptedSource,
) -> None:
    time_ = Time()
    surveyor = Surveyor(source, time_.clock())
    patience = []
    for failure in (None, None, TimedOut("lost"), TimedOut("lost"), None, None):
        source.failure = failure
        surveyor.latest(keys_of("a"), time_.now + 5, eager=True)
        patience.append(round(source.deadlines[-1] - time_.now, 3))
        time_.now += 1
    assert patience == [60.0, 10.0, 10.0, 15.0, 22.5, 10.0]
