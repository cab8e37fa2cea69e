"""The token for Amazon MSK: a signed URL, as AWS's own library makes it. A broker that takes it is not to be had."""

import base64
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from monitor.brokers.msk import make_signer
from monitor.config import MskIam
from monitor.errors import AuthenticationFailed

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of this machine."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


def read(token: str) -> tuple[str, dict[str, list[str]]]:
    """Return host and query of the URL that a token is."""
    url = urlsplit(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    return url.netloc, parse_qs(url.query)


def test_a_token_is_signed_for_connecting_in_the_region_and_holds_for_a_quarter_of_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    token, until = make_signer(MskIam(region="eu-west-1"))("")
    host, query = read(token)
    assert host == "kafka.eu-west-1.amazonaws.com"
    assert query["Action"] == ["kafka-cluster:Connect"]
    assert query["X-Amz-Credential"][0].startswith("AKIDEXAMPLE/")
    assert "/eu-west-1/kafka-cluster/" in query["X-Amz-Credential"][0]
    assert 880 < until - time.time() <= 900
    assert SECRET not in base64.urlsafe_b64decode(token + "==").decode()


def test_a_profile_signs_in_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        f"[watching]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = {SECRET}\n"
    )
    token, _ = make_signer(MskIam(region="us-east-1", profile="watching"))("")
    assert read(token)[1]["X-Amz-Credential"][0].startswith("AKIDPROFILE/")


@pytest.mark.parametrize(
    ("identity", "told"),
    [
        (MskIam(region="us-east-1"), "no AWS credentials are found"),
        (MskIam(region="us-east-1", profile="unknown"), "cannot be had (ProfileNotFound)"),
        (MskIam(region="us-east-1", role_arn="arn:aws:iam::1:role/r"), "cannot be had (NoCredentialsError)"),
    ],
)
def test_an_identity_that_is_missing_is_told_with_what_to_check(identity: MskIam, told: str) -> None:
    with pytest.raises(AuthenticationFailed) as raised:
        make_signer(identity)("")
    assert told in str(raised.value)
    assert "security.aws_msk_iam" in raised.value.remedy
