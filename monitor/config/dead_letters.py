"""Dead letters: whose they are, what is hidden of them, who approves their redrive, what is set aside."""

import re
from collections.abc import Iterable
from typing import Annotated

from cryptography.fernet import Fernet
from pydantic import AfterValidator, Field, SecretStr, field_validator

from monitor.config.section import Section
from monitor.config.values import LongInterval
from monitor.model import decode_id


def _queue_id(id_: str) -> str:
    try:
        decode_id(id_)
    except ValueError as error:
        why = "" if isinstance(error, UnicodeError) else f" ({error})"
        raise ValueError(f"must be an id: cluster/queue, with / and % inside a name as %2F and %25{why}") from None
    return id_


QueueId = Annotated[str, AfterValidator(_queue_id)]


class DeadLetterMapping(Section):
    """A dead-letter queue that discovery cannot know, and the destinations its messages come from.

    `queue` is an id; `origins` are named as in the label `destination`, without the cluster, which is the same.
    """

    queue: QueueId
    origins: list[str] = []

    @property
    def cluster(self) -> str:
        """The name of the cluster that the queue is in."""
        return decode_id(self.queue)[0]

    @property
    def place(self) -> tuple[str, ...]:
        """Where the queue is in its cluster: its name, before that the virtual host where that is not `/`."""
        parts = decode_id(self.queue)[1:]
        return parts[1:] if len(parts) == 2 and parts[0] == "/" else parts


def origins_by_place(cluster: str, mappings: Iterable[DeadLetterMapping]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return what the configuration says of the dead-letter queues of one cluster: their origins by `place`."""
    return {mapping.place: tuple(mapping.origins) for mapping in mappings if mapping.cluster == cluster}


class MaskingRule(Section):
    """What is hidden of dead letters from those who may not see bodies; `queue` is a pattern over ids."""

    queue: str
    hide: Annotated[list[str], Field(min_length=1)]

    @field_validator("hide")
    @classmethod
    def _pointers(cls, pointers: list[str]) -> list[str]:
        for pointer in pointers:
            if not re.fullmatch(r"/(key|exception_message|(body|headers|properties)(/.*)?)", pointer):
                raise ValueError("must be /key, /body/..., /headers/NAME, /properties/NAME or /exception_message")
        return pointers


class Approvals(Section):
    """Which jobs a second person must approve: those of more messages, and all of some queues (patterns over ids)."""

    above: Annotated[int, Field(ge=0)] | None = None
    queues: list[str] = []

    @property
    def needed(self) -> bool:
        """Say whether there is any job that must be approved."""
        return self.above is not None or bool(self.queues)


class Archive(Section):
    """Dead letters set aside, and originals of edited ones, in the database: sealed, with a cap and an end.

    `keys` are Fernet keys: the first one seals, all of them open. `most_bytes` is the cap of all together.
    """

    keys: list[SecretStr] = []
    keep: LongInterval = 30 * 86400.0
    most_bytes: Annotated[int, Field(ge=0)] = 1_000_000_000

    @field_validator("keys")
    @classmethod
    def _usable(cls, keys: list[SecretStr]) -> list[SecretStr]:
        for key in keys:
            try:
                Fernet(key.get_secret_value())
            except ValueError:
                remedy = "openssl rand -base64 32 | tr -- +/ -_"
                # `from None`: the key must not be quoted.
                raise ValueError(f"must be 32 random bytes as URL-safe base64: {remedy}") from None
        return keys
