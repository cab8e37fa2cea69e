"""CloudWatch: the age of the oldest message, and sums turned into counters, by GetMetricData in full batches.

Facts from the CloudWatch and SQS guides: SQS and SNS publish a datapoint a minute while a queue or topic is active, and
none for a minute without activity; values may still change for about ten minutes. GetMetricData takes 500 metrics a
call, is paged by NextToken, and is billed by the metrics asked ($0.01 per 1,000).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Self

from monitor.brokers.aws.client import Clients, translating
from monitor.brokers.aws.costs import metrics_a_month
from monitor.brokers.aws.workers import Workers
from monitor.config import AwsCloudWatch
from monitor.errors import BadAnswer, BrokerError
from monitor.memory import FORGETFUL, Memory
from monitor.model import Table

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import (
        GetMetricDataInputTypeDef,
        GetMetricDataOutputTypeDef,
        MetricDataQueryTypeDef,
    )

BATCH = 500
PERIOD = 60.0
FARTHEST_BACK_SECONDS = 3 * 3600.0
"""500 metrics over three hours are 90,000 datapoints: under the 100,800 that one page may have."""

_AGE_SLACK_SECONDS = 300.0
_SLOWEST_PROGRESS_SECONDS = 300.0

_NAME = "cloudwatch"
KEPT = ("settled", "counted_until", "answered_until", "total")
"""What is kept of a sum, so that another one can go on from there."""

QUEUE_AGE = "ApproximateAgeOfOldestMessage"
QUEUE_SUMS = {
    "sqs_queue_sent_total": "NumberOfMessagesSent",
    "sqs_queue_received_total": "NumberOfMessagesReceived",
    "sqs_queue_deleted_total": "NumberOfMessagesDeleted",
    "sqs_queue_empty_receives_total": "NumberOfEmptyReceives",
}
TOPIC_SUMS = {
    "sns_topic_published_total": "NumberOfMessagesPublished",
    "sns_topic_delivered_total": "NumberOfNotificationsDelivered",
    "sns_topic_failed_total": "NumberOfNotificationsFailed",
    "sns_topic_redriven_to_dlq_total": "NumberOfNotificationsRedrivenToDlq",
    "sns_topic_failed_to_redrive_total": "NumberOfNotificationsFailedToRedriveToDlq",
}
TOPIC_FILTERED = {
    "message_attributes": "NumberOfNotificationsFilteredOut-MessageAttributes",
    "message_body": "NumberOfNotificationsFilteredOut-MessageBody",
    "no_message_attributes": "NumberOfNotificationsFilteredOut-NoMessageAttributes",
    "invalid_attributes": "NumberOfNotificationsFilteredOut-InvalidAttributes",
    "invalid_message_body": "NumberOfNotificationsFilteredOut-InvalidMessageBody",
}


class Series(NamedTuple):
    """One metric of one queue or topic. `namespace` is AWS/SQS or AWS/SNS."""

    namespace: str
    name: str
    metric: str


class ReportedAge(NamedTuple):
    """The age of a queue's oldest message in seconds, as it was in the minute that began at `when` (Unix seconds)."""

    when: float
    seconds: float


def queue_series(queue: str, metric: str) -> Series:
    """Return the series of a queue."""
    return Series("AWS/SQS", queue, metric)


def topic_series(topic: str, metric: str) -> Series:
    """Return the series of a topic."""
    return Series("AWS/SNS", topic, metric)


class SettledSum:
    """A counter made of datapoints, each counted once by its timestamp.

    A datapoint counts provisionally as soon as it is seen, and is replaced by what a later answer says; once settled it
    is added for good. `total` never goes down: where a provisional value shrinks, it waits until the truth has caught
    up. Datapoints before `since` (Unix seconds, a full minute) do not count. `total` is None until the first answer,
    which is zero where there is no datapoint: CloudWatch leaves out minutes without activity.

    `answered_until` is the horizon of the last answer, from where the next one has to begin.
    """

    __slots__ = ("_recent", "_shown", "answered_until", "counted_until", "settled", "total")

    def __init__(self, since: float) -> None:
        self.answered_until = since
        self.total: float | None = None
        self.counted_until = since
        self.settled = 0.0
        self._shown = 0.0
        self._recent: dict[float, float] = {}

    @classmethod
    def resumed(cls, left: Mapping[str, float]) -> Self:
        """Return a sum that goes on where another one was left, whose attributes `KEPT` are given.

        What had not settled then is asked again and counted as it is now.
        """
        resumed = cls(since=left.get("counted_until", 0.0))
        resumed.answered_until = left.get("answered_until", resumed.counted_until)
        resumed.settled, resumed._shown = left.get("settled", 0.0), left.get("total", 0.0)
        return resumed

    def add(self, points: Iterable[tuple[float, float]], horizon: float) -> None:
        """Take in (timestamp, sum) of an answer; those before `horizon` have settled with it."""
        self._recent.update((when, value) for when, value in points if when >= self.counted_until)
        for when in [when for when in self._recent if when < horizon]:
            self.settled += self._recent.pop(when)
            # By the datapoint and not by the horizon: a clock that jumped ahead and back leaves no minutes uncounted.
            self.counted_until = max(self.counted_until, when + PERIOD)
        self.answered_until = horizon
        self.total = max(self.total or self._shown, self.settled + sum(self._recent.values()))


@dataclass(frozen=True, slots=True)
class Answer:
    """The datapoints, as (timestamp, value), of the series that were answered completely, and the state of others."""

    points: Mapping[Series, Sequence[tuple[float, float]]]
    refused: Mapping[Series, str]
    pages: int


class CloudWatch:
    """What CloudWatch said so far, asked at its own, slower pace.

    Counters begin at zero in the minute of the first pass; those that `memory` knows go on where they were left, with
    what happened since, for the three hours that are asked for at most.
    `billable_total` counts the metrics asked (for each page, so at most too many), `newest` is the time of the newest
    datapoint that came, `errors` are those of the last pass.
    """

    def __init__(self, config: AwsCloudWatch, memory: Memory = FORGETFUL) -> None:
        self._config, self._memory = config, memory
        self._left = {Series(*labels): numbers for labels, numbers in memory.recall(_NAME, Series._fields).items()}
        self._sums: dict[Series, SettledSum] = {}
        self._ages: dict[str, ReportedAge] = {}
        self._started: float | None = None
        self._asked_at: float | None = None
        self._metrics_in_pass = 0
        self.billable_total = 0
        self.newest: float | None = None
        self.errors: tuple[BrokerError, ...] = ()

    def is_due(self, monotonic: float) -> bool:
        """Say whether it is time for a pass, or nearly so, as cycles do not come to the moment."""
        if not self._config.enabled:
            return False
        # Where the budget sets the pace, a pass that comes early costs more than the budget.
        early = 0.9 if self.pace == self._config.interval else 1.0
        return self._asked_at is None or monotonic - self._asked_at >= early * self.pace

    @property
    def pace(self) -> float:
        """Seconds between passes: the configured interval, or longer where the budget asks for it."""
        if self.budget_dollars is None:
            return self._config.interval
        return max(self._config.interval, metrics_a_month(self._metrics_in_pass, pace=1.0) / self.budget_dollars)

    @property
    def tells_progress(self) -> bool:
        """Say whether the counters move often enough to tell a consumer that stands from one that gets on."""
        return self.pace <= _SLOWEST_PROGRESS_SECONDS

    @property
    def leaves_gaps(self) -> bool:
        """Say whether passes are so far apart that minutes between them are never counted."""
        return self.pace > FARTHEST_BACK_SECONDS

    @property
    def budget_dollars(self) -> float | None:
        """What 30 days may cost; None without a budget."""
        return self._config.monthly_budget_dollars

    @property
    def monthly_dollars(self) -> float:
        """What 30 days cost at the present pace."""
        return metrics_a_month(self._metrics_in_pass, self.pace)

    def read(
        self,
        clients: Clients,
        workers: Workers,
        series: Sequence[Series],
        now: float,
        monotonic: float,
        deadline: float,
    ) -> None:
        """Ask for all series once. Batches that fail are in `errors` then, and later passes make up for three hours.

        `now` is Unix seconds; `monotonic` and `deadline` are of the clock that never jumps.
        """
        self._asked_at, self._metrics_in_pass = monotonic, len(series)
        self.billable_total += len(series)
        horizon = (now - self._config.settle) // PERIOD * PERIOD
        end = now // PERIOD * PERIOD + PERIOD
        self._begin_sums(series, now, horizon)
        batches = [series[at : at + BATCH] for at in range(0, len(series), BATCH)]
        calls = [partial(_ask, clients, batch, self._find_start(batch, now, horizon), end) for batch in batches]
        errors: list[BrokerError] = []
        for batch, outcome in zip(batches, workers.run(calls, deadline), strict=True):
            if isinstance(outcome, BrokerError):
                errors.append(outcome)
                continue
            self.billable_total += (outcome.pages - 1) * len(batch)
            self._take(outcome, horizon)
            if outcome.refused:
                states = ", ".join(sorted(set(outcome.refused.values())))
                problem = f"{len(outcome.refused)} of {len(batch)} metrics were not answered ({states})"
                errors.append(BadAnswer(problem, target="cloudwatch:GetMetricData"))
        self.errors = tuple(errors)
        self._keep_sums()

    def _keep_sums(self) -> None:
        answered = {one: total for one, total in self._sums.items() if total.total is not None}
        columns = {name: [getattr(total, name) for total in answered.values()] for name in KEPT}
        self._memory.keep(_NAME, Table.of_rows(Series._fields, list(answered), columns))

    def forget(self, keep: Iterable[Series]) -> None:
        """Drop the counters and ages of what is not there any more."""
        kept = set(keep)
        self._sums = {one: total for one, total in self._sums.items() if one in kept}
        names = {one.name for one in kept if one.namespace == "AWS/SQS"}
        self._ages = {name: age for name, age in self._ages.items() if name in names}

    def total_of(self, series: Series) -> float | None:
        """Return a counter, None before the first complete answer."""
        found = self._sums.get(series)
        return None if found is None else found.total

    def age_of(self, queue: str, now: float, not_before: float = 0.0) -> ReportedAge | None:
        """Return the newest reported age of a queue's oldest message, None where it is too old to tell.

        `not_before` is when the queue was last seen empty: an age from before speaks of messages that are gone.
        """
        age = self._ages.get(queue)
        return age if age and age.when >= max(not_before, now - self._config.interval - _AGE_SLACK_SECONDS) else None

    def _begin_sums(self, series: Iterable[Series], now: float, horizon: float) -> None:
        if self._started is None:
            self._started = now // PERIOD * PERIOD
        for one in series:
            if one.metric != QUEUE_AGE and one not in self._sums:
                left = self._left.pop(one, None)
                self._sums[one] = SettledSum.resumed(left) if left else SettledSum(max(self._started, horizon))

    def _find_start(self, batch: Sequence[Series], now: float, horizon: float) -> float:
        unanswered = (self._sums[one].answered_until for one in batch if one in self._sums)
        earliest = min([*unanswered, horizon, now - _AGE_SLACK_SECONDS])
        return max(earliest, now - FARTHEST_BACK_SECONDS) // PERIOD * PERIOD

    def _take(self, answer: Answer, horizon: float) -> None:
        for one, points in answer.points.items():
            if points:
                newest = ReportedAge(*max(points))
                self.newest = max(self.newest or 0.0, newest.when)
                if one.metric == QUEUE_AGE:
                    self._ages[one.name] = newest
            if one in self._sums:
                self._sums[one].add(points, horizon)


def _ask(clients: Clients, batch: Sequence[Series], start: float, end: float) -> Answer:
    """Ask for at most `BATCH` series, to the last page: a series may go on there."""
    queries = [_query(index, one) for index, one in enumerate(batch)]
    points: dict[int, list[tuple[float, float]]] = {}
    states: dict[int, str] = {}
    token, pages = "", 0
    while token or not pages:
        page = _get_page(clients, queries, start, end, token)
        for result in page.get("MetricDataResults", []):
            index = int(result["Id"][1:])
            states[index] = result.get("StatusCode", "Complete")
            stamps = (stamp.timestamp() for stamp in result["Timestamps"])
            points.setdefault(index, []).extend(zip(stamps, result["Values"], strict=False))
        token, pages = page.get("NextToken", ""), pages + 1
    return Answer(
        points={batch[index]: found for index, found in points.items() if states[index] == "Complete"},
        refused={batch[index]: state for index, state in states.items() if state != "Complete"},
        pages=pages,
    )


def _query(index: int, series: Series) -> "MetricDataQueryTypeDef":
    dimension = "QueueName" if series.namespace == "AWS/SQS" else "TopicName"
    return {
        "Id": f"m{index}",
        "MetricStat": {
            "Metric": {
                "Namespace": series.namespace,
                "MetricName": series.metric,
                "Dimensions": [{"Name": dimension, "Value": series.name}],
            },
            "Period": int(PERIOD),
            "Stat": "Maximum" if series.metric == QUEUE_AGE else "Sum",
        },
        "ReturnData": True,
    }


def _get_page(
    clients: Clients, queries: "Sequence[MetricDataQueryTypeDef]", start: float, end: float, token: str
) -> "GetMetricDataOutputTypeDef":
    asked: GetMetricDataInputTypeDef = {
        "MetricDataQueries": queries,
        "StartTime": datetime.fromtimestamp(start, UTC),
        "EndTime": datetime.fromtimestamp(end, UTC),
        "ScanBy": "TimestampAscending",
    }
    if token:
        asked["NextToken"] = token
    with translating("cloudwatch:GetMetricData"):
        return clients.cloudwatch.get_metric_data(**asked)
