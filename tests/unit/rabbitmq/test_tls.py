"""HTTPS to a broker whose certificate is signed by an authority of its own. The broker is a mock one."""

import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from monitor.brokers.rabbitmq.addresses import Address
from monitor.brokers.rabbitmq.client import HttpClient
from monitor.clock import Clock
from monitor.config import TlsFiles
from monitor.errors import TlsFailed

CERTIFICATE = str(Path(__file__).parent / "certificate.pem")


class Page(BaseHTTPRequestHandler):
    """Answers everything with one page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"secured")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def secure_port() -> Iterator[int]:
    """A server with that certificate."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that walks away is what is tested
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def client_of(port: int, ca_file: str | None, host: str = "127.0.0.1") -> HttpClient:
    return HttpClient(
        Address("https", host, port, "", None, None), Clock(), target="mock", tls=TlsFiles(ca_file=ca_file)
    )


def test_a_certificate_of_a_known_authority_is_accepted(secure_port: int) -> None:
    client = client_of(secure_port, CERTIFICATE)
    assert client.get("/", time.monotonic() + 5) == b"secured"
    client.close()


def test_a_certificate_of_an_unknown_authority_is_refused_with_the_remedy(secure_port: int) -> None:
    client = client_of(secure_port, None)
    with pytest.raises(TlsFailed, match=r"authority that is not trusted here .*certificate in ca_file"):
        client.get("/", time.monotonic() + 5)
    client.close()


def test_a_file_that_loses_its_certificates_is_told_and_read_again_when_it_has_them(
    secure_port: int, tmp_path: Path
) -> None:
    renewed = tmp_path / "renewed.pem"
    renewed.write_bytes(Path(CERTIFICATE).read_bytes())
    client = client_of(secure_port, str(renewed))
    renewed.write_text("nothing")
    with pytest.raises(TlsFailed, match=r"renewed\.pem holds no certificates"):
        client.get("/", time.monotonic() + 5)
    renewed.write_bytes(Path(CERTIFICATE).read_bytes())
    assert client.get("/", time.monotonic() + 5) == b"secured"
    client.close()


def test_a_certificate_for_another_host_is_refused(secure_port: int) -> None:
    client = client_of(secure_port, CERTIFICATE, host="localhost")
    with pytest.raises(TlsFailed, match="for another name than localhost"):
        client.get("/", time.monotonic() + 5)
    client.close()
