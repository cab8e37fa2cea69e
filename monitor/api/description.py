"""The API described for programs, as `/openapi.json` has it, and held to it: what it does not list is no parameter."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from monitor.api.problems import MEDIA_TYPE, PROBLEM_TYPES
from monitor.errors import BadRequest

_PROBLEM: Mapping[str, Any] = {"$ref": "#/components/schemas/Problem"}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": told, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}
    for status, told in {"4XX": "The request cannot be met", "5XX": "The monitor could not meet it"}.items()
}
_PROBLEM_SCHEMA: Mapping[str, Any] = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457); further members help programs.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "enum": [it.uri for it in PROBLEM_TYPES]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"parameter": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "parameter": {"type": "string"},
        "nearest": {"type": "array", "items": {"type": "string"}},
    },
}
_JSON, _TEXT, _HTML = "application/json", "text/plain", "text/html"
_PLAIN_PATHS: Sequence[tuple[str, str, Mapping[int, str]]] = (
    ("/metrics", "All metrics in the Prometheus text format, gzip where the client takes it", {200: _TEXT}),
    ("/healthz", "200 while the monitor is alive", {200: _JSON}),
    (
        "/readyz",
        "200 once every collector has finished a cycle or is known to fail, else 503; the body says which",
        {200: _JSON, 503: _JSON},
    ),
    ("/docs", "This description as a page", {200: _HTML}),
    ("/openapi.json", "This description for programs", {200: _JSON}),
)
_LIST_PARAMETERS = ("limit", "cursor", "offset", "sort", "q")


class DescribedApi(FastAPI):
    """An app whose description has its problems, and the paths beside the API."""

    def __init__(self, **settings: Any) -> None:
        self._parameters: dict[str, frozenset[str]] = {}
        super().__init__(responses=_PROBLEMS, **settings)

    def openapi(self) -> dict[str, Any]:
        """Return the description; it is made once."""
        if self.openapi_schema is None:
            schema = super().openapi()
            schema["paths"] |= {path: {"get": _describe(told, answers)} for path, told, answers in _PLAIN_PATHS}
            schema["components"]["schemas"]["Problem"] = dict(_PROBLEM_SCHEMA)
        return super().openapi()

    def parameters_of(self, route: APIRoute) -> frozenset[str]:
        """Return the names that the description of one route lists; it alone is described, and once."""
        if route.unique_id not in self._parameters:
            described = get_openapi(title=self.title, version=self.version, routes=[route])["paths"][route.path_format]
            operations = described.values()
            names = (it["name"] for operation in operations for it in operation.get("parameters", ()))
            self._parameters[route.unique_id] = frozenset(names)
        return self._parameters[route.unique_id]


async def refuse_unknown_parameters(request: Request) -> None:
    """Raise BadRequest for parameters of the query that the description of this path does not list."""
    if not request.query_params:
        return
    known = request.app.parameters_of(request.scope["route"])
    mistakes = [{"parameter": name, "message": _say(name)} for name in request.query_params if name not in known]
    if mistakes:
        raise BadRequest("; ".join(f"{it['parameter']}: {it['message']}" for it in mistakes), errors=mistakes)


def _say(name: str) -> str:
    if name in _LIST_PARAMETERS:
        return "not possible here; docs/api.md says which lists have it, and /docs lists all parameters"
    return "there is no such parameter here; /docs lists them"


def _describe(summary: str, answers: Mapping[int, str]) -> dict[str, Any]:
    responses = {
        str(status): {"description": "Service Unavailable" if status == 503 else "Successful Response",
                      "content": {media_type: {"schema": {"type": "object" if media_type == _JSON else "string"}}}}
        for status, media_type in answers.items()
    }  # fmt: skip
    return {"summary": summary, "responses": responses}
