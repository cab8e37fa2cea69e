"""Clients of one AWS account and region: credentials, time limits, and the translation of botocore's errors."""

import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore import exceptions as boto
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    Credentials,
    DeferredRefreshableCredentials,
)
from botocore.parsers import ResponseParserError

from monitor import __version__
from monitor.config import AwsCluster, is_loopback
from monitor.errors import (
    AuthenticationFailed,
    BadAnswer,
    BrokerError,
    Forbidden,
    Gone,
    Throttled,
    TimedOut,
    TlsFailed,
    Unreachable,
)

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sts import STSClient

OPERATIONS = (
    ("cloudwatch", "GetMetricData"),
    ("sns", "GetSubscriptionAttributes"),
    ("sns", "ListSubscriptions"),
    ("sns", "ListTopics"),
    ("sqs", "GetQueueAttributes"),
    ("sqs", "ListQueues"),
)
"""What a collector asks, and so needs to be allowed; counters of these begin at zero."""

CONNECTIONS = 16
"""Calls under way at once. At 20 ms a call this asks 800 queues a second, far below what SQS allows."""

_ATTEMPTS = 3
_LONGEST_WAIT_SECONDS = 10.0
_SHORTEST_WAIT_SECONDS = 0.25
_LONGEST_MESSAGE = 300

# By error code, since one code comes from several services and exception classes.
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "UnauthorizedOperation",
        "OptInRequired",
        "KmsAccessDenied",
        "KMSAccessDenied",
        "KMS.AccessDeniedException",
    }
)
_UNKNOWN_CREDENTIALS = frozenset(
    {
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "InvalidAccessKeyId",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "NotAuthorized",
        "InvalidSecurity",
        "InvalidSecurityException",
    }
)
_EXPIRED_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "TokenRefreshRequired",
    }
)
_CLOCK_IS_OFF = frozenset({"RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"})
_CLOCK_WORDS = ("Signature expired:", "Signature not yet current:")
"""How AWS says that a request is more than five minutes off, under the code of a signature that does not match."""
_THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "SlowDown",
        "PriorRequestNotComplete",
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "LimitExceeded",
        "KmsThrottled",
        "KMSThrottling",
        "KMSThrottlingException",
    }
)
_MISSING = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "NonExistentQueue",
        "NotFound",
        "NotFoundException",
    }
)
_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.ProfileNotFound,
    boto.TokenRetrievalError,
    boto.SSOError,
    boto.ConfigParseError,
    boto.ConfigNotFound,
    boto.InvalidConfigError,
)

_ASSUME_ROLE = "AssumeRole"

REMEDY_CREDENTIALS = "set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or configure profile or role_arn"


class Missing(Gone):
    """What was asked for does not exist, or not any more."""


class Calls:
    """Counts requests as they are sent, retries included, and those that were throttled; by service and operation."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: Counter[tuple[str, str]] = Counter(dict.fromkeys(OPERATIONS, 0))
        self._throttled: Counter[tuple[str, str]] = Counter()
        self._closed = False

    def attach(self, client: Any) -> None:
        """Count the requests of a boto3 client."""
        client.meta.events.register("before-send", self._count_sent)
        client.meta.events.register("response-received", self._count_throttled)
        client.meta.events.register("response-received", _refuse_pages)

    def totals(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Return (requests, throttled ones) by (service, operation), in a stable order."""
        with self._lock:
            return {key: (count, self._throttled[key]) for key, count in sorted(self._sent.items())}

    def close(self) -> None:
        """Refuse further requests: a call that hangs in one attempt makes no other."""
        self._closed = True

    def _count_sent(self, event_name: str, **_: object) -> None:
        if self._closed:
            # not botocore's own kind, which it would try again
            raise Unreachable("the connection was closed", target=_operation_of(event_name)[1])
        with self._lock:
            self._sent[_operation_of(event_name)] += 1

    def _count_throttled(self, event_name: str, parsed_response: Any = None, **_: object) -> None:
        code = (parsed_response or {}).get("Error", {}).get("Code", "")
        if _bare(code) in _THROTTLED:
            with self._lock:
                self._throttled[_operation_of(event_name)] += 1


def _refuse_pages(event_name: str, response_dict: Any = None, **_: object) -> None:
    """Refuse the page of a proxy or web server, which botocore would take for an answer without any content."""
    kind = ((response_dict or {}).get("headers") or {}).get("content-type", "")
    if kind.startswith("text/html"):
        problem = "the answer is a web page; is endpoint_url an AWS endpoint?"
        raise BadAnswer(problem, target=":".join(_operation_of(event_name)))


def _operation_of(event_name: str) -> tuple[str, str]:
    _, service, operation = event_name.split(".")[:3]
    return service, operation


@dataclass(frozen=True, slots=True)
class Clients:
    """One client a service. `stand_in` says that dummy credentials are in use, since the endpoint is on loopback."""

    sqs: "SQSClient"
    sns: "SNSClient"
    cloudwatch: "CloudWatchClient"
    sts: "STSClient"
    stand_in: bool

    def close(self) -> None:
        """Close the connections that are idle; those in use end with their call."""
        for client in (self.sqs, self.sns, self.cloudwatch, self.sts):
            client.close()


def open_clients(config: AwsCluster, calls: Calls) -> Clients:
    """Make the clients; nothing is sent yet unless a role is assumed.

    Raises AuthenticationFailed when there are no credentials, Unreachable when the endpoint is no URL.
    """
    with translating("credentials"):
        session, stand_in = _open_session(config, calls)
        make = partial(session.client, region_name=config.region, endpoint_url=config.endpoint_url)
        wait = config.cycle_deadline / _ATTEMPTS
        settings = _settings(config, wait)
        clients = Clients(
            sqs=make("sqs", config=settings),
            sns=make("sns", config=settings),
            # one call there answers for 500 metrics, and may take seconds
            cloudwatch=make("cloudwatch", config=_settings(config, config.cycle_deadline)),
            sts=make("sts", config=settings),
            stand_in=stand_in,
        )
    for client in (clients.sqs, clients.sns, clients.cloudwatch, clients.sts):
        calls.attach(client)
    return clients


def open_sender(config: AwsCluster, calls: Calls) -> "SQSClient":
    """Make a client of SQS that tries each call once, so that nothing is sent twice without anybody knowing.

    Raises as `open_clients`.
    """
    with translating("credentials"):
        session, _ = _open_session(config, calls)
        settings = _settings(config, _LONGEST_WAIT_SECONDS, attempts=1)
        sender = session.client("sqs", region_name=config.region, endpoint_url=config.endpoint_url, config=settings)
    calls.attach(sender)
    return sender


def _settings(config: AwsCluster, wait: float, attempts: int = _ATTEMPTS) -> Config:
    """Bound each attempt, whatever the cycle's deadline: a thread that hangs is lost for that long."""
    wait = min(_LONGEST_WAIT_SECONDS, max(_SHORTEST_WAIT_SECONDS, wait))
    return Config(
        connect_timeout=wait,
        read_timeout=wait,
        # "adaptive" retries as "standard" does, and after a throttled answer sends at a rate that the service takes
        retries={"mode": "adaptive", "total_max_attempts": attempts},
        max_pool_connections=CONNECTIONS,
        proxies={} if _on_loopback(config) else None,
        parameter_validation=False,
        user_agent=f"eventflow-monitor/{__version__}",
    )


def _on_loopback(config: AwsCluster) -> bool:
    return config.endpoint_url is not None and is_loopback(urlsplit(config.endpoint_url).hostname or "")


class _Given(CredentialProvider):
    METHOD = "given"

    def __init__(self, credentials: Credentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Credentials:
        return self._credentials


def _open_session(config: AwsCluster, calls: Calls) -> tuple[boto3.Session, bool]:
    core = botocore.session.Session(profile=config.profile)
    if _on_loopback(config):
        # The instance metadata service is asked last and answers nowhere but on EC2: a stand-in needs no such wait.
        core.get_component("credential_provider").remove("iam-role")
    credentials = core.get_credentials()
    stand_in = credentials is None and _on_loopback(config)
    if stand_in:
        core.set_credentials("test", "test")
        credentials = core.get_credentials()
    if credentials is None:
        raise boto.NoCredentialsError
    if config.role_arn:
        core = _assume_role(core, credentials, config, config.role_arn, calls)
    return boto3.Session(botocore_session=core), stand_in


def _assume_role(core: Any, credentials: Any, config: AwsCluster, role_arn: str, calls: Calls) -> Any:
    """Return a session whose credentials are those of the role, fetched at the first call and renewed in time."""

    def create_client(service: str, **settings: Any) -> Any:
        wait = config.cycle_deadline / _ATTEMPTS
        made = core.create_client(
            service,
            region_name=config.region,
            endpoint_url=config.endpoint_url,
            config=_settings(config, wait),
            **settings,
        )
        calls.attach(made)
        return made

    fetcher = AssumeRoleCredentialFetcher(
        client_creator=create_client,
        source_credentials=credentials,
        role_arn=role_arn,
        extra_args={"RoleSessionName": "eventflow-monitor"},
    )
    role = DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)
    assumed = botocore.session.Session(profile=config.profile)
    assumed.register_component("credential_provider", CredentialResolver([_Given(role)]))
    return assumed


@contextmanager
def translating(target: str) -> Iterator[None]:
    """Turn botocore's errors into BrokerError; `target` names the call, as in `sqs:ListQueues`."""
    try:
        yield
    except boto.ClientError as error:
        # Any call may be the one for which the role is assumed anew.
        assuming = error.operation_name == _ASSUME_ROLE
        raise _translate_answer(error, f"sts:{_ASSUME_ROLE}" if assuming else target) from error
    except boto.BotoCoreError as error:
        raise _translate_failure(error, target) from error
    except ResponseParserError as error:
        raise BadAnswer("the answer cannot be read; is endpoint_url an AWS endpoint?", target=target) from error
    except ValueError as error:  # botocore: "Invalid endpoint: ..."
        raise Unreachable("the endpoint is no URL", target=target, remedy="correct endpoint_url or region") from error


def _bare(code: str) -> str:
    """Strip the namespace that some protocols put before a code, as in `com.amazon#Throttling`."""
    return code.rpartition("#")[2]


def _translate_answer(error: boto.ClientError, target: str) -> BrokerError:
    code = _bare(str(error.response.get("Error", {}).get("Code", "")))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _THROTTLED or status == 429:
        return Throttled(f"AWS asks for fewer calls ({code})", target=target)
    if code in _CLOCK_IS_OFF or str(error.response.get("Error", {}).get("Message", "")).startswith(_CLOCK_WORDS):
        remedy = "set this machine's clock; its credentials may be right"
        return AuthenticationFailed(f"the time of the request is off ({code})", target=target, remedy=remedy)
    # What AWS says about a bad signature quotes the request with its session token: never pass that on.
    if code in _EXPIRED_CREDENTIALS:
        return AuthenticationFailed(f"the credentials have expired ({code})", target=target, remedy="renew them")
    if code in _UNKNOWN_CREDENTIALS:
        return AuthenticationFailed(f"AWS does not accept the credentials ({code})", target=target, remedy="renew them")
    if code in _DENIED or status == 403:
        trust = ", and let the role trust them" if target == f"sts:{_ASSUME_ROLE}" else ""
        return Forbidden(_first_line(error, code), target=target, remedy=f"allow {target} to these credentials{trust}")
    if code in _MISSING:
        return Missing(f"it does not exist ({code})", target=target)
    if status >= 500:
        return Unreachable(f"the service is not available ({status} {code})", target=target)
    return BadAnswer(f"refused with {code}: {_first_line(error, '')}", target=target)


def _first_line(error: boto.ClientError, fallback: str) -> str:
    text = str(error.response.get("Error", {}).get("Message", "")) or fallback
    return text.splitlines()[0][:_LONGEST_MESSAGE] if text else "no reason given"


def _why_no_tls(error: boto.SSLError) -> str:
    cause = next((it for it in getattr(error.kwargs.get("error"), "args", ()) if isinstance(it, ssl.SSLError)), None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate does not verify: {cause.verify_message}"
    return "the certificate does not verify, or what answers speaks no TLS"


def _translate_failure(error: boto.BotoCoreError, target: str) -> BrokerError:
    if isinstance(error, _NO_CREDENTIALS):
        problem = "no usable AWS credentials were found"
        return AuthenticationFailed(f"{problem} ({type(error).__name__})", target=target, remedy=REMEDY_CREDENTIALS)
    if isinstance(error, boto.SSLError):
        remedy = "name the authority's certificate in AWS_CA_BUNDLE, or correct endpoint_url"
        return TlsFailed(f"there is no TLS connection ({_why_no_tls(error)})", target=target, remedy=remedy)
    if isinstance(error, boto.ConnectTimeoutError | boto.ReadTimeoutError):
        return TimedOut("no answer came in time", target=target)
    problem = f"no connection, or the name does not resolve ({type(error).__name__})"
    return Unreachable(problem, target=target, remedy="correct endpoint_url or region, or open the way to it")
