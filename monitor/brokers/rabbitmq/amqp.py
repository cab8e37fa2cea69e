"""What every AMQP connection of the product shares: its parameters, and what the library's errors mean."""

import contextlib
import os
import re
import socket
from typing import Any

import pika
from pika.adapters.select_connection import IOLoop
from pika.credentials import ExternalCredentials
from pika.exceptions import (
    AuthenticationError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    IncompatibleProtocolError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from monitor.brokers.rabbitmq.addresses import Address
from monitor.brokers.rabbitmq.client import cause_of, connection_failure, find_tls_fault
from monitor.brokers.tls import open_context, tell_reason
from monitor.config import TlsFiles
from monitor.errors import AuthenticationFailed, BadAnswer, BrokerError, Forbidden, Unreachable

NO_SUCH = 404
LOCKED = 405  # exclusive to another connection
REFUSED = 403
_NOT_ALLOWED = 530
_NEVER = 1e6  # seconds
# Of what ended a connection before the first word of AMQP the library keeps the text alone.
_TLS_REASON = re.compile(r"\[SSL: (\w+)\]")


class Loop(IOLoop):
    """The library's loop, which can let go of its connection.

    The library itself only closes with the broker's consent, which a frozen one never gives, and its abort fails an
    assertion during the AMQP handshake (pika 1.3.2 to 1.4.4). A socket that is shut down beneath it ends every phase.
    """

    def __init__(self) -> None:
        super().__init__()
        self._descriptors: set[int] = set()
        self._cut = False

    def add_handler(self, fd: Any, handler: Any, events: int) -> None:
        """Watch a socket, as the library asks for each that it opens."""
        self._descriptors.add(fd)
        super().add_handler(fd, handler, events)
        if self._cut:  # it has gone on to the host's next address
            self.cut()

    def remove_handler(self, fd: Any) -> None:
        """Watch a socket no more."""
        self._descriptors.discard(fd)
        super().remove_handler(fd)

    def cut(self) -> bool:
        """Shut down what is open; return whether there was anything. For the loop's own thread."""
        self._cut = True
        for descriptor in self._descriptors:
            with socket.socket(fileno=os.dup(descriptor)) as connection, contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        return bool(self._descriptors)


def connection_parameters(
    address: Address,
    vhost: str,
    timeout: float,
    tls: TlsFiles,
    *,
    heartbeat: int | None = None,
    name: str = "eventflow monitor",
) -> pika.ConnectionParameters:
    """Return the parameters of a connection that gives up after `timeout` seconds without an answer.

    Raises TlsFailed when a file for TLS cannot serve any more.
    """
    parameters = pika.ConnectionParameters(
        host=address.host,
        port=address.port,
        virtual_host=vhost,
        credentials=_credentials(address, tls),
        socket_timeout=timeout,
        stack_timeout=_NEVER,  # the callers have their own, and this one ends in the assertion told of above
        client_properties={"connection_name": name},
    )
    if heartbeat is not None:
        parameters.heartbeat = heartbeat
    if address.secure:
        parameters.ssl_options = pika.SSLOptions(open_context(tls, f"AMQP at {address.shown}"), address.host)
    return parameters


def _credentials(address: Address, tls: TlsFiles) -> pika.PlainCredentials | ExternalCredentials:
    """Return the login: by name and password, or by certificate where there is one and no name."""
    if address.secure and address.username is None and tls.certificate_file is not None:
        return ExternalCredentials()
    return pika.PlainCredentials(address.username or "guest", address.password or "guest")


def translated(error: BaseException, vhost: str, target: str, address: Address, tls: TlsFiles) -> BrokerError:
    """Say what ended or prevented a connection."""
    causes = list(beneath(error))
    for cause in causes:
        if isinstance(cause, ProbableAccessDeniedError):
            return _closed_vhost(vhost, target)
        if isinstance(cause, ProbableAuthenticationError):
            return _tell_no_login(target, address, tls)
        if type(cause) is AuthenticationError:
            problem = "the broker takes no login of this kind"
            remedy = "set user name and password in the address, or let the broker take certificates as logins"
            return AuthenticationFailed(problem, target=target, remedy=remedy)
        if isinstance(cause, ConnectionClosedByBroker):
            return _closed_by_broker(cause, vhost, target)
    system = next((found for found in map(cause_of, causes) if found is not None), None)
    if system is not None:
        return connection_failure(system, target, address, tls)
    for cause in causes:
        reason = _TLS_REASON.search(str(cause)) if isinstance(cause, IncompatibleProtocolError) else None
        if reason:
            return tell_reason(reason[1], target, certified=tls.certificate_file is not None)
    if any(isinstance(cause, IncompatibleProtocolError) for cause in causes):
        return BadAnswer("does not answer as AMQP 0.9.1 does", target=target, remedy="check the port")
    return Unreachable(f"the connection failed ({type(causes[-1]).__name__})", target=target)


def look_again(error: BrokerError, address: Address, tls: TlsFiles, seconds: float) -> BrokerError:
    """Return what a handshake tells of a connection that ended before the first word of AMQP, else the error itself.

    Not for the loop's thread: it waits.
    """
    if not address.secure or not isinstance(error, BadAnswer | Unreachable):
        return error
    return find_tls_fault(address, tls, error.target, seconds) or error


def _tell_no_login(target: str, address: Address, tls: TlsFiles) -> AuthenticationFailed:
    if isinstance(_credentials(address, tls), ExternalCredentials):
        problem = "the certificate of this client is no login there"
        return AuthenticationFailed(
            problem, target=target, remedy="make a user of its name, or set another in the address"
        )
    remedy = "check user name and password in amqp_url"
    return AuthenticationFailed("the user name or password is refused", target=target, remedy=remedy)


def refused(error: ChannelClosedByBroker, target: str) -> BrokerError:
    """Say why the broker closed a channel over `target`."""
    if error.reply_code == NO_SUCH:
        return BadAnswer("there is no such queue or exchange", target=target)
    if error.reply_code == LOCKED:
        return Forbidden("the queue is exclusive to another connection", target=target)
    if error.reply_code == REFUSED:
        return Forbidden(f"the broker refuses it: {error.reply_text}", target=target)
    return BadAnswer(f"the broker closed the channel: {error.reply_text}", target=target)


def beneath(error: BaseException) -> list[BaseException]:
    """Return an error of the library and all that it carries."""
    found, ahead = [], [error]
    while ahead:
        current = ahead.pop(0)
        if current in found:
            continue
        found.append(current)
        ahead += list(getattr(current, "exceptions", ()))
        ahead += [inner for inner in (getattr(current, "exception", None), current.__cause__) if inner is not None]
        ahead += [inner for inner in current.args if isinstance(inner, BaseException)]
    return found


def _closed_vhost(vhost: str, target: str) -> Forbidden:
    remedy = "give the user permissions there, if only empty ones (^$)"
    return Forbidden(f"the virtual host {vhost} does not exist or is refused", target=target, remedy=remedy)


def _closed_by_broker(error: ConnectionClosedByBroker, vhost: str, target: str) -> BrokerError:
    if error.reply_code == _NOT_ALLOWED:
        return _closed_vhost(vhost, target)
    return Unreachable(f"the broker closed the connection ({error.reply_text})", target=target)
