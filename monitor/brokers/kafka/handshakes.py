"""Why there is no TLS connection to a broker, found out by a handshake of our own.

librdkafka says of every certificate that does not verify the same; OpenSSL, asked directly, tells which it is: expired,
of an unknown authority, for another name. It is asked only after the library has failed.
"""

import socket
import ssl

from monitor.brokers.tls import open_context, tell_failure
from monitor.config import KafkaSecurity, split_address
from monitor.errors import TlsFailed

_A_WORD_SECONDS = 0.3


def find_fault(address: str, security: KafkaSecurity, seconds: float) -> TlsFailed | None:
    """Shake hands with `host:port` and return what is wrong; None when nothing is, or nothing can be told in time."""
    host, port = split_address(address)
    try:
        context = open_context(security, address)
        with socket.create_connection((host, port), timeout=seconds) as connection:
            _shake_hands(context, connection, host, seconds)
    except TlsFailed as error:
        return error
    except ssl.SSLError as error:
        return tell_failure(error, address, certified=security.certificate_file is not None, host=host)
    except OSError:
        return None
    return None


def _shake_hands(context: ssl.SSLContext, connection: socket.socket, host: str, seconds: float) -> None:
    with context.wrap_socket(connection, server_hostname=host) as secured:
        # In TLS 1.3 a broker that refuses this client's certificate tells so only after the handshake.
        secured.settimeout(min(seconds, _A_WORD_SECONDS))
        try:
            secured.recv(1)
        except TimeoutError:
            return  # it waits to be spoken to, as it should
