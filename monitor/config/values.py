"""The kinds of values that stand in the file: durations, shares, addresses, names, files."""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from monitor.document import why_unreadable

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SHORTEST_INTERVAL = 0.1
_LONGEST_INTERVAL = 365 * 86400.0

Text = TypeVar("Text", str, SecretStr)


def parse_duration(value: object) -> object:
    """Turn `2s`, `1m`, `500ms` into seconds.

    Raises ValueError for what is no duration, and for whole numbers, whose unit nobody said.
    """
    if isinstance(value, float):
        return value  # seconds, as our own defaults give them
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found:
        raise ValueError("must be a duration with its unit, as in 15s, 1m or 500ms")
    return float(found[1]) * _SECONDS[found[2]]


def parse_share(value: object) -> object:
    """Turn `99.9%` into 0.999; leave everything else for the type check to refuse."""
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?\s*%", value.strip()):
        return float(value.strip().rstrip("% ")) / 100
    return value


def split_address(address: str) -> tuple[str, int]:
    """Split `host:port` or `[::1]:port`. Raises ValueError when it is not that."""
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port is None or parts.netloc != address or "@" in address:
        # `from None`: the library's text quotes what it was given.
        raise ValueError("must be host:port, with a port from 0 to 65535, as in 127.0.0.1:9610") from None
    return host, port


def is_loopback(host: str) -> bool:
    """Say whether `host` is this machine's loopback, by name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bounded(seconds: float) -> float:
    if not _SHORTEST_INTERVAL <= seconds <= _LONGEST_INTERVAL:
        raise ValueError(f"must be at least {_SHORTEST_INTERVAL:g}s and at most {_LONGEST_INTERVAL / 86400:g}d")
    return seconds


def _at_least_an_hour(seconds: float) -> float:
    if seconds < 3600:
        raise ValueError("must be at least 1h")
    return seconds


def _proper_share(share: float) -> float:
    if not 0 < share < 1:
        raise ValueError("must be above 0% and below 100%, as in 99.9%")
    return share


def _hosts_and_ports(addresses: str) -> str:
    for address in addresses.split(","):
        split_address(address.strip())
    return addresses


def _url_of(*schemes: str) -> Callable[[Text], Text]:
    def check(value: Text) -> Text:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        try:
            parts = urlsplit(text)
            complete = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            complete = False
        if not complete:
            example = " or ".join(f"{scheme}://host:port" for scheme in schemes)
            raise ValueError(f"must be an address as {example}; a password's special characters percent-encoded")
        return value

    return check


def _readable(name: str) -> str:
    try:
        Path(name).open("rb").close()
    except (OSError, ValueError) as error:
        raise ValueError(f"the file {name} cannot be read ({why_unreadable(error)}); make it readable") from error
    return name


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("must not have line breaks or control characters")
    return name


Duration = Annotated[float, BeforeValidator(parse_duration)]
Interval = Annotated[Duration, AfterValidator(_bounded)]
LongInterval = Annotated[Interval, AfterValidator(_at_least_an_hour)]
Share = Annotated[float, BeforeValidator(parse_share), AfterValidator(_proper_share)]
Addresses = Annotated[str, AfterValidator(_hosts_and_ports)]
HttpUrl = Annotated[str, AfterValidator(_url_of("http", "https"))]
SecretHttpUrl = Annotated[SecretStr, AfterValidator(_url_of("http", "https"))]
AmqpUrl = Annotated[SecretStr, AfterValidator(_url_of("amqp", "amqps"))]
ReadableFile = Annotated[str, AfterValidator(_readable)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
