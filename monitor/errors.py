"""The exception tree. Libraries' errors are translated into it where the library is called.

EventflowError
├── ConfigurationError        the configuration cannot be used; names the place and the remedy
├── BrokerError               a broker could not be asked, or refused; has a reason from `REASONS`
│   ├── Unreachable           no connection, or the address does not resolve
│   ├── TimedOut              connected, but no answer before the deadline
│   ├── AuthenticationFailed  the credentials are wrong or have expired
│   ├── Forbidden             the credentials are right, a permission is missing
│   ├── TlsFailed             the certificate does not verify, or the protocol does not fit
│   ├── Throttled             the broker asks for fewer calls
│   └── BadAnswer             an answer that cannot be read, or that contradicts itself
│       └── Gone              what was asked about does not exist, or not any more
├── StorageError              the database cannot be read or written
├── LeaseLost                 another monitor has taken over what this one was doing
├── RequestError              a request to the API that cannot be met
│   └── Unauthenticated, NotAllowed, NotFound, BadRequest, TooLarge, Conflict, ForeignRequest, ReadOnly,
│       BrokerFailed, AlertingFailed
└── ClientError               a call of the API, seen from its client
    ├── MonitorUnreachable    no answer that can be read
    └── MonitorRefused        the monitor answered with an error
"""

from typing import ClassVar


class EventflowError(Exception):
    """Base of all errors that the product raises. `str()` is one sentence for people, without secrets."""


class ConfigurationError(EventflowError):
    """The configuration cannot be used.

    `place` names the file, line and key, `remedy` what to do.
    """

    def __init__(self, problem: str, *, place: str = "", remedy: str = "") -> None:
        self.problem, self.place, self.remedy = problem, place, remedy
        text = f"{place}: {problem}" if place else problem
        super().__init__(f"{text}; {remedy}" if remedy else text)


class BrokerError(EventflowError):
    """A broker could not be asked, or refused.

    `reason` is the value of the metric label, `target` names what was asked (a cluster, partition, queue or call);
    `permanent` says that asking again does not help until somebody changes something.
    """

    reason: ClassVar[str] = "internal"
    permanent: ClassVar[bool] = False

    def __init__(self, problem: str, *, target: str = "", remedy: str = "") -> None:
        self.problem, self.target, self.remedy = problem, target, remedy
        text = f"{target}: {problem}" if target else problem
        super().__init__(f"{text}; {remedy}" if remedy else text)


class Unreachable(BrokerError):
    """No connection could be made, or the address does not resolve."""

    reason = "unreachable"


class TimedOut(BrokerError):
    """No answer came before the deadline."""

    reason = "timeout"


class AuthenticationFailed(BrokerError):
    """The credentials are wrong or have expired."""

    reason = "authentication"
    permanent = True


class Forbidden(BrokerError):
    """The credentials are right, but a permission is missing."""

    reason = "forbidden"
    permanent = True


class TlsFailed(BrokerError):
    """The certificate does not verify, or the two sides have no protocol in common."""

    reason = "tls"
    permanent = True


class Throttled(BrokerError):
    """The broker asks for fewer calls."""

    reason = "throttled"


class BadAnswer(BrokerError):
    """The answer cannot be read, or contradicts itself."""

    reason = "bad_answer"


class Gone(BadAnswer):
    """What was asked about does not exist, or not any more."""


_KINDS = (Unreachable, TimedOut, AuthenticationFailed, Forbidden, TlsFailed, Throttled, BadAnswer, BrokerError)
REASONS = tuple(kind.reason for kind in _KINDS)
"""All values of the label `reason`, so that its counters can start at zero."""


class StorageError(EventflowError):
    """The database cannot be read or written."""


class LeaseLost(EventflowError):
    """Another monitor has taken over what this one was doing; nothing of it may be done any more."""


class RequestError(EventflowError):
    """A request to the API that cannot be met; `status` and `slug` are its HTTP status and documented problem type.

    `members` are what the answer tells beside the sentence, by name.
    """

    status: ClassVar[int] = 400
    slug: ClassVar[str] = "bad-request"
    title: ClassVar[str] = "The request cannot be understood"

    def __init__(self, detail: str, **members: object) -> None:
        self.members = members
        super().__init__(detail)


class BadRequest(RequestError):
    """A parameter or body that cannot be understood."""


class TooLarge(RequestError):
    """A body that is larger than anything that is asked for."""

    status, slug, title = 413, "too-large", "The body of the request is too large"


class Unauthenticated(RequestError):
    """No token, or one that is not known."""

    status, slug, title = 401, "unauthenticated", "A valid token is needed"


class NotAllowed(RequestError):
    """The token is known, its role does not allow this."""

    status, slug, title = 403, "not-allowed", "The role of this token does not allow this"


class ForeignRequest(RequestError):
    """A Host or Origin that is not this monitor's (DNS rebinding, cross-site writes)."""

    status, slug, title = 403, "foreign-request", "The Host or Origin of this request is not this monitor's"


class NotFound(RequestError):
    """Nothing has this id."""

    status, slug, title = 404, "not-found", "There is nothing with this id"


class Conflict(RequestError):
    """The request does not fit the present state."""

    status, slug, title = 409, "conflict", "The request does not fit the present state"


class ReadOnly(RequestError):
    """The configuration gives no right to redrive on this cluster."""

    status, slug, title = 403, "read-only", "This cluster may only be watched"


class BrokerFailed(RequestError):
    """The broker that had to be asked for this answer could not be, or refused."""

    status, slug, title = 502, "broker-failed", "The broker could not be asked, or refused"


class AlertingFailed(RequestError):
    """Prometheus or Alertmanager, which had to be asked for this answer, could not be, or refused."""

    status, slug, title = 502, "alerting-failed", "Prometheus or Alertmanager could not be asked, or refused"


class ClientError(EventflowError):
    """A call of the API failed, seen from its client."""


class MonitorUnreachable(ClientError):
    """There is no answer, none in time, or none that is a monitor's."""


class MonitorRefused(ClientError):
    """The monitor answered with an error; `status` and `slug` are its HTTP status and documented problem type."""

    def __init__(self, detail: str, *, status: int, slug: str) -> None:
        self.status, self.slug = status, slug
        super().__init__(detail)
