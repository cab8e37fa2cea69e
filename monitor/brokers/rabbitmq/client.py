"""HTTP to a RabbitMQ node: one client kept for all cycles, cut off from outside when it must end.

`httpx` errors become those of `monitor.errors` here and nowhere else.
"""

import json
import socket
import ssl
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from monitor.brokers.handshakes import find_fault
from monitor.brokers.rabbitmq.addresses import Address
from monitor.brokers.tls import open_context, tell_failure
from monitor.clock import Clock
from monitor.config import TlsFiles
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

_LONGEST_CONNECT = 5.0
_SHARE_TO_CONNECT = 0.5  # so that a second source can still be asked within the cycle
SYSTEM_TLS = TlsFiles()
"""No files: the authorities of the system, and no certificate of this client."""

_KEYS = {"management API": "management_url", "Prometheus plugin": "prometheus_url"}
_MARGIN = 0.9  # of what is left: an answer that does not come must be told before the deadline, not at it


Query = Mapping[str, str | int | Sequence[str]]


class NotThere(BadAnswer):
    """The broker answers, but has no such page: the plugin is too old, or off."""


class HttpClient:
    """GET from one address, within deadlines given in seconds of `clock.monotonic`.

    May be used from two threads. `close` from a third makes every request under way end at once.
    """

    def __init__(self, address: Address, clock: Clock, *, target: str, tls: TlsFiles = SYSTEM_TLS) -> None:
        self.address, self._target, self._clock, self._tls = address, target, clock, tls
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._guard = threading.Lock()
        self._closed = False
        self._client: httpx.Client | None = None

    def _opened(self) -> httpx.Client:
        with self._guard:
            if self._client is None:
                self._client = self._open()
            return self._client

    def _open(self) -> httpx.Client:
        address = self.address
        return httpx.Client(
            base_url=address.base_url,
            auth=(address.username, address.password or "") if address.username is not None else None,
            verify=open_context(self._tls, self.target) if address.secure else False,
            trust_env=False,  # a proxy of the environment, or a .netrc, is not meant for brokers
            headers={"Accept-Encoding": "identity"},  # compressing costs the broker more than all the rest
        )

    def _drop(self) -> None:
        with self._guard:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    @property
    def target(self) -> str:
        """Return what is asked, for people: `management API at host:port`."""
        return f"{self._target} at {self.address.shown}"

    def get(self, path: str, deadline: float, query: Query | None = None) -> bytes:
        """Return the body of a page.

        Raises BrokerError: Unreachable, TimedOut, TlsFailed, AuthenticationFailed, Forbidden, Throttled, NotThere,
        BadAnswer.
        """
        now = self._clock.monotonic()
        left = (deadline - now) * _MARGIN
        if left <= 0:
            raise TimedOut("no time was left to ask", target=self.target)
        timeout = httpx.Timeout(left, connect=min(left * _SHARE_TO_CONNECT, _LONGEST_CONNECT))
        url = f"{path}?{urlencode(query, doseq=True)}" if query else path
        client = self._opened()
        try:
            with self._translated(now + left), self._cut_at(left):
                answer = client.get(url, timeout=timeout, extensions={"trace": self._trace})
        except TlsFailed:
            self._drop()  # the next one reads the files anew, which may have been renewed
            raise
        if answer.status_code != httpx.codes.OK:
            raise self._refusal(answer)
        return answer.content

    def get_json(self, path: str, deadline: float, query: Query | None = None) -> Any:
        """Return a page of JSON. Raises as `get`, and BadAnswer for what is no JSON."""
        body = self.get(path, deadline, query)
        try:
            return json.loads(body)
        except ValueError as error:
            raise BadAnswer(f"{path} is no JSON", target=self.target) from error

    def close(self) -> None:
        """Cut all connections. A request under way raises Unreachable."""
        self._closed = True
        self._cut()
        self._drop()

    def _cut(self) -> None:
        with self._guard:
            sockets = list(self._sockets)
        for connection in sockets:
            # Closing a socket does not wake the thread that waits for it, shutting it down does. The plain socket's
            # method is called since the TLS one's also changes state that the other thread is using.
            try:
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:
                continue  # it has gone already

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            connection = info["return_value"].get_extra_info("socket")
            with self._guard:
                self._sockets.add(connection)
            if self._closed:
                self._cut()

    @contextmanager
    def _cut_at(self, seconds: float) -> Iterator[None]:
        # The library's timeouts are for each read: an answer that trickles would never end.
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    @contextmanager
    def _translated(self, end: float) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectTimeout as error:
            raise Unreachable("no connection could be made in time", target=self.target) from error
        except httpx.TimeoutException as error:
            raise TimedOut("no answer before the deadline", target=self.target) from error
        except (httpx.HTTPError, httpx.InvalidURL, RuntimeError) as error:
            # RuntimeError is what the library raises for a client that was closed meanwhile
            raise self._failure(error, end) from error

    def _failure(self, error: Exception, end: float) -> BrokerError:
        if self._closed:
            return Unreachable("the connection was closed by the monitor", target=self.target)
        if self._clock.monotonic() >= end:
            return TimedOut("the answer did not end before the deadline", target=self.target)
        cause = cause_of(error)
        fault = self._find_fault(cause, end)
        if fault is not None:
            return fault
        if cause is not None:
            return connection_failure(cause, self.target, self.address, self._tls)
        if isinstance(error, httpx.RemoteProtocolError):
            return BadAnswer(f"does not answer as HTTP does ({error})", target=self.target, remedy="check the port")
        return Unreachable(f"the connection failed ({error})", target=self.target)

    def _find_fault(self, cause: OSError | None, end: float) -> TlsFailed | None:
        """Look whether a connection that was cut was cut by TLS; the word for it may have been lost with the rest."""
        if not self.address.secure or isinstance(cause, ssl.SSLError) or not isinstance(cause, ConnectionError | None):
            return None
        return find_tls_fault(self.address, self._tls, self.target, end - self._clock.monotonic())

    def _refusal(self, answer: httpx.Response) -> BrokerError:
        status, reason = answer.status_code, _reason(answer)
        if status == httpx.codes.UNAUTHORIZED and not reason.permission:
            remedy = f"check user name and password in {_KEYS.get(self._target, 'the address')}"
            return AuthenticationFailed("the user name or password is refused", target=self.target, remedy=remedy)
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            remedy = "give the user the tag monitoring, and permissions in the virtual host"
            return Forbidden(f"{answer.url.path} is refused: {reason.text}", target=self.target, remedy=remedy)
        if status == httpx.codes.TOO_MANY_REQUESTS:
            return Throttled("the broker asks for fewer calls", target=self.target)
        if status == httpx.codes.NOT_FOUND or reason.error == "page_out_of_range":
            return NotThere(f"has no {answer.url.path}", target=self.target)
        return BadAnswer(f"{answer.url.path} answers with status {status}", target=self.target)


@dataclass(frozen=True, slots=True)
class _Reason:
    """Why the broker refuses, as its body says."""

    error: str = ""
    text: str = "no reason is given"

    @property
    def permission(self) -> bool:
        """Say whether a permission is missing.

        A failed login has the status 401 as well: `not_authorised` and `not_authorized` tell them apart
        (rabbit_mgmt_util, rabbit_web_dispatch_access_control).
        """
        return self.error == "not_authorised"


def _reason(answer: httpx.Response) -> _Reason:
    try:
        body = answer.json()
    except ValueError:
        return _Reason()
    return _Reason(str(body.get("error")), str(body.get("reason"))) if isinstance(body, dict) else _Reason()


def find_tls_fault(address: Address, tls: TlsFiles, target: str, seconds: float) -> TlsFailed | None:
    """Shake hands once more and return what is wrong with that, if anything is."""
    if seconds <= 0:
        return None
    return find_fault(address.host, address.port, tls, target, min(seconds, _LONGEST_CONNECT))


def cause_of(error: BaseException) -> OSError | None:
    """Return the operating system's or TLS library's error beneath a library's own, where there is one."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, OSError):
            return current
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return None


def connection_failure(cause: OSError, target: str, address: Address, tls: TlsFiles) -> BrokerError:
    """Say what kept a connection from being made or held."""
    if isinstance(cause, ssl.SSLError):
        return tell_failure(cause, target, certified=tls.certificate_file is not None, host=address.host)
    if isinstance(cause, socket.gaierror):
        return Unreachable("the host name does not resolve", target=target)
    if isinstance(cause, ConnectionRefusedError):
        return Unreachable("the connection is refused, nothing listens there", target=target)
    if isinstance(cause, TimeoutError):
        return TimedOut("no answer before the deadline", target=target)
    return Unreachable(f"the connection failed ({cause.strerror or cause})", target=target)
