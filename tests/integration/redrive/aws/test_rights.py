"""Redriving with another profile or role than those that watch.

The stand-in enforces no IAM, but gives each account queues of its own: what a bus sees tells whose credentials it uses.
"""

import contextlib
from pathlib import Path
from typing import Any

import boto3
import pytest

from monitor.brokers.aws.client import Missing
from monitor.brokers.aws.redrive import AwsRedriveBus
from monitor.clock import Clock
from monitor.config import AwsCluster
from monitor.letters import PlanRequest
from stack.state import Endpoints
from tests.integration.aws.conftest import REGION, open_aws
from tests.integration.redrive.aws.conftest import deadline

WATCHING, REDRIVING = "444444444444", "555555555555"


@pytest.mark.parametrize(
    "rights",
    [{"profile": "redriving"}, {"role_arn": f"arn:aws:iam::{REDRIVING}:role/redrive"}],
    ids=["profile", "role"],
)
def test_a_redrive_uses_the_rights_that_are_named_for_it_and_not_those_that_watch(
    endpoints: Endpoints, rights: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    keys = {"watching": WATCHING, "redriving": REDRIVING}
    file.write_text(
        "".join(f"[{name}]\naws_access_key_id = {it}\naws_secret_access_key = x\n" for name, it in keys.items())
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    told: dict[str, Any] = {"name": "cloud", "kind": "aws", "region": REGION, "endpoint_url": endpoints.aws}
    watching = AwsCluster.model_validate({**told, "profile": "watching"})
    redriving = AwsCluster.model_validate({**told, "profile": "watching", "redrive": rights})
    with open_aws(endpoints.aws) as aws, contextlib.ExitStack() as clean_up:
        name = aws.name("dlq")
        sqs = boto3.Session(REDRIVING, "x", region_name=REGION).client("sqs", endpoint_url=endpoints.aws)
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        clean_up.callback(sqs.delete_queue, QueueUrl=url)
        sqs.send_message(QueueUrl=url, MessageBody="dead")
        request = PlanRequest(f"cloud/{name}", target="anywhere")
        with contextlib.closing(AwsRedriveBus(redriving, [], Clock())) as bus:
            assert bus.survey(name, request, deadline()).count == 1
        with contextlib.closing(AwsRedriveBus(watching, [], Clock())) as bus, pytest.raises(Missing):
            bus.survey(name, request, deadline())
