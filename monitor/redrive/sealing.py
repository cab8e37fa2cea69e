"""Dead letters as they lie in the database: sealed with Fernet (AES-128-CBC and HMAC-SHA256) under configured keys."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from monitor.errors import StorageError
from monitor.letters import DeadMessage, Header
from monitor.model import FoundBy, Origin


class Sealer:
    """Seals with the first key, and opens what was sealed with any of them. Without keys it can do neither."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys]) if keys else None

    @property
    def has_keys(self) -> bool:
        """Say whether something can be sealed."""
        return self._fernet is not None

    def seal(self, message: DeadMessage) -> bytes:
        """Return a message as it is kept."""
        return self._needed().encrypt(json.dumps(_pack(message)).encode())

    def open(self, sealed: bytes) -> DeadMessage:
        """Return a message that was kept. Raises StorageError when none of the keys opens it."""
        try:
            return _unpack(json.loads(self._needed().decrypt(sealed)))
        except InvalidToken:
            told = "what was set aside was sealed with a key that archive.keys does not have any more"
            raise StorageError(told) from None

    def _needed(self) -> MultiFernet:
        if self._fernet is None:
            raise StorageError("nothing can be sealed or opened: archive.keys is empty")
        return self._fernet


def _pack(message: DeadMessage) -> dict[str, Any]:
    values = {
        **asdict(message),
        "headers": [[it.name, it.value, it.kind] for it in message.headers],
        "origin": [message.origin.name, message.origin.found_by] if message.origin else None,
    }
    return {name: _plain(value) for name, value in values.items()}


def _unpack(packed: dict[str, Any]) -> DeadMessage:
    values = {name: _original(value) for name, value in packed.items()}
    values["headers"] = tuple(Header(*it) for it in values["headers"])
    origin = values["origin"]
    values["origin"] = Origin(origin[0], FoundBy(origin[1])) if origin else None
    return DeadMessage(**values)


def _plain(value: Any) -> Any:
    """Return a value as JSON, in which bytes are marked."""
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, dict):
        return {"map": {str(name): _plain(it) for name, it in value.items()}}
    if isinstance(value, list | tuple):
        return [_plain(it) for it in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _original(value: Any) -> Any:
    if isinstance(value, dict):
        if "b64" in value:
            return base64.b64decode(value["b64"])
        return {name: _original(it) for name, it in value["map"].items()}
    return [_original(it) for it in value] if isinstance(value, list) else value
