"""Why there is no TLS connection to a broker, found out by a handshake of our own, after a library has failed.

librdkafka says of every certificate that does not verify the same; OpenSSL, asked directly, tells which it is: expired,
of an unknown authority, for another name. And a broker's word that it refuses a client's certificate can get lost: in
TLS 1.3 it comes after the handshake, and whoever has spoken meanwhile may find the connection reset instead. This
handshake says nothing, and listens.
"""

import socket
import ssl

from monitor.brokers.tls import open_context, tell_failure
from monitor.config import TlsFiles
from monitor.errors import TlsFailed

_A_WORD_SECONDS = 1.0


def find_fault(host: str, port: int, files: TlsFiles, target: str, seconds: float) -> TlsFailed | None:
    """Shake hands and return what is wrong; None when nothing is, or nothing can be told in time."""
    try:
        context = open_context(files, target)
        with socket.create_connection((host, port), timeout=seconds) as connection:
            _shake_hands(context, connection, host, seconds)
    except TlsFailed as error:
        return error
    except ssl.SSLError as error:
        return tell_failure(error, target, certified=files.certificate_file is not None, host=host)
    except OSError:
        return None
    return None


def _shake_hands(context: ssl.SSLContext, connection: socket.socket, host: str, seconds: float) -> None:
    with context.wrap_socket(connection, server_hostname=host) as secured:
        secured.settimeout(min(seconds, _A_WORD_SECONDS))
        try:
            secured.recv(1)
        except TimeoutError:
            return  # it waits to be spoken to, as it should
