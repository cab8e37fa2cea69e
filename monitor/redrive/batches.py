"""Messages of a job that go the same way together: a row a batch, which costs a tenth of a row a message.

A batch stands for its messages only as long as all of them are at the same stage, and at one place at the target. When
one of them goes another way, each gets a row of its own in `redrive_items` and the batch's goes, in one transaction:
so a message stands in the journal once. All functions run within the caller's transaction.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from monitor.letters import Outcome
from monitor.redrive.items import Item, dump, row_of
from monitor.storage.database import insert_missing
from monitor.storage.tables import REDRIVE_BATCHES, REDRIVE_ITEMS

Place = tuple[int, int]
"""Where a message stands: the number of its batch, and its place in there."""


@dataclass(frozen=True, slots=True)
class Together:
    """A batch of messages. `number` is its own within the job; the others are by message."""

    number: int
    positions: Sequence[str]
    coordinates: Sequence[Mapping[str, Any]]


def add(connection: sa.Connection, job: str, batch: Together, now: float) -> None:
    """Keep a batch that is about to be sent."""
    body = dump({"positions": batch.positions, "coordinates": batch.coordinates})
    values = {"job": job, "number": batch.number, "stage": "intent", "at_target": "", "at": now}
    size = len(batch.positions)
    connection.execute(sa.insert(REDRIVE_BATCHES).values(**values, messages=size, body=body))


def advance(connection: sa.Connection, job: str, batch: Together, **values: Any) -> bool:
    """Change stage, place at the target and time of a batch; False when its messages have rows of their own now."""
    where = (REDRIVE_BATCHES.c.job == job, REDRIVE_BATCHES.c.number == batch.number)
    return bool(connection.execute(sa.update(REDRIVE_BATCHES).where(*where).values(**values)).rowcount)


def take_apart(connection: sa.Connection, job: str, which: sa.ColumnElement[bool]) -> None:
    """Give each message of some batches a row of its own."""
    where = (REDRIVE_BATCHES.c.job == job, which)
    for row in connection.execute(sa.select(REDRIVE_BATCHES).where(*where)).mappings().all():
        insert_missing(connection, REDRIVE_ITEMS, [row_of(job, item, row["at"]) for item in _items(job, row)])
    connection.execute(sa.delete(REDRIVE_BATCHES).where(*where))


def holds(position: str) -> sa.ColumnElement[bool]:
    """Return the condition that a batch holds a position."""
    return REDRIVE_BATCHES.c.body.contains(json.dumps(position), autoescape=True)


def any_of(connection: sa.Connection, job: str) -> bool:
    """Say whether a job has batches."""
    query = sa.select(REDRIVE_BATCHES.c.number).where(REDRIVE_BATCHES.c.job == job).limit(1)
    return connection.execute(query).first() is not None


def newest(connection: sa.Connection, job: str) -> int:
    """Return the number of a job's newest batch, 0 where there is none."""
    query = sa.select(sa.func.max(REDRIVE_BATCHES.c.number)).where(REDRIVE_BATCHES.c.job == job)
    return int(connection.execute(query).scalar() or 0)


def count(connection: sa.Connection, job: str, stage: str) -> int:
    """Return how many messages are in batches of a stage."""
    query = sa.select(sa.func.sum(REDRIVE_BATCHES.c.messages))
    where = query.where(REDRIVE_BATCHES.c.job == job, REDRIVE_BATCHES.c.stage == stage)
    return int(connection.execute(where).scalar() or 0)


def positions(connection: sa.Connection, job: str) -> Iterator[str]:
    """Yield the positions of all messages in batches."""
    for body in connection.execute(sa.select(REDRIVE_BATCHES.c.body).where(REDRIVE_BATCHES.c.job == job)).scalars():
        yield from json.loads(body)["positions"]


def page(
    connection: sa.Connection, job: str, after: Place, outcome: str | None, limit: int
) -> list[tuple[Place, Item]]:
    """Return messages in batches, in the order in which they were sent, after a place."""
    stages = [stage for stage in _OUTCOMES if outcome in (None, _OUTCOMES[stage])]
    where = (REDRIVE_BATCHES.c.job == job, REDRIVE_BATCHES.c.number >= after[0], REDRIVE_BATCHES.c.stage.in_(stages))
    found: list[tuple[Place, Item]] = []
    # As many batches as messages would be far too many: each holds hundreds, so they are read one by one.
    rows = connection.execution_options(yield_per=1).execute(
        sa.select(REDRIVE_BATCHES).where(*where).order_by(REDRIVE_BATCHES.c.number)
    )
    with rows:
        for row in rows.mappings():
            places = (((row["number"], at), item) for at, item in enumerate(_items(job, row), start=1))
            found += [it for it in places if it[0] > after]
            if len(found) >= limit:
                break
    return found[:limit]


_OUTCOMES = {"intent": None, "sent": Outcome.SENT, "removed": Outcome.SENT}


def _items(job: str, row: Mapping[Any, Any]) -> Iterator[Item]:
    body, stage = json.loads(row["body"]), row["stage"]
    for position, coordinates in zip(body["positions"], body["coordinates"], strict=True):
        # What equal messages are numbered by belongs to the journal; the redrive id that they carry is one.
        redrive_id = f"{job}:{position.partition(TWIN)[0]}"
        yield Item(position, redrive_id, stage, _OUTCOMES[stage], row["at_target"], "", coordinates)


TWIN = "\t"
"""What stands between a position that equal messages share and the number of one of them."""
