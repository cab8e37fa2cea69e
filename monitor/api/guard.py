"""Who may ask: foreign Hosts and Origins are refused, tokens are known by their hashes, roles are ordered."""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.api.problems import answer_error
from monitor.config import Server, Token, hash_token, is_loopback, split_address
from monitor.errors import ForeignRequest, NotAllowed, RequestError, Unauthenticated

ROLES = ("viewer", "operator", "admin")
"""From the least to the most; each may what those before it may."""

PERSON_HEADER = b"eventflow-person"
"""For whom the holder of a token that speaks for people asks."""

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_OPEN_PATHS = ("/healthz", "/readyz", "/docs", "/openapi.json")
_WILDCARD_HOSTS = ("0.0.0.0", "::")  # noqa: S104 (compared with, not listened on)
_DEFAULT_PORTS = {"http": 80, "https": 443}

_bearer = HTTPBearer(auto_error=False, description="needed where the configuration has server.tokens")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. Without configured tokens everybody on this machine is `local`, and may everything.

    `bodies` is the right to see what messages hold.
    """

    name: str
    role: str
    bodies: bool = True


Refused = Callable[[str, str, RequestError], None]
"""Hears from which address which path was asked for, and why that was refused."""


def forget(address: str, path: str, error: RequestError) -> None:
    """Where nothing is kept."""


class Guard:
    """ASGI middleware that lets nothing in that it does not know. Paths that are not open need a token by default.

    `server` is asked at each request, since the configuration may have been read again. `refused` hears who was turned
    away, and why; it is called in a worker thread.
    """

    def __init__(self, app: ASGIApp, server: Callable[[], Server], refused: Refused = forget) -> None:
        self._app, self._server, self._refused = app, server, refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on with its principal, or answer with the refusal."""
        if scope["type"] == "http":
            access = _Access(self._server())
            try:
                access.check_host(scope)
                access.check_origin(scope)
                scope.setdefault("state", {})["principal"] = access.principal(scope)
            except RequestError as error:
                await answer_error(error)(scope, receive, send)
                client = scope.get("client")
                await run_in_threadpool(self._refused, client[0] if client else "", scope["path"], error)
                return
        await self._app(scope, receive, send)


class _Access:
    """Who may ask what, by one state of the configuration."""

    def __init__(self, server: Server) -> None:
        self._tokens = server.tokens
        self._roles_of_people = {person.name: person.role for person in server.people}
        self._listen_host = split_address(server.listen)[0]
        self._allowed_hosts = {_host_of(host) for host in server.allowed_hosts}
        self._open_paths = {*_OPEN_PATHS, *(("/metrics",) if server.metrics == "open" else ())}

    def check_host(self, scope: Scope) -> None:
        # A page whose name was bound anew to this address sends its own name as Host (DNS rebinding). A request without
        # Host is HTTP/1.0, which no browser speaks and health checks of load balancers do.
        for host in _headers(scope, b"host"):
            if not self._is_ours(_host_of(host), scope):
                told = "add it to server.allowed_hosts if it is a name of this monitor"
                raise ForeignRequest(f"the Host of this request is not known here; {told}")

    def _is_ours(self, host: str, scope: Scope) -> bool:
        if is_loopback(host) or host == self._listen_host or host in self._allowed_hosts:
            return True
        # Listening on all addresses, each address of this machine is ours: the one that the connection came to. One
        # socket for both versions shows IPv4 addresses as IPv6 ones.
        reached = (scope.get("server") or ("",))[0].removeprefix("::ffff:")
        return self._listen_host in _WILDCARD_HOSTS and host == reached

    def check_origin(self, scope: Scope) -> None:
        if scope["method"] in _SAFE_METHODS:
            return
        hosts = [host.lower() for host in _headers(scope, b"host")]
        for origin in map(_authority, _headers(scope, b"origin")):
            if hosts != [origin] and _host_of(origin) not in self._allowed_hosts:
                raise ForeignRequest("pages of another origin may not change anything here")

    def principal(self, scope: Scope) -> Principal | None:
        if not self._tokens:
            return Principal("local", ROLES[-1])
        if scope["path"] in self._open_paths:
            return None
        given = _headers(scope, b"authorization")
        scheme, _, secret = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        if scheme.lower() != "bearer" or not secret.strip():
            raise Unauthenticated("send a token as Authorization: Bearer TOKEN")
        found = _find_token(self._tokens, secret.strip())
        if not found:
            raise Unauthenticated("this token is not known; `eventflow token new` makes one")
        person = _headers(scope, PERSON_HEADER)
        if person and found.speaks_for_people:
            return self._person(person[-1], found)
        return Principal(found.name, found.role, found.sees_bodies)

    def _person(self, name: str, token: Token) -> Principal:
        """Return whom the holder of a token speaks for; who is not listed has the role of that token."""
        role = self._roles_of_people.get(name, token.role)
        return Principal(name, role, role != "viewer" and token.bodies is not False)


def _find_token(tokens: Sequence[Token], secret: str) -> Token | None:
    digest = hash_token(secret)
    # All are compared, each in constant time, so that the time tells nothing about which one is near.
    matches = [token for token in tokens if hmac.compare_digest(token.sha256, digest)]
    return matches[0] if matches else None


def needs(role: str) -> Callable[..., Principal]:
    """Return a dependency that lets only this role and those above it pass, and gives who it is."""
    least = ROLES.index(role)

    def check(request: Request, _: Annotated[object, Depends(_bearer)]) -> Principal:
        principal: Principal = request.state.principal
        if ROLES.index(principal.role) < least:
            raise NotAllowed(f"this needs the role {role}; the token {principal.name} has the role {principal.role}")
        return principal

    return check


def _headers(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _host_of(authority: str) -> str:
    """Return the host of `host[:port]`, lower case; empty for what is neither."""
    try:
        parts = urlsplit(f"//{authority}")
    except ValueError:
        return ""
    return "" if parts.username is not None else (parts.hostname or "").rstrip(".")


def _authority(origin: str) -> str:
    """Return the `host[:port]` of an Origin as a Host header tells it: without the port that its scheme implies."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return ""
    authority = parts.netloc.lower()
    return authority.removesuffix(f":{port}") if port == _DEFAULT_PORTS.get(parts.scheme) else authority
