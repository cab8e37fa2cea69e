import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor.errors import REASONS
from monitor.exposition.muted import muted_tables
from monitor.exposition.render import ClusterText, render_cluster
from monitor.model import (
    Age,
    AgeMethod,
    ClusterView,
    FoundBy,
    Mute,
    Origin,
    Problem,
    Role,
    Status,
    Subscription,
    System,
    Table,
    Verdict,
)
from tests.unit.exposition.builders import (
    dead_letter_queue,
    group_partitions,
    health,
    plain_of,
    samples_of,
    subscription,
    values_by,
    verdict,
    view,
)


def text_of(subscriptions: Iterable[Subscription] = (), verdicts: Iterable[Verdict] | None = None) -> str:
    return plain_of(render_cluster(view({}, tuple(subscriptions), None if verdicts is None else tuple(verdicts))))


def deflated(text: ClusterText) -> dict[str, tuple[bytes, ...]]:
    return {family: block.piece.deflated for family, block in text.blocks.items()}


class TestTables:
    def test_what_is_not_known_has_no_sample(self) -> None:
        table = group_partitions([("g", "t", "0"), ("g", "t", "1")], lag_messages=[None, 7], lag_seconds=[None, None])

        text = plain_of(render_cluster(view({"any": table})))

        assert values_by(text, "kafka_consumer_group_lag_messages", "partition") == {"1": 7.0}
        assert "lag_seconds" not in text

    def test_seconds_are_given_to_the_millisecond_and_other_numbers_as_they_are(self) -> None:
        exact = 1_700_000_000.123456
        table = group_partitions([("g", "t", "0")], lag_seconds=[exact], lag_messages=[exact])

        text = plain_of(render_cluster(view({"any": table})))

        assert values_by(text, "kafka_consumer_group_lag_seconds", "group") == {"g": 1_700_000_000.123}
        assert values_by(text, "kafka_consumer_group_lag_messages", "group") == {"g": exact}

    def test_a_table_without_labels_of_its_own_has_the_cluster(self) -> None:
        table = Table((), {"cloudwatch_billable_metrics_total": np.array([12.0])})

        text = plain_of(render_cluster(view({"calls": table})))

        assert samples_of(text, "cloudwatch_billable_metrics_total") == {(("cluster", "orders"),): 12.0}

    def test_one_family_from_two_tables_has_all_samples(self) -> None:
        tables = {
            "one": group_partitions([("g", "t", "0")], lag_messages=[1]),
            "other": group_partitions([("h", "t", "0")], lag_messages=[2]),
        }

        text = plain_of(render_cluster(view(tables)))

        assert values_by(text, "kafka_consumer_group_lag_messages", "group") == {"g": 1.0, "h": 2.0}

    def test_a_table_named_like_one_of_ours_takes_nothing_away(self) -> None:
        tables = {"subscriptions": group_partitions([("g", "t", "0")], lag_messages=[1])}

        text = plain_of(render_cluster(view(tables, [subscription()])))

        assert values_by(text, "kafka_consumer_group_lag_messages", "group") == {"g": 1.0}
        assert values_by(text, "subscription_backlog_messages", "subscriber") == {"notification": 600.0}

    def test_more_rows_than_a_piece_holds_are_all_there(self) -> None:
        rows = [("g", "t", str(i)) for i in range(5000)]

        text = plain_of(render_cluster(view({"any": group_partitions(rows, lag_messages=range(5000))})))

        found = values_by(text, "kafka_consumer_group_lag_messages", "partition")
        assert found == {str(i): float(i) for i in range(5000)}

    @pytest.mark.parametrize(
        "table",
        [
            Table.of_rows(("group",), [("g",)], {"kafka_no_such_family": [1]}),
            Table.of_rows(("group",), [("g",)], {"kafka_consumer_group_lag_messages": [1]}),
        ],
        ids=["unknown family", "other labels than the family has"],
    )
    def test_a_column_that_is_not_in_the_catalogue_is_left_out_and_told(self, table: Table) -> None:
        good = group_partitions([("g", "t", "0")], lag_seconds=[1])

        text = render_cluster(view({"good": good, "bad": table}))

        assert values_by(plain_of(text), "kafka_consumer_group_lag_seconds", "group") == {"g": 1.0}
        assert next(iter(table.columns)) not in text.blocks
        (mistake,) = text.mistakes
        assert next(iter(table.columns)) in mistake


class TestReuse:
    """What did not change is not rendered again, and what changed is never taken from the cycle before."""

    rows = tuple(("g", f"t{i // 100}", str(i % 100)) for i in range(5000))

    def test_unchanged_pieces_are_taken_over_and_changed_ones_are_not(self) -> None:
        before = render_cluster(view({"any": group_partitions(self.rows, lag_messages=[1.0] * 5000)}))
        moved = [1.0] * 5000
        moved[2500] = 2.0

        after = render_cluster(view({"any": group_partitions(self.rows, lag_messages=moved)}), before)

        old = deflated(before)["kafka_consumer_group_lag_messages"]
        new = deflated(after)["kafka_consumer_group_lag_messages"]
        assert [a is b for a, b in zip(old, new, strict=True)] == [True, False, True]
        assert values_by(plain_of(after), "kafka_consumer_group_lag_messages", "topic", "partition")["t25", "0"] == 2.0

    @pytest.mark.parametrize("value", [None, 0.0, 2.0, math.inf])
    @pytest.mark.parametrize("now", [None, 0.0, 2.0, -math.inf])
    def test_every_change_of_a_number_is_seen(self, value: float | None, now: float | None) -> None:
        before = render_cluster(view({"any": group_partitions([("g", "t", "0")], lag_seconds=[value])}))

        after = view({"any": group_partitions([("g", "t", "0")], lag_seconds=[now])})

        assert plain_of(render_cluster(after, before)) == plain_of(render_cluster(after))

    @pytest.mark.parametrize(
        "rows",
        [
            [("g", "t", "0")],
            [("g", "t", "1"), ("g", "t", "0")],
            [("g", "t", "0"), ("h", "t", "1")],
            [("g", "t", "0"), ("g", "t", "1"), ("g", "t", "2")],
            [],
        ],
        ids=["gone", "other order", "renamed", "more", "none"],
    )
    def test_every_change_of_rows_is_seen(self, rows: list[tuple[str, str, str]]) -> None:
        first = group_partitions([("g", "t", "0"), ("g", "t", "1")], lag_messages=[5, 5], lag_seconds=[1, 1])
        before = render_cluster(view({"any": first}))

        after = view({"any": group_partitions(rows, lag_messages=[5] * len(rows), lag_seconds=[1] * len(rows))})

        assert plain_of(render_cluster(after, before)) == plain_of(render_cluster(after))

    @settings(max_examples=50)
    @given(st.lists(st.lists(st.tuples(*[st.sampled_from("ab")] * 3, st.sampled_from([None, 0, 1])), max_size=6)))
    @example(
        [[("a", "b", "a", 1), ("b", "a", "b", 1), ("a", "a", "a", 1)], [("a", "b", "a", 1), ("b", "a", "b", 1)] * 2]
    )
    @example(
        [[("a", "a", "a", 1), ("b", "b", "b", 1), ("a", "a", "a", 1)], [("a",) * 3 + (1,), *[("b",) * 3 + (1,)] * 2]]
    )
    def test_taking_over_never_shows(self, cycles: list[list[tuple[str, str, str, float | None]]]) -> None:
        before = None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("monitor.exposition.render._ROWS_A_PIECE", 2)
            for rows in cycles:
                table = group_partitions([row[:3] for row in rows], lag_messages=[row[3] for row in rows])
                after = render_cluster(view({"any": table}), before)
                assert plain_of(after) == plain_of(render_cluster(view({"any": table})))
                before = after

    def test_a_family_that_comes_back_is_rendered(self) -> None:
        table = group_partitions([("g", "t", "0")], lag_messages=[5])
        gone = render_cluster(ClusterView(health()), render_cluster(view({"any": table})))

        assert values_by(
            plain_of(render_cluster(view({"any": table}), gone)), "kafka_consumer_group_lag_messages", "group"
        )


class TestSubscriptions:
    def test_sums_over_a_part_of_the_partitions_are_left_out(self) -> None:
        partial = subscription(
            consumers=2, in_flight_messages=1.0, published_messages_total=5.0, expected=3, measured=2
        )

        text = text_of([partial], [verdict(Status.UNKNOWN, drain_seconds=3.0)])

        for family in ("backlog_messages", "oldest_age_seconds", "in_flight_messages", "drain_seconds"):
            assert samples_of(text, f"subscription_{family}") == {}
        assert samples_of(text, "subscription_published_messages_total") == {}
        assert values_by(text, "subscription_consumers", "subscriber") == {"notification": 2.0}
        assert values_by(text, "subscription_status", "status")["unknown"] == 1.0

    def test_a_backlog_that_never_drains_takes_forever_and_an_unknown_one_has_no_sample(self) -> None:
        subs = [subscription("never"), subscription("unknown"), subscription("soon")]

        text = text_of(subs, [verdict(drain_seconds=math.inf), verdict(), verdict(drain_seconds=0.5)])

        assert values_by(text, "subscription_drain_seconds", "destination") == {"never": math.inf, "soon": 0.5}

    def test_exactly_one_status_holds(self) -> None:
        text = text_of([subscription()], [verdict(Status.STALLED)])

        assert values_by(text, "subscription_status", "status") == {
            status.value: float(status is Status.STALLED) for status in Status
        }

    def test_owner_and_way_of_the_age_are_labels_of_info(self) -> None:
        text = text_of([subscription(oldest_age=Age(1.0, AgeMethod.LOWER_BOUND))], [verdict(owner="checkout")])

        assert values_by(text, "subscription_info", "owner", "age_method") == {("checkout", "lower_bound"): 1.0}

    def test_the_objective_is_shown_where_there_is_one(self) -> None:
        subs = [subscription("with"), subscription("without")]

        text = text_of(subs, [verdict(objective_age_seconds=30.0, objective_target=0.999), verdict()])

        assert values_by(text, "subscription_objective_age_seconds", "destination") == {"with": 30.0}
        assert values_by(text, "subscription_objective_target_ratio", "destination") == {"with": 0.999}

    def test_time_is_counted_by_outcome_where_there_is_an_objective(self) -> None:
        subs = [subscription("without"), subscription("with")]
        seconds = {"met": 45.0, "missed": 15.0, "unknown": 0.0}

        text = text_of(subs, [verdict(), verdict(objective_seconds=seconds)])

        found = values_by(text, "subscription_objective_seconds_total", "destination", "outcome")
        assert found == {("with", outcome): value for outcome, value in seconds.items()}


class TestDeadLetters:
    def test_each_origin_has_a_sample_of_info(self) -> None:
        queue = dead_letter_queue(
            origins=(Origin("order-events", FoundBy.HEADERS), Origin("payments", FoundBy.TOPOLOGY)), messages=0.0
        )

        text = plain_of(render_cluster(view(dead_letters=[queue])))

        found = values_by(text, "dead_letter_info", "origin", "found_by")
        assert found == {("order-events", "headers"): 1.0, ("payments", "topology"): 1.0}
        assert values_by(text, "dead_letter_messages", "queue") == {"order-events.dlq": 0.0}

    def test_without_an_origin_info_says_how_the_queue_itself_was_found(self) -> None:
        text = plain_of(render_cluster(view(dead_letters=[dead_letter_queue()])))

        assert values_by(text, "dead_letter_info", "origin", "found_by") == {("", "name"): 1.0}

    def test_all_that_is_known_is_shown(self) -> None:
        queue = dead_letter_queue(
            messages=4.0,
            oldest_age=Age(60.0, AgeMethod.EXACT),
            retention_seconds=86_400.0,
            expires_at=1_700_000_000.0,
            arrivals_total=9.0,
            problems=(Problem.RETENTION_TOO_SHORT, Problem.NOT_ALLOWED),
        )

        text = plain_of(render_cluster(view(dead_letters=[queue])))

        assert {
            family: values_by(text, f"dead_letter_{family}", "queue")["order-events.dlq"]
            for family in (
                "messages",
                "oldest_age_seconds",
                "retention_seconds",
                "expiry_timestamp_seconds",
                "arrivals_total",
            )
        } == {
            "messages": 4.0,
            "oldest_age_seconds": 60.0,
            "retention_seconds": 86_400.0,
            "expiry_timestamp_seconds": 1_700_000_000.0,
            "arrivals_total": 9.0,
        }
        assert values_by(text, "dead_letter_problem", "problem") == {"retention_too_short": 1.0, "not_allowed": 1.0}

    def test_a_source_without_a_dead_letter_queue_has_a_problem_and_no_numbers(self) -> None:
        source = dead_letter_queue(
            "order-events", retention_seconds=60.0, problems=(Problem.TARGET_MISSING,), role=Role.WORK
        )

        text = plain_of(render_cluster(view(dead_letters=[source])))

        assert values_by(text, "dead_letter_problem", "queue", "problem") == {("order-events", "target_missing"): 1.0}
        assert samples_of(text, "dead_letter_info") == {}
        assert samples_of(text, "dead_letter_retention_seconds") == {}


class TestEqualLabels:
    def test_of_queues_with_equal_labels_the_same_one_has_series_in_whatever_order_they_are_seen(self) -> None:
        queues = [
            Subscription(id_, System.RABBITMQ, "mail", "a/b", "a/b", backlog_messages=backlog)
            for id_, backlog in (("mail/a/b", 1.0), ("mail/a%2Fb", 2.0))
        ]
        dead = [replace(dead_letter_queue("x/y"), id=id_, messages=n) for id_, n in (("m/x/y", 1.0), ("m/x%2Fy", 2.0))]
        for order in (1, -1):
            both = view(subscriptions=queues[::order], dead_letters=dead[::order])
            further = muted_tables(both, lambda id_: Mute(1, id_, 9.0, "", "me", 0.0))
            text = plain_of(render_cluster(both, further=further))
            names = [line.rpartition(" ")[0] for line in text.splitlines() if line]
            assert len(names) == len(set(names))
            assert values_by(text, "subscription_backlog_messages", "destination") == {"a/b": 2.0}
            assert values_by(text, "dead_letter_messages", "queue") == {"x/y": 2.0}


class TestCollectors:
    def test_before_the_first_cycle_ended_nothing_is_said_of_up_or_success(self) -> None:
        text = plain_of(render_cluster(ClusterView(health(up=None, last_success=None, cycle_seconds=None))))

        assert samples_of(text, "collector_up") == {}
        assert samples_of(text, "collector_last_success_timestamp_seconds") == {}
        assert values_by(text, "collector_interval_seconds", "system") == {"kafka": 15.0}

    def test_errors_of_every_reason_are_there_from_the_start(self) -> None:
        text = plain_of(render_cluster(ClusterView(health(errors_total={"timeout": 3}))))

        expected = dict.fromkeys(REASONS, 0.0) | {"timeout": 3.0}
        assert values_by(text, "collector_errors_total", "reason") == expected

    def test_a_failed_cycle_is_down_and_keeps_the_last_values(self) -> None:
        last = view({}, [subscription()], of=health(up=False, missed_runs_total=2))

        text = plain_of(render_cluster(last))

        assert values_by(text, "collector_up", "system") == {"kafka": 0.0}
        assert values_by(text, "collector_missed_runs_total", "system") == {"kafka": 2.0}
        assert values_by(text, "subscription_backlog_messages", "subscriber") == {"notification": 600.0}

    def test_without_a_snapshot_only_the_collector_is_told_of(self) -> None:
        before = render_cluster(view({"any": group_partitions([("g", "t", "0")], lag_messages=[5])}, [subscription()]))

        after = render_cluster(ClusterView(health(up=False)), before)

        assert {family.split("_")[0] for family in after.blocks} == {"collector"}

    def test_series_are_as_many_as_there_are_samples(self) -> None:
        table = group_partitions([("g", "t", "0"), ("g", "t", "1")], lag_messages=[None, 7])

        text = render_cluster(view({"any": table}, [subscription()], dead_letters=[dead_letter_queue()]))

        lines = [line for line in plain_of(text).split("\n") if line]
        assert text.samples == len(lines)
        assert values_by(plain_of(text), "collector_series", "system") == {"kafka": float(len(lines))}
