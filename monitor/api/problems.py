"""Errors as problem+json (RFC 9457). The types are listed in docs/api.md, and a test holds that list and this equal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from monitor.errors import (
    AlertingFailed,
    BadRequest,
    BrokerError,
    BrokerFailed,
    Conflict,
    ForeignRequest,
    NotAllowed,
    NotFound,
    ReadOnly,
    RequestError,
    StorageError,
    TooLarge,
    Unauthenticated,
)

MEDIA_TYPE = "application/problem+json"

_TYPE_PREFIX = "urn:eventflow:problem:"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """What a problem's `type` stands for."""

    status: int
    slug: str
    title: str

    @property
    def uri(self) -> str:
        """The value of `type`."""
        return _TYPE_PREFIX + self.slug


_RAISED = (
    BadRequest,
    TooLarge,
    Unauthenticated,
    NotAllowed,
    ForeignRequest,
    ReadOnly,
    NotFound,
    Conflict,
    BrokerFailed,
    AlertingFailed,
)
METHOD_NOT_ALLOWED = ProblemType(405, "method-not-allowed", "This path does not know this method")
INTERNAL = ProblemType(500, "internal-error", "The monitor failed to answer")
STORAGE = ProblemType(503, "storage-failed", "What is kept cannot be read or written now")
_OTHERS = (METHOD_NOT_ALLOWED, INTERNAL, STORAGE)
PROBLEM_TYPES = (*(ProblemType(kind.status, kind.slug, kind.title) for kind in _RAISED), *_OTHERS)
"""All types that an answer can have."""


def answer_problem(
    kind: ProblemType, detail: str, headers: Mapping[str, str] | None = None, **members: object
) -> Response:
    """Return the answer that tells a problem, with `members` beside the standard ones."""
    body = {"type": kind.uri, "title": kind.title, "status": kind.status, "detail": detail, **members}
    return JSONResponse(body, status_code=kind.status, headers=headers, media_type=MEDIA_TYPE)


def answer_error(error: RequestError) -> Response:
    """Return the answer that tells why a request cannot be met."""
    headers = {"WWW-Authenticate": 'Bearer realm="eventflow"'} if error.status == 401 else None
    return answer_problem(ProblemType(error.status, error.slug, error.title), str(error), headers, **error.members)


def install_problem_handlers(app: FastAPI) -> None:
    """Make every error of the app, the framework's own too, a problem+json answer."""
    app.exception_handler(RequestError)(_on_request_error)
    app.exception_handler(BrokerError)(_on_broker_error)
    app.exception_handler(StorageError)(_on_storage_error)
    app.exception_handler(RequestValidationError)(_on_invalid_parameters)
    app.exception_handler(HTTPException)(_on_http_exception)
    # The framework logs what is not caught elsewhere, after this has answered.
    app.exception_handler(Exception)(_on_unexpected)


async def _on_request_error(request: Request, error: RequestError) -> Response:
    return answer_error(error)


async def _on_broker_error(request: Request, error: BrokerError) -> Response:
    return answer_error(BrokerFailed(str(error), reason=error.reason))


async def _on_storage_error(request: Request, error: StorageError) -> Response:
    return answer_problem(STORAGE, str(error))


async def _on_invalid_parameters(request: Request, error: RequestValidationError) -> Response:
    mistakes = [{"parameter": _parameter(it), "message": _say(it)} for it in error.errors()]
    detail = "; ".join(f"{it['parameter']}: {it['message']}" for it in mistakes)
    return answer_error(BadRequest(detail, errors=mistakes))


def _parameter(mistake: Mapping[str, Any]) -> str:
    # The place begins with where the parameter was found (`query`), and goes on with the number of its value.
    return str(next(iter(mistake["loc"][1:]), mistake["loc"][0]))


def _say(mistake: Mapping[str, object]) -> str:
    if mistake["type"] == "extra_forbidden":
        return "there is no such parameter here; /docs lists them"
    return str(mistake["msg"]).replace("Input should", "must").removeprefix("Value error, ")


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    if error.status_code == METHOD_NOT_ALLOWED.status:
        detail = f"{request.method} is not possible on {request.url.path}"
        return answer_problem(METHOD_NOT_ALLOWED, detail, headers=error.headers)
    if error.status_code == NotFound.status:
        return answer_error(NotFound(f"there is nothing at {request.url.path}; /docs lists all paths"))
    return answer_error(BadRequest(error.detail))


async def _on_unexpected(request: Request, error: Exception) -> Response:
    return answer_problem(INTERNAL, "something failed inside the monitor; its log says what")
