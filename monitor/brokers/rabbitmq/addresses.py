"""Addresses of a broker, with the credentials taken out of what is shown."""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class Address:
    """Where one interface of the broker answers. `password` is not part of its text."""

    scheme: str
    host: str
    port: int
    path: str
    username: str | None
    password: str | None = field(repr=False)

    @property
    def secure(self) -> bool:
        """Say whether TLS is asked for."""
        return self.scheme in ("https", "amqps")

    @property
    def shown(self) -> str:
        """Return `host:port` for people, an IPv6 host in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def vhost(self) -> str:
        """Return the virtual host that an AMQP address names; `/` when it names none."""
        return unquote(self.path.removeprefix("/")) or "/"

    @property
    def base_url(self) -> str:
        """Return the URL without credentials and without a slash at its end."""
        return f"{self.scheme}://{self.shown}{self.path.rstrip('/')}"


_PORTS = {"http": 15672, "https": 15671, "amqp": 5672, "amqps": 5671}


def parse_address(url: SecretStr, default_port: int | None = None) -> Address:
    """Split a URL; without a port it is the default of the plugin (`default_port`) or of the protocol."""
    parts = urlsplit(url.get_secret_value().strip())
    return Address(
        parts.scheme,
        parts.hostname or "localhost",
        parts.port or default_port or _PORTS[parts.scheme],
        parts.path,
        unquote(parts.username) if parts.username is not None else None,
        unquote(parts.password) if parts.password is not None else None,
    )
