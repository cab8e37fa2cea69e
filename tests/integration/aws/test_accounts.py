"""Several accounts and regions, each a cluster with a profile or role of its own, on the stand-in.

The stand-in takes an access key of twelve digits for the number of an account, and enforces no IAM.
"""

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.integration.aws.conftest import REGION, Aws, by_queue, collect, rows

PROFILES = {"shop": "111111111111", "bank": "222222222222"}
ROLE_ACCOUNT = "333333333333"
OTHER_REGION = "eu-west-1"


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared credentials file with a profile for each account."""
    file = tmp_path / "credentials"
    keys = (f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = x\n" for name, key in PROFILES.items())
    file.write_text("".join(keys))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))


def make_queue(aws: Aws, account: str, name: str, clean_up: ExitStack, region: str = REGION) -> None:
    sqs = boto3.Session(account, "x", region_name=region).client("sqs", endpoint_url=aws.url)
    url = sqs.create_queue(QueueName=aws.name(name))["QueueUrl"]
    clean_up.callback(sqs.close)
    clean_up.callback(sqs.delete_queue, QueueUrl=url)


def test_each_cluster_sees_the_account_and_region_that_its_profile_or_role_leads_to(aws: Aws) -> None:
    clusters: dict[str, dict[str, Any]] = {
        "shop": {"profile": "shop"},
        "shop-eu": {"profile": "shop", "region": OTHER_REGION},
        "bank": {"profile": "bank"},
        "partner": {"profile": "shop", "role_arn": f"arn:aws:iam::{ROLE_ACCOUNT}:role/monitor"},
    }
    with ExitStack() as clean_up:
        make_queue(aws, PROFILES["shop"], "shop", clean_up)
        make_queue(aws, PROFILES["shop"], "shop-eu", clean_up, OTHER_REGION)
        make_queue(aws, PROFILES["bank"], "bank", clean_up)
        make_queue(aws, ROLE_ACCOUNT, "partner", clean_up)
        for cluster, config in clusters.items():
            with closing(aws.collector(name=cluster, **config)) as collector:
                snapshot = collect(collector)
                assert list(by_queue(snapshot)) == [aws.name(cluster)]
                assert [it.id for it in snapshot.subscriptions] == [f"{cluster}/{aws.name(cluster)}"]
                assert not any("dummy" in note for note in snapshot.notes)
                assumed = rows(snapshot.tables["aws_api"], "aws_api_requests_total").get(("sts", "AssumeRole"), 0)
                assert assumed == (cluster == "partner")
