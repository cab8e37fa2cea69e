"""How what several sources say becomes one view: rows, the choice of a source, what queues are, what is said of it."""

from dataclasses import replace

import pytest

from monitor.brokers.rabbitmq.depths import DepthChoice, Depths, Reader
from monitor.brokers.rabbitmq.facts import NodeFacts, QueueFacts, Routes
from monitor.brokers.rabbitmq.lookup import Lookup, configured_queues
from monitor.brokers.rabbitmq.management_source import Overview
from monitor.brokers.rabbitmq.notes import Sources, build_notes
from monitor.brokers.rabbitmq.readings import QueueKey, Readings, label_of
from monitor.brokers.rabbitmq.rows import Rows
from monitor.brokers.rabbitmq.survey import Survey
from monitor.clock import Clock
from monitor.config import DeadLetterMapping
from monitor.errors import BrokerError, TimedOut, Unreachable
from monitor.model import Role
from tests.unit.rabbitmq.builders import key, nan_equal, queue, readings

A, B = key("a"), key("b")
BOTH = (A, B)


def survey_of(
    numbers: Readings, *, taken_at: float = 100.0, queues: tuple[QueueFacts, ...] = (), **overview: bool
) -> Survey:
    said = {"stats": True, "counts": True} | overview
    return Survey(
        taken_at,
        Overview("3.10.8", "n1", unroutable=None, **said),
        queues,
        numbers,
        Routes(),
        taken_at,
        (NodeFacts("n1", running=True, alarms={}),),
    )


# rows


def test_a_queue_on_another_node_is_filled_in_from_the_survey() -> None:
    joined = Rows().join(
        readings((A,), ready=[1.0], acked=[5.0]),
        survey_of(readings(BOTH, ready=[7.0, 8.0], acked=[6.0, 9.0])),
        110.0,
        own_counts=False,
        fresh=True,
    )
    assert joined.keys == BOTH
    assert nan_equal(joined.column("ready"), [1.0, 8.0])
    assert nan_equal(joined.column("acked"), [6.0, 9.0])


def test_own_counters_are_kept_where_they_hold() -> None:
    joined = Rows().join(
        readings((A,), ready=[1.0], acked=[5.0]),
        survey_of(readings((A,), ready=[7.0], acked=[6.0])),
        110.0,
        own_counts=True,
        fresh=True,
    )
    assert nan_equal(joined.column("acked"), [5.0])


def test_counters_that_are_a_part_are_none() -> None:
    joined = Rows().join(readings((A,), ready=[1.0], acked=[0.0]), None, 110.0, own_counts=False, fresh=False)
    assert nan_equal(joined.column("acked"), [None])
    assert nan_equal(joined.column("ready"), [1.0])


def test_timestamps_of_the_survey_give_the_ages_of_its_time() -> None:
    survey = survey_of(readings((A,), head=[5000.0]), taken_at=100.0)
    joined = Rows().join(readings((A,), ready=[1.0]), survey, 120.0, own_counts=False, fresh=True)
    assert nan_equal(joined.column("head"), [5020.0])


def test_an_old_survey_tells_no_numbers() -> None:
    joined = Rows().join(
        readings((A,), ready=[1.0]),
        survey_of(readings(BOTH, ready=[7.0, 8.0], acked=[6.0, 9.0])),
        500.0,
        own_counts=False,
        fresh=False,
    )
    assert joined.keys == BOTH
    assert nan_equal(joined.column("ready"), [1.0, None])
    assert nan_equal(joined.column("acked"), [None, None])


def test_a_deleted_queue_is_gone_at_once_though_an_older_survey_has_it() -> None:
    rows, survey = Rows(), survey_of(readings(BOTH, ready=[7.0, 8.0]))
    rows.join(readings(BOTH, ready=[1.0, 1.0]), survey, 110.0, own_counts=False, fresh=True)
    gone = rows.join(readings((A,), ready=[1.0]), survey, 120.0, own_counts=False, fresh=True)
    assert gone.keys == (A,)
    newer = survey_of(readings(BOTH, ready=[7.0, 8.0]), taken_at=121.0)
    back = rows.join(readings((A,), ready=[1.0]), newer, 130.0, own_counts=False, fresh=True)
    assert back.keys == BOTH  # it has moved to another node


def test_rows_stay_the_same_object_while_the_queues_are_the_same() -> None:
    rows = Rows()
    first = rows.join(readings(BOTH, ready=[1.0, 1.0]), None, 1.0, own_counts=False, fresh=False)
    again = (key("a"), key("b"))
    assert rows.join(readings(again, ready=[2.0, 2.0]), None, 2.0, own_counts=False, fresh=False).keys is first.keys


# the choice of a source


class Sources3:
    """Three sources that answer or fail as they are told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.failing: dict[str, BrokerError] = {}
        self.asked: list[str] = []
        self.choice = DepthChoice(
            [self._reader(name) for name in ("plugin", "management", "amqp")],
            Clock(now=lambda: self.now, monotonic=lambda: self.now),
            rest=40.0,
        )

    def _reader(self, name: str) -> Reader:
        def read(deadline: float) -> Depths:
            self.asked.append(name)
            if name in self.failing:
                raise self.failing[name]
            return Depths(readings((A,), ready=[1.0]), name)

        return read


def test_the_cheapest_source_is_used_and_no_other_asked() -> None:
    sources = Sources3()
    assert sources.choice.read(10.0)[0].target == "plugin"
    assert sources.asked == ["plugin"]


def test_another_source_stands_in_and_the_failure_is_told_all_the_while() -> None:
    sources = Sources3()
    sources.failing["plugin"] = Unreachable("gone")
    for _ in range(3):
        depths, failures = sources.choice.read(sources.now + 10.0)
        assert depths.target == "management"
        assert failures == [sources.failing["plugin"]]
        sources.now += 15
    assert sources.asked.count("plugin") == 1


def test_the_better_source_is_tried_again_and_used_when_it_is_back() -> None:
    sources = Sources3()
    sources.failing["plugin"] = Unreachable("gone")
    sources.choice.read(10.0)
    del sources.failing["plugin"]
    sources.now = 41.0
    depths, failures = sources.choice.read(51.0)
    assert (depths.target, failures) == ("plugin", [])


def test_when_all_fail_the_failure_of_the_best_is_raised() -> None:
    sources = Sources3()
    sources.failing = {name: TimedOut(name) for name in ("plugin", "management", "amqp")}
    with pytest.raises(TimedOut, match="plugin"):
        sources.choice.read(10.0)


def test_a_source_that_failed_is_still_asked_when_no_other_answers() -> None:
    sources = Sources3()
    sources.failing = {name: TimedOut(name) for name in ("plugin", "management", "amqp")}
    with pytest.raises(TimedOut):
        sources.choice.read(10.0)
    sources.failing = {}
    assert sources.choice.read(20.0)[0].target == "plugin"


# what queues are


def test_without_a_survey_names_alone_tell() -> None:
    numbers = readings((key("orders"), key("orders.dlq"), key("orders-retry-1")), ready=[1.0, 1.0, 1.0])
    facts, topology = Lookup("mail", ()).see(numbers, None, {key("orders"): "quorum"})
    assert [topology.roles[k] for k in numbers.keys] == [Role.WORK, Role.DEAD_LETTER, Role.RETRY]
    assert (facts[key("orders")].type, facts[key("orders.dlq")].type) == ("quorum", "unknown")
    assert topology.dead_letters[key("orders.dlq")].problems == ()


def test_what_queues_are_is_worked_out_once() -> None:
    numbers, types = readings(BOTH, ready=[1.0, 1.0], consumers=[1.0, 0.0]), {A: "classic"}
    survey = survey_of(numbers, queues=(queue("a"), queue("b")))
    lookup = Lookup("mail", ())
    assert lookup.see(numbers, survey, types)[1] is lookup.see(numbers, survey, types)[1]


@pytest.mark.parametrize(("id_", "named"), [("mail/v%2Fw/a%2Fb", ("v/w", "a/b")), ("mail/a%2Fb", ("/", "a/b"))])
def test_the_configuration_names_a_queue_by_its_id(id_: str, named: QueueKey) -> None:
    queues = (("v/w", "a/b"), ("/", "a/b"))
    found = configured_queues("mail", [DeadLetterMapping(queue=id_, origins=["v/w/work", "other"])], queues)
    assert list(found) == [named]
    assert found[named].origins == ("v/w/work", "other")
    assert configured_queues("post", [DeadLetterMapping(queue=id_)], queues) == {}


def test_the_label_of_a_queue_has_its_virtual_host_unless_that_is_the_default() -> None:
    assert [label_of(k) for k in (("/", "a/b"), ("v", "a"))] == ["a/b", "v/a"]


# what is said


def test_nothing_is_missing_with_all_sources_on_one_node() -> None:
    survey = survey_of(readings((A,), ready=[1.0]))
    notes = build_notes(Sources("plugin", "management", plugin_node="n1", survey=survey))
    assert notes == ("Depths and consumers come from the plugin.", "Counters of queues come from the management API.")


def test_what_other_nodes_do_not_tell_is_said() -> None:
    survey = survey_of(readings((A,), ready=[1.0]), queues=(QueueFacts(A, node="n2"),))
    notes = build_notes(Sources("plugin", "management", plugin_node="n1", survey=survey))
    assert any("n1 alone; queues on n2 come from the management API" in note for note in notes)


def test_a_plugin_of_one_node_among_several_says_so() -> None:
    notes = build_notes(Sources("plugin", "", plugin_node="n1", peers=("n3", "n2")))
    assert any("n1 alone; what is on n2, n3 is not seen" in note for note in notes)


def test_what_comes_at_a_slower_pace_is_said() -> None:
    survey = survey_of(readings((A,), ready=[1.0]))
    notes = build_notes(Sources("plugin", "management", plugin_node="n1", survey=survey, frugal=True))
    assert any("timestamps come from the management API at a slower pace" in note for note in notes)


def test_disabled_statistics_are_said() -> None:
    survey = survey_of(readings((A,), ready=[1.0]), stats=False, counts=False)
    notes = build_notes(Sources("plugin", "management", plugin_node="n1", survey=survey))
    assert any("disable_metrics_collector" in note and "counters of queues are not to be had" in note for note in notes)


@pytest.mark.parametrize(("blocked", "told"), [(3.0, "3"), (None, "is not told")])
def test_an_alarm_is_said_with_the_publishers_that_it_blocks(blocked: float | None, told: str) -> None:
    survey = survey_of(readings((A,), ready=[1.0]))
    calm = build_notes(Sources("plugin", "management", plugin_node="n1", survey=survey))
    alarmed = replace(survey, nodes=(NodeFacts("n1", True, {"memory": 1.0, "disk": 0.0}),), blocked=blocked)
    notes = build_notes(Sources("plugin", "management", plugin_node="n1", survey=alarmed))
    assert set(notes) - set(calm) == {
        f"The broker blocks publishers (memory alarm of n1); how many connections wait to publish: {told}."
    }


def test_amqp_alone_says_what_it_cannot_see() -> None:
    notes = build_notes(Sources("AMQP", "", only_named=True))
    assert any("nor anything but ready messages and consumers" in note for note in notes)
    assert any("no dead-letter topology" in note for note in notes)
    assert any("no counters of queues" in note for note in notes)
