"""The gate of the dashboard: signs people in and out, and says to the pages who it is that looks at them.

It stands before Streamlit as ASGI middleware and has three plain pages of its own, since a cookie that scripts cannot
read can only be set by an answer of the server.
"""

import html
import ipaddress
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, urlsplit

import anyio
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboards.sessions import Sessions
from monitor.apiclient import DEFAULT_URL, ApiClient
from monitor.errors import MonitorRefused, MonitorUnreachable

COOKIE = "eventflow_session"
PERSON_HEADER = "eventflow-dashboard-person"
"""In which the gate tells the pages whom a listed proxy has signed in; what a client sends under that name goes."""

_LONGEST_FORM_BYTES = 8_192
_LONGEST_PERSON = 200
_ASK_AGAIN_SECONDS = 10.0
_REFUSED_SECONDS = 1.0
_OWN_PATHS = ("/sign-in", "/sign-out")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    # Without any referrer browsers send the Origin `null` with a form, also to the place that it came from.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Settings:
    """Who is let in, as the section `dashboard` of the configuration says; `token` is the dashboard's own."""

    session_seconds: float = 12 * 3600.0
    idle_seconds: float = 3600.0
    proxies: tuple[str, ...] = ()
    identity_header: str = "X-Forwarded-User"
    url: str = DEFAULT_URL
    token: str | None = field(default=None, repr=False)


class Gate:
    """Everything that the gate knows; one a process, see `GATE`."""

    def __init__(self, settings: Settings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.settings, self._monotonic = settings, monotonic
        self.sessions = Sessions(settings.session_seconds, settings.idle_seconds, monotonic)
        self._networks = [ipaddress.ip_network(it) for it in settings.proxies]
        self._needed: tuple[float, bool] | None = None
        self.stands = False  # whether requests come through it; else what they say of themselves is not checked

    def person(self, scope: Scope) -> str | None:
        """Return whom a listed proxy says it has signed in; what others say counts for nothing."""
        client = scope.get("client")
        if not client or not self._is_proxy(client[0]):
            return None
        name = Headers(scope=scope).get(self.settings.identity_header, "").strip()
        return name[:_LONGEST_PERSON] if name and name.isprintable() and name.isascii() else None

    def _is_proxy(self, address: str) -> bool:
        try:
            peer = ipaddress.ip_address(address.removeprefix("::ffff:"))
        except ValueError:
            return False
        return any(peer in network for network in self._networks)

    async def sign_in_needed(self) -> bool:
        """Say whether nobody may look without having signed in; asked of the monitor, and again after a while.

        While the monitor is away nobody is kept out: without it there is nothing to see.
        """
        now = self._monotonic()
        if self._needed is None or now - self._needed[0] > _ASK_AGAIN_SECONDS:
            # Where proxies sign people in, the dashboard's own token is for them alone.
            token = None if self._networks else self.settings.token
            self._needed = (now, await anyio.to_thread.run_sync(_is_refused, self.settings.url, token))
        return self._needed[1]


def _is_refused(url: str, token: str | None) -> bool:
    try:
        with ApiClient(url, token, timeout_seconds=3.0) as monitor:
            monitor.about()
    except MonitorRefused as refusal:
        return refusal.status == 401
    except MonitorUnreachable:
        return False
    return False


class GateMiddleware:
    """ASGI middleware: tells the pages who looks, and leads to the sign-in who must."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app, self._gate = app, gate
        gate.stands = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on with its person in it, or lead to the sign-in."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        person = self._gate.person(scope)
        scope = {**scope, "headers": _with_person(scope["headers"], person)}
        if scope["type"] == "http" and person is None and _is_page(scope) and await self._must_sign_in(scope):
            query = scope["query_string"].decode("latin-1")
            wanted = scope["path"] + (f"?{query}" if query else "")
            await RedirectResponse(f"/sign-in?next={quote(wanted, safe='')}", 303)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _must_sign_in(self, scope: Scope) -> bool:
        secret = Request(scope).cookies.get(COOKIE)
        return self._gate.sessions.find(secret) is None and await self._gate.sign_in_needed()


def _with_person(headers: Iterable[tuple[bytes, bytes]], person: str | None) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name.lower() != PERSON_HEADER.encode()]
    return kept if person is None else [*kept, (PERSON_HEADER.encode(), person.encode())]


def _is_page(scope: Scope) -> bool:
    accepts = Headers(scope=scope).get("accept", "")
    return scope["method"] == "GET" and "text/html" in accepts and scope["path"] not in _OWN_PATHS


def make_routes(gate: Gate) -> list[Route]:
    """Return the pages to sign in and out."""

    async def show_sign_in(request: Request) -> Response:
        return _form(_local(request.query_params.get("next")))

    async def sign_in(request: Request) -> Response:
        if not _is_own_origin(request):
            return _form("/", "This form was sent from somewhere else.", 403)
        given = await _read_form(request)
        token, wanted = given.get("token", "").strip(), _local(given.get("next"))
        why = await anyio.to_thread.run_sync(_why_not, gate.settings.url, token)
        if why:
            await anyio.sleep(_REFUSED_SECONDS)  # guessing is slow
            return _form(wanted, why, 401)
        answer = RedirectResponse(wanted, 303, headers={"Cache-Control": "no-store"})
        secure = request.url.scheme == "https" or _by_https(gate, request)
        answer.set_cookie(
            COOKIE,
            gate.sessions.begin(token),
            max_age=int(gate.settings.session_seconds),
            httponly=True,
            samesite="lax",
            secure=secure,
        )
        return answer

    async def show_sign_out(request: Request) -> Response:
        return _page("Sign out", '<form method="post" action="/sign-out"><button>Sign out</button></form>')

    async def sign_out(request: Request) -> Response:
        if not _is_own_origin(request):
            return _form("/", "This form was sent from somewhere else.", 403)
        gate.sessions.end(request.cookies.get(COOKIE))
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="lax")
        return answer

    steps: list[tuple[str, Callable[[Request], Awaitable[Response]], str]] = [
        ("/sign-in", show_sign_in, "GET"),
        ("/sign-in", sign_in, "POST"),
        ("/sign-out", show_sign_out, "GET"),
        ("/sign-out", sign_out, "POST"),
    ]
    return [Route(path, endpoint, methods=[method]) for path, endpoint, method in steps]


def _why_not(url: str, token: str) -> str | None:
    if not token:
        return "Give a token."
    try:
        with ApiClient(url, token, timeout_seconds=5.0) as monitor:
            monitor.about()
    except MonitorUnreachable as away:
        return str(away)
    except MonitorRefused as refusal:
        return "This token is not known." if refusal.status == 401 else str(refusal)
    return None


async def _read_form(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_FORM_BYTES:
            return {}
    return {name: values[-1] for name, values in parse_qs(body.decode("latin-1")).items()}


def _local(wanted: str | None) -> str:
    """Return an address within the dashboard: what leads elsewhere, also in ways that only browsers read so, is not."""
    wanted = wanted or "/"
    parts = urlsplit(wanted)
    elsewhere = parts.scheme or parts.netloc or not wanted.startswith("/") or wanted.startswith("//")
    return "/" if elsewhere or "\\" in wanted or not wanted.isprintable() else wanted


def _is_own_origin(request: Request) -> bool:
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _by_https(gate: Gate, request: Request) -> bool:
    proxied = request.client is not None and gate._is_proxy(request.client.host)
    return proxied and request.headers.get("x-forwarded-proto") == "https"


def _form(wanted: str, told: str = "", status: int = 200) -> Response:
    problem = f'<p role="alert">{html.escape(told)}</p>' if told else ""
    return _page(
        "Sign in",
        f"""{problem}<form method="post" action="/sign-in">
<input type="hidden" name="next" value="{html.escape(wanted)}">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button></form>
<p><small>Whoever keeps the monitor's configuration makes one by <code>eventflow token new</code>.</small></p>""",
        status,
    )


def _page(title: str, body: str, status: int = 200) -> Response:
    return HTMLResponse(
        f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} · Eventflow Monitor</title>
<meta name="viewport" content="width=device-width"><style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; }}
main {{ max-width: 22rem; margin: 18vh auto 0; padding: 0 1rem; }}
form {{ display: grid; gap: 0.6rem; }} input, button {{ font: inherit; padding: 0.5rem; }}
[role=alert] {{ border-left: 4px solid #d62728; padding-left: 0.6rem; }}
</style></head><body><main><h1>{title}</h1>{body}</main></body></html>""",
        status,
        headers=_HEADERS,
    )


def settings_from(environment: dict[str, str] | os._Environ[str]) -> Settings:
    """Return what `eventflow dashboard` has left in the environment."""
    proxies = tuple(it for it in environment.get("EVENTFLOW_DASHBOARD_PROXIES", "").split(",") if it)
    return Settings(
        float(environment.get("EVENTFLOW_DASHBOARD_SESSION_SECONDS", Settings.session_seconds)),
        float(environment.get("EVENTFLOW_DASHBOARD_IDLE_SECONDS", Settings.idle_seconds)),
        proxies,
        environment.get("EVENTFLOW_DASHBOARD_IDENTITY_HEADER", Settings.identity_header),
        environment.get("EVENTFLOW_URL", DEFAULT_URL),
        environment.get("EVENTFLOW_TOKEN") or None,
    )


GATE = Gate(settings_from(os.environ))
"""The gate of this process. The pages run in it as well, and ask it for the token of whoever looks."""
