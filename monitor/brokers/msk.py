"""Signing in to Amazon MSK with an AWS identity: the token that its brokers take in place of a password.

AWS's own signer makes it: a signed URL that is valid for 15 minutes. The brokers are not to be had outside of AWS, so
tests look at the token alone.
"""

from collections.abc import Callable

from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
from botocore.exceptions import BotoCoreError, ClientError

from monitor.config import MskIam
from monitor.errors import AuthenticationFailed

_SESSION = "eventflow-monitor"


def make_signer(identity: MskIam) -> Callable[[str], tuple[str, float]]:
    """Return what librdkafka calls for a new token: it gives the token, and until when it holds (Unix seconds).

    That raises AuthenticationFailed when there is no AWS identity to sign with.
    """

    def sign(_configuration: str) -> tuple[str, float]:
        try:
            token, expires_ms = _sign(identity)
        except (BotoCoreError, ClientError) as error:
            # A text of botocore's may quote a request: its kind is enough.
            raise _failure(f"AWS credentials cannot be had ({type(error).__name__})") from error
        except AttributeError as error:  # the signer looks into the credentials that it has not found
            raise _failure("no AWS credentials are found") from error
        return token, expires_ms / 1000

    return sign


def _failure(problem: str) -> AuthenticationFailed:
    remedy = "check security.aws_msk_iam and the AWS credentials of this machine"
    return AuthenticationFailed(problem, target="signing in to MSK", remedy=remedy)


def _sign(identity: MskIam) -> tuple[str, float]:
    signed: tuple[str, float]
    if identity.role_arn:
        signed = MSKAuthTokenProvider.generate_auth_token_from_role_arn(identity.region, identity.role_arn, _SESSION)
    elif identity.profile:
        signed = MSKAuthTokenProvider.generate_auth_token_from_profile(identity.region, identity.profile)
    else:
        signed = MSKAuthTokenProvider.generate_auth_token(identity.region)
    return signed
