"""What a queue's name tells: the least sure evidence, used where topology, headers and configuration are silent."""

import re

_FIFO = ".fifo"  # every FIFO queue on SQS must end so; the telling part stands before it
_DEAD = re.compile(r"([.\-_]?dl[qt]|_error)$", re.IGNORECASE)
_RETRY = re.compile(r"-retry-\d+$", re.IGNORECASE)
_RETRY_ON_CYCLE = re.compile(r"[.\-_]retry([.\-_]\d+)?$", re.IGNORECASE)


def is_dead_by_name(name: str) -> bool:
    """Say whether a name ends as those of dead-letter queues do: `.dlq`, `-dlt`, `_error`, `DLQ`, in any case."""
    return _DEAD.search(_stem(name)) is not None


def is_retry_by_name(name: str) -> bool:
    """Say whether a name alone makes a retry queue: it ends in `-retry-0`, `-retry-5000`, in any case.

    A wider rule would hide what stays: nobody is told of a retry queue.
    """
    return _RETRY.search(_stem(name)) is not None


def is_retry_on_cycle(name: str) -> bool:
    """Say whether a name tells which queue of a cycle is for retries: `-retry`, `-retry-0`, `.retry.5000` too."""
    return _RETRY_ON_CYCLE.search(_stem(name)) is not None


def strip_dead_suffix(name: str) -> str | None:
    """Return the name that remains without its dead-letter ending, the origin if something is called so.

    `order-events.dlq` gives `order-events`, `Orders-DLQ.fifo` gives `Orders.fifo`. None when the name has no such
    ending, or when nothing would remain.
    """
    stem = _stem(name)
    found = _DEAD.search(stem)
    if found is None or found.start() == 0:
        return None
    return stem[: found.start()] + name[len(stem) :]


def _stem(name: str) -> str:
    return name[: -len(_FIFO)] if name.endswith(_FIFO) else name
