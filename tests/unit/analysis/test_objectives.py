import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.analysis.assessment import Rules, assess
from monitor.analysis.objectives import budget_left
from monitor.analysis.patterns import FirstMatch
from monitor.config import Objective, Owner
from monitor.model import Age, AgeMethod, Role, Snapshot, Subscription, System
from tests.unit.analysis.story import Story

HALF_A_MINUTE = [Objective(subscription="orders/*", max_age=30.0)]


class TestSeconds:
    def test_they_begin_at_zero(self) -> None:
        verdict = Story(objectives=HALF_A_MINUTE).look((5, 5))
        assert verdict.objective_seconds == {"met": 0.0, "missed": 0.0, "unknown": 0.0}

    def test_without_objective_there_are_none(self) -> None:
        assert Story().look((5, 5)).objective_seconds is None

    def test_the_time_since_the_last_look_is_met_or_missed_by_the_age(self) -> None:
        story = Story(objectives=HALF_A_MINUTE)
        story.look((9, 9))
        story.look((9, 5), age=30)
        verdict = story.look((9, 5), age=31)
        assert verdict.objective_seconds == {"met": 15.0, "missed": 15.0, "unknown": 0.0}

    def test_an_age_that_is_not_known_is_neither(self) -> None:
        story = Story(objectives=HALF_A_MINUTE)
        story.look((9, 9))
        assert story.look((9, 5)).objective_seconds == {"met": 0.0, "missed": 0.0, "unknown": 15.0}

    def test_where_nothing_waits_the_objective_is_met(self) -> None:
        story = Story(objectives=HALF_A_MINUTE)
        story.look((9, 9))
        assert story.look((9, 9)).objective_seconds == {"met": 15.0, "missed": 0.0, "unknown": 0.0}

    @pytest.mark.parametrize(("age", "outcome"), [(20, "unknown"), (40, "missed")])
    def test_a_lower_bound_can_only_show_that_it_is_missed(self, age: float, outcome: str) -> None:
        story = Story(objectives=HALF_A_MINUTE)
        story.look((9, 9))
        verdict = story.look((9, 5), age=age, age_method=AgeMethod.LOWER_BOUND)
        assert verdict.objective_seconds == {"met": 0.0, "missed": 0.0, "unknown": 0.0} | {outcome: 15.0}

    def test_time_without_a_look_is_unknown(self) -> None:
        story = Story(objectives=HALF_A_MINUTE)
        story.look((9, 9))
        story.wait(3_600 - 15)
        assert story.look((9, 9)).objective_seconds == {"met": 22.5, "missed": 0.0, "unknown": 3_577.5}

    @given(st.lists(st.tuples(st.one_of(st.none(), st.floats(0, 100)), st.floats(0, 200)), max_size=10))
    def test_all_time_is_counted_once(self, looks: list[tuple[float | None, float]]) -> None:
        story = Story(objectives=HALF_A_MINUTE)
        verdict, begun = story.look((9, 5)), story.now - story.interval
        for age, pause in looks:
            story.wait(pause)
            verdict = story.look((9, 5), age=age)
        assert verdict.objective_seconds is not None
        assert sum(verdict.objective_seconds.values()) == pytest.approx(story.now - story.interval - begun)


def subscription(identity: str, role: Role = Role.WORK) -> Subscription:
    age = Age(5.0, AgeMethod.EXACT)
    return Subscription(identity, System.KAFKA, "orders", "t", "g", backlog_messages=1, oldest_age=age, role=role)


def test_counters_follow_their_subscription_when_others_come_and_go() -> None:
    rules = Rules.of(15, objectives=[Objective(subscription="*", max_age=30.0)])
    history = None
    seen = []
    for i, ids in enumerate(["ab", "ab", "cb", "bca", "bca"]):
        snapshot = Snapshot("orders", "kafka", 1e9 + 15 * i, 0.1, tuple(map(subscription, ids)))
        verdicts, history = assess(snapshot, history, rules, 15.0 * i)
        met = [verdict.objective_seconds["met"] for verdict in verdicts if verdict.objective_seconds]
        seen.append(dict(zip(ids, met, strict=True)))
    assert seen == [
        {"a": 0.0, "b": 0.0},
        {"a": 15.0, "b": 15.0},
        {"c": 0.0, "b": 30.0},
        {"b": 45.0, "c": 15.0, "a": 0.0},
        {"b": 60.0, "c": 30.0, "a": 15.0},
    ]


class TestPatterns:
    def test_the_first_match_counts(self) -> None:
        owners = FirstMatch([("orders/mailer/*", "mail"), ("orders/*", "checkout"), ("*", "platform")])
        found = [owners.find(identity) for identity in ("orders/mailer/x", "orders/billing/x", "mail/q")]
        assert found == ["mail", "checkout", "platform"]

    def test_a_pattern_is_for_the_whole_id_and_tells_cases_apart(self) -> None:
        owners = FirstMatch([("orders/*", "checkout")])
        assert [owners.find(identity) for identity in ("my/orders/x", "Orders/x")] == [None, None]

    def test_owners_come_into_the_verdict(self) -> None:
        assert Story(owners=[Owner(match="orders/*", team="checkout")]).look((5, 5)).owner == "checkout"
        assert Story(owners=[Owner(match="mail/*", team="mail")]).look((5, 5)).owner == ""


class TestRules:
    def test_short_intervals_do_not_make_judgement_hasty(self) -> None:
        limits = Rules.of(1.0).limits
        assert (limits.window, limits.absence, limits.age) == (600.0, 60.0, 60.0)

    def test_long_intervals_still_give_a_window_of_several_looks(self) -> None:
        limits = Rules.of(300.0).limits
        assert (limits.window, limits.absence, limits.age) == (2_400.0, 900.0, 1_200.0)

    def test_counters_that_come_seldom_are_measured_over_longer(self) -> None:
        assert Rules.of(30.0).rate_span == 150.0
        assert Rules.of(30.0, counters_every=60.0).rate_span == 300.0


@pytest.mark.parametrize(
    ("met", "missed", "target", "left"),
    [
        (1000.0, 0.0, 0.99, 1.0),
        (995.0, 5.0, 0.99, 0.5),
        (990.0, 10.0, 0.99, 0.0),
        (980.0, 20.0, 0.99, -1.0),
        (0.0, 60.0, 0.9, -9.0),
    ],
)
def test_the_budget_left_is_what_the_missed_share_has_not_used(
    met: float, missed: float, target: float, left: float
) -> None:
    assert budget_left({"met": met, "missed": missed, "unknown": 1e6}, target) == pytest.approx(left)


def test_the_budget_is_unknown_without_an_objective_and_before_anything_was_judged() -> None:
    assert budget_left(None, None) is None
    assert budget_left({"met": 0.0, "missed": 0.0, "unknown": 60.0}, 0.99) is None


def test_other_rules_hold_from_the_next_look_on_for_what_is_known_already() -> None:
    story = Story(objectives=[Objective(subscription="*", max_age=30.0, target=0.99)])
    story.look((5, 5), age=0.0)
    assert story.look((5, 5), age=0.0).objective_seconds == {"met": 15.0, "missed": 0.0, "unknown": 0.0}
    story.rules = Rules.of(
        15.0, [Owner(match="*", team="mail")], [Objective(subscription="*", max_age=5.0, target=0.9)]
    )
    verdict = story.look((9, 5), age=20.0)
    assert (verdict.owner, verdict.objective_age_seconds) == ("mail", 5.0)
    assert verdict.objective_seconds == {"met": 15.0, "missed": 15.0, "unknown": 0.0}


def test_what_was_left_by_a_process_before_is_for_those_that_never_went() -> None:
    left = {"a": (100.0, 10.0), "b": (200.0, 20.0)}
    rules = Rules.of(15, objectives=[Objective(subscription="*", max_age=30.0)], left=left)
    history = None
    seen = []
    # b is read a little late after the start; then a goes, and comes back
    for i, ids in enumerate(["a", "ab", "b", "ab"]):
        snapshot = Snapshot("orders", "kafka", 1e9 + 15 * i, 0.1, tuple(map(subscription, ids)))
        verdicts, history = assess(snapshot, history, rules, 15.0 * i)
        lifetimes = [verdict.objective_lifetime for verdict in verdicts]
        seen.append({identity: it and it["met"] for identity, it in zip(ids, lifetimes, strict=True)})
    assert seen == [{"a": 100.0}, {"a": 115.0, "b": 200.0}, {"b": 215.0}, {"a": 0.0, "b": 230.0}]
