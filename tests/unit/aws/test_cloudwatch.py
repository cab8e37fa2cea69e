"""CloudWatch's arithmetic, and the paging of GetMetricData; answers are stubbed with botocore's Stubber."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from botocore.stub import ANY, Stubber
from hypothesis import given
from hypothesis import strategies as st

from monitor.brokers.aws.client import Calls, Clients, open_clients
from monitor.brokers.aws.cloudwatch import KEPT, QUEUE_AGE, CloudWatch, Series, SettledSum, queue_series
from monitor.brokers.aws.workers import Workers
from monitor.clock import Clock
from monitor.config import AwsCloudWatch, AwsCluster

MINUTE = 60.0
SENT = queue_series("orders", "NumberOfMessagesSent")
AGE = queue_series("orders", QUEUE_AGE)
NOON = 1_795_521_600.0


def test_a_datapoint_counts_once_however_often_it_is_answered() -> None:
    total = SettledSum(since=0.0)
    for _ in range(3):
        total.add([(0.0, 5.0), (60.0, 7.0)], horizon=0.0)
    assert total.total == 12.0


def test_a_datapoint_that_still_changes_counts_as_its_last_value() -> None:
    total = SettledSum(since=0.0)
    total.add([(0.0, 5.0)], horizon=0.0)
    total.add([(0.0, 9.0)], horizon=0.0)
    assert total.total == 9.0


def test_a_settled_datapoint_does_not_count_again() -> None:
    total = SettledSum(since=0.0)
    total.add([(0.0, 5.0)], horizon=60.0)
    total.add([(0.0, 50.0), (60.0, 1.0)], horizon=60.0)
    assert total.total == 6.0


def test_datapoints_before_the_beginning_do_not_count() -> None:
    total = SettledSum(since=120.0)
    total.add([(60.0, 5.0), (120.0, 1.0)], horizon=0.0)
    assert total.total == 1.0


def test_a_clock_that_jumps_ahead_and_back_leaves_no_minute_uncounted() -> None:
    total = SettledSum(since=0.0)
    total.add([(0.0, 5.0)], horizon=86_400.0)
    total.add([(0.0, 5.0), (60.0, 7.0)], horizon=0.0)
    total.add([(60.0, 7.0), (120.0, 1.0)], horizon=120.0)
    assert total.total == 13.0


def test_no_datapoint_is_zero_once_asked_and_unknown_before() -> None:
    total = SettledSum(since=0.0)
    assert total.total is None
    total.add([], horizon=0.0)
    assert total.total == 0.0


@given(
    st.lists(st.lists(st.integers(0, 100), min_size=1, max_size=4), min_size=1, max_size=30),
    st.integers(0, 5),
)
def test_a_counter_never_goes_down_and_ends_at_the_sum_of_the_settled_values(
    minutes: list[list[int]], settle_minutes: int
) -> None:
    # minutes[i] are the values that minute i has, one after the other; the last one stays
    def value(minute: int, at: int) -> float:
        versions = minutes[minute]
        return float(versions[min(at - minute, min(settle_minutes, len(versions) - 1))])

    total, before = SettledSum(since=0.0), 0.0
    for at in range(len(minutes) + settle_minutes + 1):
        points = [(m * MINUTE, value(m, at)) for m in range(min(at + 1, len(minutes)))]
        total.add(points, horizon=(at - settle_minutes) * MINUTE)
        assert total.total is not None
        assert total.total >= before
        before = total.total
    final = sum(value(m, len(minutes) + settle_minutes) for m in range(len(minutes)))
    assert total.total is not None
    assert total.total >= final
    # what came too high by a value that shrank is made up for by what follows
    total.add([((len(minutes) + 10) * MINUTE, 10_000.0)], horizon=(len(minutes) + 20) * MINUTE)
    assert total.total == final + 10_000.0


@pytest.fixture(scope="module")
def clients() -> Iterator[Clients]:
    config = AwsCluster(name="aws", kind="aws", region="us-east-1", endpoint_url="http://127.0.0.1:1")
    made = open_clients(config, Calls())
    yield made
    made.close()


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(2, Clock())
    yield made
    made.close()


def result(index: int, *points: tuple[float, float], state: str = "Complete") -> dict[str, object]:
    return {
        "Id": f"m{index}",
        "StatusCode": state,
        "Timestamps": [datetime.fromtimestamp(when, UTC) for when, _ in points],
        "Values": [value for _, value in points],
    }


def read(watch: CloudWatch, clients: Clients, workers: Workers, series: list[Series], now: float) -> None:
    watch.read(clients, workers, series, now, monotonic=now, deadline=Clock().monotonic() + 10)


def test_pages_of_one_series_are_added_up(clients: Clients, workers: Workers) -> None:
    watch = CloudWatch(AwsCloudWatch())
    with Stubber(clients.cloudwatch) as stub:
        first = {"MetricDataResults": [result(0, (NOON, 3.0), state="PartialData")], "NextToken": "more"}
        stub.add_response("get_metric_data", first)
        stub.add_response("get_metric_data", {"MetricDataResults": [result(0, (NOON + 60, 4.0))]})
        read(watch, clients, workers, [SENT], NOON + 120)
        stub.assert_no_pending_responses()
    assert watch.total_of(SENT) == 0.0  # both are from before the first pass
    assert watch.newest == NOON + 60
    assert watch.billable_total == 2
    assert watch.errors == ()


def test_the_window_reaches_back_to_what_has_not_settled_yet(clients: Clients, workers: Workers) -> None:
    watch = CloudWatch(AwsCloudWatch(settle=600.0))
    windows = []

    def remember(params: dict[str, object], **_: object) -> None:
        windows.append((params["StartTime"], params["EndTime"]))

    clients.cloudwatch.meta.events.register("before-parameter-build.cloudwatch.GetMetricData", remember)
    with Stubber(clients.cloudwatch) as stub:
        for minute in (0, 30):
            stub.add_response("get_metric_data", {"MetricDataResults": [result(0, (NOON + minute * 60, 1.0))]})
            read(watch, clients, workers, [SENT], NOON + minute * 60 + 5)
    # the second pass comes half an hour late, and goes back to what had not settled in the first one
    assert [datetime.fromtimestamp(NOON - 600, UTC), datetime.fromtimestamp(NOON - 600, UTC)] == [w[0] for w in windows]
    assert windows[1][1] == datetime.fromtimestamp(NOON + 31 * 60, UTC)
    assert watch.total_of(SENT) == 2.0


def test_metrics_that_are_not_answered_are_told_and_stay_unknown(clients: Clients, workers: Workers) -> None:
    watch = CloudWatch(AwsCloudWatch())
    with Stubber(clients.cloudwatch) as stub:
        stub.add_response("get_metric_data", {"MetricDataResults": [result(0, state="InternalError")]})
        read(watch, clients, workers, [SENT], NOON)
    assert watch.total_of(SENT) is None
    (error,) = watch.errors
    assert (error.reason, "InternalError" in error.problem) == ("bad_answer", True)


def test_more_than_500_metrics_are_asked_in_full_batches(clients: Clients, workers: Workers) -> None:
    watch = CloudWatch(AwsCloudWatch())
    series = [queue_series(f"q{i}", "NumberOfMessagesSent") for i in range(1_001)]
    sizes = []
    clients.cloudwatch.meta.events.register(
        "before-parameter-build.cloudwatch.GetMetricData",
        lambda params, **_: sizes.append(len(params["MetricDataQueries"])),
    )
    with Stubber(clients.cloudwatch) as stub:
        for _ in range(3):
            stub.add_response("get_metric_data", {"MetricDataResults": []})
        read(watch, clients, workers, series, NOON)
    assert sorted(sizes) == [1, 500, 500]
    assert watch.billable_total == 1_001


def test_an_age_is_used_while_it_is_recent_and_the_queue_was_not_seen_empty_since(
    clients: Clients, workers: Workers
) -> None:
    watch = CloudWatch(AwsCloudWatch())
    with Stubber(clients.cloudwatch) as stub:
        stub.add_response(
            "get_metric_data",
            {"MetricDataResults": [result(0, (NOON, 30.0), (NOON + 60, 90.0))]},
            {"MetricDataQueries": ANY, "StartTime": ANY, "EndTime": ANY, "ScanBy": "TimestampAscending"},
        )
        read(watch, clients, workers, [AGE], NOON + 120)
    assert watch.age_of("orders", NOON + 120) == (NOON + 60, 90.0)
    assert watch.age_of("orders", NOON + 120, not_before=NOON + 100) is None
    assert watch.age_of("orders", NOON + 3_600) is None
    assert watch.age_of("other", NOON + 120) is None


def test_passes_keep_their_pace_and_one_that_is_a_little_early_counts(clients: Clients, workers: Workers) -> None:
    watch = CloudWatch(AwsCloudWatch(interval=60.0))
    assert watch.is_due(0.0)
    with Stubber(clients.cloudwatch) as stub:
        stub.add_response("get_metric_data", {"MetricDataResults": []})
        read(watch, clients, workers, [SENT], NOON)
    assert not watch.is_due(NOON + 30)
    assert watch.is_due(NOON + 59.5)


def test_a_budget_slows_the_pace_to_what_it_allows(clients: Clients, workers: Workers) -> None:
    watch = CloudWatch(AwsCloudWatch(interval=60.0, monthly_budget_dollars=0.1))
    with Stubber(clients.cloudwatch) as stub:
        stub.add_response("get_metric_data", {"MetricDataResults": []})
        read(watch, clients, workers, [SENT], NOON)
    # one metric a minute is 43,200 in 30 days, $0.432
    assert watch.pace == pytest.approx(60.0 * 4.32)
    assert watch.monthly_dollars == pytest.approx(0.1)
    assert not watch.is_due(NOON + 0.95 * watch.pace)
    assert watch.is_due(NOON + watch.pace)


@pytest.mark.parametrize(
    ("budget", "tells_progress", "leaves_gaps"), [(None, True, False), (0.05, False, False), (0.001, False, True)]
)
def test_a_pace_that_is_too_slow_to_judge_or_to_count_by_says_so(
    clients: Clients, workers: Workers, budget: float | None, tells_progress: bool, leaves_gaps: bool
) -> None:
    watch = CloudWatch(AwsCloudWatch(interval=60.0, monthly_budget_dollars=budget))
    with Stubber(clients.cloudwatch) as stub:
        stub.add_response("get_metric_data", {"MetricDataResults": [result(0, (NOON, 9.0))]})
        read(watch, clients, workers, [AGE], NOON)
    assert (watch.tells_progress, watch.leaves_gaps) == (tells_progress, leaves_gaps)
    assert watch.age_of("orders", NOON + 360.0) is not None
    assert watch.age_of("orders", NOON + 361.0) is None  # the age grew meanwhile, or the message is gone


def test_nothing_is_asked_where_cloudwatch_is_disabled() -> None:
    assert not CloudWatch(AwsCloudWatch(enabled=False)).is_due(0.0)


def test_what_is_gone_is_forgotten(clients: Clients, workers: Workers) -> None:
    watch = CloudWatch(AwsCloudWatch())
    with Stubber(clients.cloudwatch) as stub:
        stub.add_response("get_metric_data", {"MetricDataResults": [result(0, (NOON, 3.0)), result(1, (NOON, 9.0))]})
        read(watch, clients, workers, [SENT, AGE], NOON)
    watch.forget([])
    assert (watch.total_of(SENT), watch.age_of("orders", NOON)) == (None, None)


def test_a_sum_goes_on_where_another_was_left_and_counts_each_datapoint_once() -> None:
    first = SettledSum(since=0.0)
    first.add([(0.0, 5.0), (60.0, 7.0), (120.0, 1.0)], horizon=120.0)
    assert first.total == 13.0
    left = {name: getattr(first, name) for name in KEPT}

    again = SettledSum.resumed(left)
    assert again.total is None
    # The minute that had not settled has grown meanwhile; what had settled is told again, as answers overlap.
    again.add([(0.0, 5.0), (60.0, 7.0), (120.0, 4.0), (180.0, 2.0)], horizon=120.0)
    assert again.total == 18.0


def test_a_sum_that_goes_on_is_never_below_what_was_shown() -> None:
    first = SettledSum(since=0.0)
    first.add([(60.0, 9.0)], horizon=0.0)
    left = {name: getattr(first, name) for name in KEPT}
    again = SettledSum.resumed(left)
    again.add([(60.0, 2.0)], horizon=0.0)
    assert again.total == 9.0
    again.add([(60.0, 2.0), (120.0, 10.0)], horizon=0.0)
    assert again.total == 12.0
