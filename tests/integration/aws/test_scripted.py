"""What the stand-in cannot be brought to say: denials, throttling, 9,500 queues. The other side is a scripted fake."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.brokers.aws.collector import AwsCollector
from monitor.clock import Clock
from monitor.config import AwsCluster
from monitor.errors import AuthenticationFailed, BadAnswer, Forbidden, TimedOut, TlsFailed, Unreachable
from monitor.model import Finding, Problem
from tests.integration.aws.scripted import (
    ACCESS_KEY,
    ACCOUNT,
    HEAD,
    Refusal,
    Request,
    ScriptedAws,
    denied,
    operation_of,
    scripted_aws,
)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not a real one")


@pytest.fixture
def aws() -> Iterator[ScriptedAws]:
    with scripted_aws() as script:
        script.holds_queues(["orders", "payments"])
        script.has_no_topics()
        script.answers["GetMetricData"] = {"MetricDataResults": []}
        script.answers["GetCallerIdentity"] = f"<Account>{ACCOUNT}</Account><Arn>arn:aws:iam::{ACCOUNT}:user/m</Arn>"
        yield script


@pytest.fixture
def collector(aws: ScriptedAws) -> Iterator[AwsCollector]:
    config = AwsCluster(name="aws", kind="aws", region="us-east-1", endpoint_url=aws.url)
    made = AwsCollector(config, [], Clock())
    yield made
    made.close()


def in_seconds(seconds: float) -> float:
    return time.monotonic() + seconds


def failed(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {finding.target: finding for finding in findings if not finding.ok}


def test_with_all_rights_everything_is_fine(aws: ScriptedAws, collector: AwsCollector) -> None:
    findings = collector.check(in_seconds(20))
    assert failed(findings) == {}
    assert f"account {ACCOUNT}" in findings[0].message


def test_each_missing_right_is_named_with_what_to_do(aws: ScriptedAws, collector: AwsCollector) -> None:
    subscription = f"<SubscriptionArn>arn:aws:sns:us-east-1:{ACCOUNT}:t:1</SubscriptionArn>"
    aws.answers["ListSubscriptions"] = f"<Subscriptions><member>{subscription}</member></Subscriptions>"
    aws.answers["GetSubscriptionAttributes"] = "<Attributes/>"
    rights = {
        "sqs:GetQueueAttributes": True,
        "sqs:ListQueues": True,
        "sns:ListTopics": False,
        "sns:GetSubscriptionAttributes": False,
        "sns:ListSubscriptions": False,
        "cloudwatch:GetMetricData": False,
        "sts:GetCallerIdentity": False,
    }
    for action, required in rights.items():
        allowed = aws.answers[operation_of(action)]
        aws.answers[operation_of(action)] = denied(action.replace("sns:", "SNS:"))
        finding = failed(collector.check(in_seconds(20)))[action]
        assert "is not authorized" in finding.message
        assert finding.remedy.startswith(f"allow {action} to these credentials; without it ")
        assert finding.required is required
        aws.answers[operation_of(action)] = allowed
    assert failed(collector.check(in_seconds(20))) == {}


def test_a_denied_listing_of_queues_is_an_error_of_the_cycle(aws: ScriptedAws, collector: AwsCollector) -> None:
    aws.answers["ListQueues"] = denied("sqs:listqueues")
    with pytest.raises(Forbidden):
        collector.collect(in_seconds(20))


def test_queues_that_deny_their_attributes_are_unknown_and_the_rest_stays(
    aws: ScriptedAws, collector: AwsCollector
) -> None:
    allowed = aws.answers["GetQueueAttributes"]
    assert callable(allowed)

    def deny_orders(request: Request) -> object:
        return denied("sqs:getqueueattributes") if request["QueueUrl"].endswith("/orders") else allowed(request)

    aws.answers["GetQueueAttributes"] = deny_orders  # type: ignore[assignment]
    snapshot = collector.collect(in_seconds(20))
    orders, payments = snapshot.subscriptions
    assert (orders.complete, orders.backlog_messages, orders.oldest_age.seconds) == (False, None, None)
    assert (payments.complete, payments.backlog_messages) == (True, 0.0)
    assert (snapshot.expected, snapshot.measured) == (2, 1)
    (error,) = snapshot.errors
    assert (error.reason, error.target) == ("forbidden", "sqs:GetQueueAttributes")
    assert error.message.startswith("orders: ")


def test_a_listing_that_is_denied_later_keeps_the_queues_that_are_known(
    aws: ScriptedAws, collector: AwsCollector
) -> None:
    collector.collect(in_seconds(20))
    aws.answers["ListQueues"] = denied("sqs:listqueues")
    snapshot = collector.collect(in_seconds(20))
    assert [it.destination for it in snapshot.subscriptions] == ["orders", "payments"]
    assert [error.target for error in snapshot.errors] == ["sqs:ListQueues"]


def test_without_rights_on_sns_and_cloudwatch_the_queues_are_read(aws: ScriptedAws, collector: AwsCollector) -> None:
    aws.answers["ListTopics"] = denied("SNS:ListTopics")
    aws.answers["GetMetricData"] = denied("cloudwatch:GetMetricData")
    snapshot = collector.collect(in_seconds(20))
    assert snapshot.measured == 2
    assert {error.target for error in snapshot.errors} == {"sns:ListTopics", "cloudwatch:GetMetricData"}
    assert snapshot.subscriptions[0].published_messages_total is None
    # between the slower passes the cycle goes on saying so
    assert {error.target for error in collector.collect(in_seconds(20)).errors} == {
        "sns:ListTopics",
        "cloudwatch:GetMetricData",
    }


@pytest.mark.parametrize("code", ["InvalidClientTokenId", "ExpiredToken"])
def test_wrong_and_expired_credentials_are_told_as_such(aws: ScriptedAws, collector: AwsCollector, code: str) -> None:
    aws.answers["ListQueues"] = Refusal(code, "The security token included in the request is invalid.")
    with pytest.raises(AuthenticationFailed, match=code):
        collector.collect(in_seconds(20))


def test_a_clock_that_is_off_is_not_taken_for_wrong_credentials(aws: ScriptedAws, collector: AwsCollector) -> None:
    told = "Signature expired: 20261124T100000Z is now earlier than 20261124T101500Z (20261124T102000Z - 5 min.)"
    aws.answers["ListQueues"] = Refusal("SignatureDoesNotMatch", told)
    with pytest.raises(AuthenticationFailed, match="time of the request") as caught:
        collector.collect(in_seconds(20))
    assert "clock" in caught.value.remedy


def test_credentials_that_were_renewed_in_their_file_are_used_without_a_restart(
    aws: ScriptedAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    listing = aws.answers["ListQueues"]
    assert callable(listing)

    def expire(request: Request) -> object:
        return Refusal("ExpiredToken", "expired") if request[ACCESS_KEY] == "AKIDOLD" else listing(request)

    aws.answers["ListQueues"] = expire  # type: ignore[assignment]
    config = AwsCluster(name="aws", kind="aws", region="us-east-1", endpoint_url=aws.url, profile="shop")
    with contextlib.closing(AwsCollector(config, [], Clock())) as collector:
        file.write_text("[shop]\naws_access_key_id = AKIDOLD\naws_secret_access_key = x\n")
        with pytest.raises(AuthenticationFailed, match="expired"):
            collector.collect(in_seconds(20))
        file.write_text("[shop]\naws_access_key_id = AKIDNEW\naws_secret_access_key = x\n")
        assert collector.collect(in_seconds(20)).measured == 2


def test_throttled_calls_are_tried_again_and_counted(aws: ScriptedAws, collector: AwsCollector) -> None:
    attributes = aws.answers["GetQueueAttributes"]
    assert callable(attributes)

    def throttle_first(request: Request) -> object:
        first = aws.asked["GetQueueAttributes"] == 1
        return Refusal("RequestThrottled", "Slow down", 400) if first else attributes(request)

    aws.answers["GetQueueAttributes"] = throttle_first  # type: ignore[assignment]
    snapshot = collector.collect(in_seconds(20))
    assert (snapshot.measured, snapshot.errors) == (2, ())
    api = snapshot.tables["aws_api"]
    (row,) = api.rows_where({"operation": "GetQueueAttributes"})
    assert api.columns["aws_api_requests_total"][row] == 3
    assert api.columns["aws_api_throttled_total"][row] == 1


def test_a_queue_whose_calls_stay_throttled_is_unknown_and_the_rest_stays(
    aws: ScriptedAws, collector: AwsCollector
) -> None:
    attributes = aws.answers["GetQueueAttributes"]
    assert callable(attributes)

    def throttle_orders(request: Request) -> object:
        busy = request["QueueUrl"].endswith("/orders")
        return Refusal("RequestThrottled", "Slow down", 400) if busy else attributes(request)

    aws.answers["GetQueueAttributes"] = throttle_orders  # type: ignore[assignment]
    snapshot = collector.collect(in_seconds(20))
    assert [it.backlog_messages for it in snapshot.subscriptions] == [None, 0.0]
    assert [(error.reason, error.target) for error in snapshot.errors] == [("throttled", "sqs:GetQueueAttributes")]
    assert aws.asked["GetQueueAttributes"] == 4  # one answered, one tried three times


def test_a_target_in_another_region_is_told_and_not_taken_for_the_queue_of_that_name_here(
    aws: ScriptedAws, collector: AwsCollector
) -> None:
    attributes = aws.answers["GetQueueAttributes"]
    assert callable(attributes)
    policy = {"deadLetterTargetArn": HEAD.replace("us-east-1", "eu-west-1") + "payments", "maxReceiveCount": 3}

    def point_abroad(request: Request) -> object:
        told: Any = attributes(request)
        if request["QueueUrl"].endswith("/orders"):
            return {"Attributes": {**told["Attributes"], "RedrivePolicy": json.dumps(policy)}}
        return told

    aws.answers["GetQueueAttributes"] = point_abroad  # type: ignore[assignment]
    problems = {it.queue: it.problems for it in collector.collect(in_seconds(20)).dead_letters}
    assert problems == {"orders": (Problem.OTHER_REGION,), "payments": (Problem.NONE_CONFIGURED,)}


def assuming(aws: ScriptedAws, **more: object) -> AwsCollector:
    config = {"name": "aws", "kind": "aws", "region": "us-east-1", "endpoint_url": aws.url, **more}
    return AwsCollector(AwsCluster.model_validate({**config, "role_arn": "arn:aws:iam::1:role/m"}), [], Clock())


def test_the_credentials_of_a_role_are_renewed_before_they_expire(aws: ScriptedAws) -> None:
    def assume(_: Request) -> str:
        # AWS gives an hour; what has less than ten minutes left is renewed at the next call
        expires = datetime.now(UTC) + timedelta(minutes=5)
        key = f"<AccessKeyId>ASIA{aws.asked['AssumeRole']}</AccessKeyId><SecretAccessKey>x</SecretAccessKey>"
        token = f"<SessionToken>t</SessionToken><Expiration>{expires:%Y-%m-%dT%H:%M:%SZ}</Expiration>"
        return f"<Credentials>{key}{token}</Credentials>"

    aws.answers["AssumeRole"] = assume
    with contextlib.closing(assuming(aws, cloudwatch={"enabled": False})) as collector:
        assert collector.collect(in_seconds(20)).measured == 2
        once = aws.asked["AssumeRole"]
        assert collector.collect(in_seconds(20)).measured == 2
        assert aws.asked["AssumeRole"] > once > 0


def test_a_role_that_may_not_be_assumed_is_told_as_such(aws: ScriptedAws) -> None:
    aws.answers["AssumeRole"] = denied("sts:AssumeRole")
    with contextlib.closing(assuming(aws)) as collector:
        with pytest.raises(Forbidden, match=r"sts:AssumeRole: .* allow sts:AssumeRole .* let the role trust them"):
            collector.collect(in_seconds(20))
        assert {finding.target for finding in collector.check(in_seconds(20))} >= {"sqs:ListQueues"}


def test_a_budget_slows_cloudwatch_down_and_says_so(aws: ScriptedAws) -> None:
    watch = {"interval": "1m", "monthly_budget_dollars": 0.5}
    config = {"name": "aws", "kind": "aws", "region": "us-east-1", "endpoint_url": aws.url, "cloudwatch": watch}
    with contextlib.closing(AwsCollector(AwsCluster.model_validate(config), [], Clock())) as collector:
        snapshot = collector.collect(in_seconds(20))
    # eight metrics of two empty queues: $3.46 a month by the minute
    assert any("asked every 415 s, slowed down by its budget" in note for note in snapshot.notes)
    api, watched = snapshot.tables["aws_api"], snapshot.tables["cloudwatch"]
    (row,) = api.rows_where({"operation": "GetMetricData"})
    assert api.columns["aws_api_monthly_cost_dollars"][row] == pytest.approx(0.5)
    assert watched.columns["cloudwatch_monthly_budget_dollars"].tolist() == [0.5]


def test_9500_queues_are_all_there_by_ten_pages(aws: ScriptedAws, collector: AwsCollector) -> None:
    names = [f"queue-{i:04}" for i in range(9_500)]
    aws.holds_queues(names)
    # attributes of so many take long here, where client and service share a process: what is not read is said
    snapshot = collector.collect(in_seconds(3))
    assert aws.asked["ListQueues"] == 10
    assert [it.destination for it in snapshot.subscriptions] == names
    assert snapshot.expected == 9_500
    assert 0 < snapshot.measured < 9_500
    assert {error.reason for error in snapshot.errors} == {"timeout"}


def test_an_answer_that_is_no_answer_of_aws_is_told(aws: ScriptedAws, collector: AwsCollector) -> None:
    aws.answers["ListQueues"] = "<html>a proxy</html>"
    with pytest.raises(BadAnswer):
        collector.collect(in_seconds(20))


def test_an_unavailable_service_is_unreachable(aws: ScriptedAws, collector: AwsCollector) -> None:
    aws.answers["ListQueues"] = Refusal("ServiceUnavailable", "later", 503)
    with pytest.raises(Unreachable, match="503"):
        collector.collect(in_seconds(20))


def test_https_to_a_port_that_speaks_none_is_a_tls_error(aws: ScriptedAws) -> None:
    url = aws.url.replace("http:", "https:")
    collector = AwsCollector(AwsCluster(name="aws", kind="aws", region="us-east-1", endpoint_url=url), [], Clock())
    with contextlib.closing(collector), pytest.raises(TlsFailed, match="endpoint_url"):
        collector.collect(in_seconds(20))


def test_no_answer_before_the_deadline_is_a_timeout(aws: ScriptedAws, collector: AwsCollector) -> None:
    given_up = threading.Event()

    def hang(_: Request) -> Refusal:
        told = "later" if given_up.wait(30) else "it was waited for"
        return Refusal("Late", told)

    aws.answers["ListQueues"] = hang
    with pytest.raises(TimedOut):
        collector.collect(in_seconds(0.3))
    given_up.set()
