"""A fake of an OpenID Connect provider: just the token endpoint, and the keys to check tokens by.

It stands in for Keycloak and its like, which cannot be had here: the tokens are real signed JWTs, the broker really
checks them, the rest of such a provider is not there.
"""

import base64
import json
import math
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

AUDIENCE, ISSUER, SCOPE = "kafka", "https://fake-provider.invalid", "kafka"
_KEY_ID = "of-this-run"


class TokenEndpoint:
    """Gives tokens to clients that know the secret.

    Tests set `lifetime`, in seconds, and `expired`: tokens of hours ago.
    """

    def __init__(self, secret: str, keys: Path) -> None:
        self.secret = secret
        self.lifetime = 3600.0
        self.expired = False
        self.given: list[str] = []
        self._key = rsa.generate_private_key(65537, 2048)
        keys.write_text(json.dumps({"keys": [self._public_key()]}))
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        """Where tokens are asked for."""
        return f"http://127.0.0.1:{self._port}/token"

    def start(self) -> None:
        """Listen, again on the same port after a stop; nothing happens where it does."""
        if self._server is not None:
            return
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), _handler_of(self))
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, login: tuple[str, str], form: Mapping[str, list[str]]) -> tuple[int, dict[str, Any]]:
        """Return status and body for a client that asks."""
        client, secret = login
        if form.get("grant_type") != ["client_credentials"]:
            return 400, {"error": "unsupported_grant_type"}
        if secret != self.secret:
            return 401, {"error": "invalid_client", "error_description": "Invalid client credentials"}
        self.given.append(client)
        return 200, {"access_token": self.token(client), "token_type": "Bearer", "expires_in": int(self.lifetime)}

    def token(self, client: str) -> str:
        """Return a signed token for a client."""
        now = time.time()
        issued, until = (now - 7200, now - 3600) if self.expired else (now, now + self.lifetime)
        about = {"iss": ISSUER, "aud": AUDIENCE, "sub": client, "scope": SCOPE}
        claims = {**about, "iat": int(issued), "exp": math.ceil(until)}
        head = {"alg": "RS256", "typ": "JWT", "kid": _KEY_ID}
        signed = b".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
        return b".".join((signed, _encoded(self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256())))).decode()

    def _public_key(self) -> Mapping[str, str]:
        numbers = self._key.public_key().public_numbers()
        modulus, exponent = numbers.n.to_bytes(256, "big"), numbers.e.to_bytes(3, "big")
        return {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": _KEY_ID,
            "n": _encoded(modulus).decode(),
            "e": _encoded(exponent).decode(),
        }


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _handler_of(endpoint: TokenEndpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            kind, _, login = self.headers.get("Authorization", "").partition(" ")
            client, _, secret = base64.b64decode(login).decode().partition(":") if kind == "Basic" else ("", "", "")
            found = self.path == "/token"
            status, answer = endpoint.answer((client, secret), parse_qs(body)) if found else (404, {})
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
