"""Where the monitor and its dashboard are reached, and who may."""

import hashlib
import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from monitor.config.section import Section, with_distinct_names
from monitor.config.values import Interval, Name, is_loopback, split_address


class Token(Section):
    """An API token: only the hash of it is kept. `bodies` is the right to see what messages hold.

    Who holds one that `speaks_for_people`, as the dashboard does, may say by name for whom it asks.
    """

    name: Name
    role: Literal["viewer", "operator", "admin"]
    sha256: str
    bodies: bool | None = None
    speaks_for_people: bool = False

    @property
    def sees_bodies(self) -> bool:
        """Say whether bodies are shown; where nothing is said, to all but viewers."""
        return self.role != "viewer" if self.bodies is None else self.bodies

    @field_validator("sha256")
    @classmethod
    def _hexadecimal(cls, value: str) -> str:
        if not re.fullmatch(r"[0-9a-f]{64}", value):
            raise ValueError("must be the 64 hexadecimal digits that `eventflow token new` prints")
        return value


def hash_token(secret: str) -> str:
    """Return what the configuration keeps of a token: tokens are random and long, so a plain hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Person(Section):
    """Somebody whom a reverse proxy has signed in, and who acts through a token that speaks for people."""

    name: Name
    role: Literal["viewer", "operator", "admin"]


class Server(Section):
    """Where the monitor listens and who may ask. Beyond loopback, tokens are needed."""

    listen: str = "127.0.0.1:9610"
    tokens: list[Token] = []
    people: list[Person] = []
    metrics: Literal["open", "token"] = "open"
    allowed_hosts: list[str] = []

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        split_address(value)
        return value

    @field_validator("tokens")
    @classmethod
    def _distinct(cls, tokens: list[Token]) -> list[Token]:
        return with_distinct_names(tokens, "tokens", "the audit log tells people apart by them")

    @model_validator(mode="after")
    def _guarded(self) -> "Server":
        if not self.tokens and not is_loopback(split_address(self.listen)[0]):
            raise ValueError(f"listening on {self.listen} needs server.tokens; or listen on 127.0.0.1")
        if self.metrics == "token" and not self.tokens:
            raise ValueError("metrics: token needs server.tokens")
        return self


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError("must be an address or a network, as in 10.0.0.5 or 10.0.0.0/24") from error
    return value


class Dashboard(Section):
    """Who is let into the dashboard, and for how long. Read by `eventflow dashboard --config FILE`.

    A request that comes from one of `proxies` and has `identity_header` is its person's; that header of anybody else
    counts for nothing.
    """

    session: Interval = 12 * 3600.0
    idle: Interval = 3600.0
    proxies: list[Annotated[str, AfterValidator(_network)]] = []
    identity_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] = "X-Forwarded-User"
