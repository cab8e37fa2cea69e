"""An AWS account in a region: who asks, what to watch there, and what asking may cost."""

from typing import Annotated, Literal

from pydantic import Field

from monitor.config.clusters.base import ClusterSection
from monitor.config.section import Filter, Section
from monitor.config.values import HttpUrl, Interval, Name


class AwsCloudWatch(Section):
    """What to ask CloudWatch for; each metric asked costs money.

    `settle` is how long a value may still change after its minute, `monthly_budget_dollars` what 30 days may cost:
    where `interval` would cost more, CloudWatch is asked less often.
    """

    enabled: bool = True
    interval: Interval = 60.0
    settle: Interval = 600.0
    monthly_budget_dollars: Annotated[float, Field(gt=0)] | None = None


class AwsRedrive(Section):
    """The right to redrive in an AWS account, as another profile or role than those that watch."""

    profile: str | None = None
    role_arn: str | None = None


class AwsCluster(ClusterSection):
    """An AWS account in a region, with its SQS queues and SNS topics. Credentials come by the standard chain."""

    kind: Literal["aws"]
    region: Name
    endpoint_url: HttpUrl | None = None
    profile: str | None = None
    role_arn: str | None = None
    queues: Filter = Filter()
    topics: Filter = Filter()
    cloudwatch: AwsCloudWatch = AwsCloudWatch()
    topics_interval: Interval = 60.0  # topics and subscriptions change slowly
    interval: Interval = 30.0
    redrive: AwsRedrive | None = None

    @property
    def counters_every(self) -> float:
        """Seconds after which CloudWatch is asked again: it counts by the minute."""
        return self.cloudwatch.interval if self.cloudwatch.enabled else 0.0
