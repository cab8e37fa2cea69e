"""What `eventflow check` asks of AWS: each call that the collector makes, once, with what to do where it fails."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from monitor.brokers.aws.client import Clients, translating
from monitor.brokers.aws.queues import read_queue
from monitor.brokers.aws.topics import read_attributes_of
from monitor.brokers.aws.workers import Workers
from monitor.errors import BrokerError
from monitor.model import Finding


@dataclass(frozen=True, slots=True)
class _Call:
    """One call to try; it returns what it found, in words. `loss` is what is not seen without it."""

    action: str
    make: Callable[[], str]
    loss: str
    required: bool = False


def check_permissions(clients: Clients, workers: Workers, now: float, deadline: float) -> list[Finding]:
    """Try every call that the collector makes, all at once. Raises BrokerError only when closed meanwhile."""
    calls = _list_calls(clients, now)
    outcomes = workers.run([call.make for call in calls], deadline)
    return [_judge(call, outcome) for call, outcome in zip(calls, outcomes, strict=True)]


def _judge(call: _Call, outcome: str | BrokerError) -> Finding:
    if isinstance(outcome, BrokerError):
        remedy = f"{outcome.remedy or 'try again, and look at the service'}; without it {call.loss}"
        return Finding(call.action, False, outcome.problem, remedy, call.required)
    return Finding(call.action, True, outcome, required=call.required)


def _list_calls(clients: Clients, now: float) -> Sequence[_Call]:
    return (
        _Call("sts:GetCallerIdentity", partial(_identify, clients), "the account is not known"),
        _Call("sqs:ListQueues", partial(_list_a_queue, clients), "no queue is found", required=True),
        _Call("sqs:GetQueueAttributes", partial(_read_a_queue, clients), "no depth is known", required=True),
        _Call("sns:ListTopics", partial(_list_topics, clients), "SNS is not seen"),
        _Call("sns:ListSubscriptions", partial(_list_subscriptions, clients), "SNS is not seen"),
        _Call(
            "sns:GetSubscriptionAttributes",
            partial(_read_a_subscription, clients),
            "dead-letter queues and filters of SNS subscriptions are not known",
        ),
        _Call(
            "cloudwatch:GetMetricData",
            partial(_read_a_metric, clients, now),
            "there are no counters, and ages are not known",
        ),
    )


def _identify(clients: Clients) -> str:
    with translating("sts:GetCallerIdentity"):
        identity = clients.sts.get_caller_identity()
    dummy = ", by dummy credentials since the endpoint is on loopback and none were found" if clients.stand_in else ""
    return f"account {identity['Account']} as {identity['Arn']}{dummy}"


def _first_queue(clients: Clients) -> str | None:
    with translating("sqs:ListQueues"):
        return next(iter(clients.sqs.list_queues(MaxResults=1).get("QueueUrls", [])), None)


def _list_a_queue(clients: Clients) -> str:
    return "allowed" if _first_queue(clients) else "allowed, but there is no queue"


def _read_a_queue(clients: Clients) -> str:
    url = _first_queue(clients)
    if url is None:
        return "not tried, since there is no queue"
    read_queue(clients, url)
    return "allowed"


def _list_topics(clients: Clients) -> str:
    with translating("sns:ListTopics"):
        clients.sns.list_topics()
    return "allowed"


def _first_subscription(clients: Clients) -> str | None:
    with translating("sns:ListSubscriptions"):
        arns = (entry["SubscriptionArn"] for entry in clients.sns.list_subscriptions()["Subscriptions"])
        return next((arn for arn in arns if arn.startswith("arn:")), None)


def _list_subscriptions(clients: Clients) -> str:
    return "allowed" if _first_subscription(clients) else "allowed, but there is no confirmed subscription"


def _read_a_subscription(clients: Clients) -> str:
    arn = _first_subscription(clients)
    if arn is None:
        return "not tried, since there is no confirmed subscription"
    read_attributes_of(clients, arn)
    return "allowed"


def _read_a_metric(clients: Clients, now: float) -> str:
    end = datetime.fromtimestamp(now, UTC).replace(second=0, microsecond=0)
    with translating("cloudwatch:GetMetricData"):
        clients.cloudwatch.get_metric_data(
            MetricDataQueries=[
                {
                    "Id": "m0",
                    "MetricStat": {
                        "Metric": {"Namespace": "AWS/SQS", "MetricName": "NumberOfMessagesSent"},
                        "Period": 60,
                        "Stat": "Sum",
                    },
                }
            ],
            StartTime=end - timedelta(minutes=5),
            EndTime=end,
        )
    return "allowed; this one metric asked cost $0.00001"
