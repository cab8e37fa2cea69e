"""Credentials and errors of the AWS client. Errors are made as botocore makes them; no AWS is asked."""

from pathlib import Path

import pytest
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from monitor.brokers.aws.client import Calls, Missing, open_clients, translating
from monitor.config import AwsCluster
from monitor.errors import (
    AuthenticationFailed,
    BadAnswer,
    BrokerError,
    Forbidden,
    Throttled,
    TimedOut,
    TlsFailed,
    Unreachable,
)

LOOPBACK = "http://127.0.0.1:1"


def answer(code: str, status: int = 400, message: str = "") -> boto.ClientError:
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return boto.ClientError(response, "ListQueues")  # type: ignore[arg-type]


def translated(error: Exception) -> BrokerError:
    with pytest.raises(BrokerError) as caught, translating("sqs:ListQueues"):
        raise error
    assert caught.value.__cause__ is error
    assert caught.value.target == "sqs:ListQueues"
    return caught.value


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answer("AccessDenied", 403), Forbidden),
        (answer("AuthorizationError", 403), Forbidden),
        (answer("SomethingNew", 403), Forbidden),
        (answer("InvalidClientTokenId", 403), AuthenticationFailed),
        (answer("SignatureDoesNotMatch", 403), AuthenticationFailed),
        (answer("ExpiredToken", 403), AuthenticationFailed),
        (answer("com.amazonaws.sqs#Throttling"), Throttled),
        (answer("RequestThrottled"), Throttled),
        (answer("SomethingNew", 429), Throttled),
        (answer("AWS.SimpleQueueService.NonExistentQueue"), Missing),
        (answer("NotFound", 404), Missing),
        (answer("InternalFailure", 500), Unreachable),
        (answer("InvalidAttributeName"), BadAnswer),
        (boto.EndpointConnectionError(endpoint_url=LOOPBACK), Unreachable),
        (boto.ConnectionClosedError(endpoint_url=LOOPBACK), Unreachable),
        (boto.ConnectTimeoutError(endpoint_url=LOOPBACK), TimedOut),
        (boto.ReadTimeoutError(endpoint_url=LOOPBACK), TimedOut),
        (boto.SSLError(endpoint_url=LOOPBACK, error=Exception("x")), TlsFailed),
        (boto.NoCredentialsError(), AuthenticationFailed),
        (boto.ProfileNotFound(profile="x"), AuthenticationFailed),
        (ResponseParserError("not well-formed"), BadAnswer),
        (ValueError("Invalid endpoint: x"), Unreachable),
    ],
)
def test_each_error_is_told_for_what_it_is(error: Exception, kind: type[BrokerError]) -> None:
    assert type(translated(error)) is kind


def test_a_denial_quotes_what_was_denied_and_names_the_right_to_give() -> None:
    told = str(translated(answer("AccessDenied", 403, "User: arn is not authorized to perform: sqs:listqueues")))
    assert "is not authorized to perform: sqs:listqueues" in told
    assert "allow sqs:ListQueues" in told


def test_the_session_token_that_a_signature_error_quotes_is_not_passed_on() -> None:
    quoted = "The Canonical String should have been 'POST / x-amz-security-token:SECRET'"
    assert "SECRET" not in str(translated(answer("SignatureDoesNotMatch", 403, quoted)))


def test_an_endless_message_is_cut_to_its_first_line() -> None:
    told = str(translated(answer("InvalidAttributeName", 400, "x" * 5_000 + "\nsecond")))
    assert len(told) < 500
    assert "second" not in told


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    # what a machine outside of EC2 would wait for
    monkeypatch.setattr("botocore.utils.InstanceMetadataFetcher.retrieve_iam_role_credentials", _answer_nothing)


asked_instance_metadata: list[bool] = []


def _answer_nothing(*_: object) -> dict[str, str]:
    asked_instance_metadata.append(True)
    return {}


def cluster(**changes: object) -> AwsCluster:
    return AwsCluster.model_validate({"name": "aws", "kind": "aws", "region": "us-east-1", **changes})


@pytest.mark.usefixtures("no_credentials")
def test_a_stand_in_on_loopback_needs_no_credentials_and_no_instance_metadata() -> None:
    asked_instance_metadata.clear()
    clients = open_clients(cluster(endpoint_url=LOOPBACK), Calls())
    assert clients.stand_in
    assert asked_instance_metadata == []
    clients.close()


@pytest.mark.usefixtures("no_credentials")
def test_without_credentials_real_aws_is_an_authentication_error_with_a_remedy() -> None:
    asked_instance_metadata.clear()
    with pytest.raises(AuthenticationFailed, match="AWS_PROFILE"):
        open_clients(cluster(), Calls())
    assert asked_instance_metadata == [True]


@pytest.mark.usefixtures("no_credentials")
def test_credentials_of_the_environment_go_before_dummy_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not a real one")
    clients = open_clients(cluster(endpoint_url=LOOPBACK), Calls())
    assert not clients.stand_in
    clients.close()


@pytest.mark.usefixtures("no_credentials")
def test_a_profile_that_does_not_exist_is_an_authentication_error() -> None:
    with pytest.raises(AuthenticationFailed, match="ProfileNotFound"):
        open_clients(cluster(endpoint_url=LOOPBACK, profile="nobody"), Calls())


@pytest.mark.usefixtures("no_credentials")
def test_a_profile_gives_its_credentials(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("[audit]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = x\n")
    clients = open_clients(cluster(endpoint_url=LOOPBACK, profile="audit"), Calls())
    assert not clients.stand_in
    clients.close()
