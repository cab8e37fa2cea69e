"""What plans, jobs and items there are: the tables of redrive, one short transaction a call.

Counts of a job change together with the items or ranges that they count, so that they add up after any crash.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa

from monitor.errors import BadRequest, Conflict, NotFound
from monitor.letters import Action, Fate, Outcome
from monitor.redrive import batches
from monitor.redrive.batches import Place, Together
from monitor.redrive.holds import Holds
from monitor.redrive.items import Item, dump, item_of, row_of
from monitor.redrive.model import FINAL_STATES, Counts, JobState
from monitor.redrive.paging import NEWEST_FIRST, Order
from monitor.storage.database import Database, upsert
from monitor.storage.tables import REDRIVE_BATCHES, REDRIVE_ITEMS, REDRIVE_JOBS, REDRIVE_PLANS, REDRIVE_RANGES

_COUNTS = tuple(asdict(Counts()))
_KEEP_LOOKING_UP = 500  # parameters of one query, well below the limits of both databases


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A plan as it was made. `body` is what the API answered."""

    id: str
    hash: str
    dead_letters: str
    created_at: float
    expires_at: float
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job as the journal has it. `wanted` is what people asked for last: run, pause or cancel.

    `archive` is the job whose archive this one restores; `approval` says why somebody else must approve it.
    `arrivals_before` are the dead letters that had come in before it began, see `bounces`.
    """

    id: str
    sequence: int
    plan: str
    dead_letters: str
    idempotency_key: str | None
    actor: str
    state: JobState
    reason: str | None
    wanted: str
    rate_per_second: float | None
    counts: Counts
    interruptions: int
    resent: int
    reached: Mapping[str, Any]
    created_at: float
    started_at: float | None
    ended_at: float | None
    action: Action = Action.REDRIVE
    archive: str | None = None
    approval: str | None = None
    approved_by: str | None = None
    approved_at: float | None = None
    canary_verdict: str | None = None
    arrivals_before: float | None = None
    may_have_bounced: int | None = None


class Journal:
    """The tables of redrive in one database. Thread-safe; every call raises StorageError."""

    def __init__(self, database: Database) -> None:
        self._database, self._holds = database, Holds(database)

    @contextmanager
    def free(self, dead_letters: str) -> Iterator[None]:
        """Let nobody start a job on a queue meanwhile. Raises Conflict when one has not ended."""
        with self._holds.hold(dead_letters):
            with self._database.writing() as connection:  # which waits for whoever is making a job
                running = _jobs(connection, REDRIVE_JOBS.c.active_queue == dead_letters)
            if running:
                told = f"job {running[0].id} is {running[0].state} on this queue; cancel it first"
                raise Conflict(told, job=running[0].id)
            yield

    # -- plans --------------------------------------------------------------------------------------------------------

    def add_plan(self, plan: StoredPlan) -> None:
        """Keep a plan."""
        values = {**_fields(plan), "body": dump(plan.body)}
        with self._database.writing() as connection:
            connection.execute(sa.insert(REDRIVE_PLANS).values(values))

    def plan(self, id_: str) -> StoredPlan:
        """Return a plan. Raises NotFound."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(REDRIVE_PLANS).where(REDRIVE_PLANS.c.id == id_)).mappings().first()
        if row is None:
            raise NotFound(f"there is no plan {id_!r}")
        return StoredPlan(**{**row, "body": json.loads(row["body"])})

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def add_job(self, job: StoredJob) -> tuple[StoredJob, bool]:
        """Keep a new job and return it with True, or the one of the same plan or idempotency key with False.

        Raises Conflict, which names the job, when another one of the same dead-letter queue has not ended, or its queue
        is kept free.
        """
        with self._database.writing() as connection:
            _lock_table(connection, REDRIVE_JOBS)
            started = REDRIVE_JOBS.c.plan == job.plan
            if job.idempotency_key is not None:  # compared with None, it would be every job that has no key
                started = sa.or_(REDRIVE_JOBS.c.idempotency_key == job.idempotency_key, started)
            same = _jobs(connection, started)
            if same:
                return same[0], False
            other = _jobs(connection, REDRIVE_JOBS.c.active_queue == job.dead_letters)
            if other:
                told = (
                    f"job {other[0].id} redrives {job.dead_letters} already ({other[0].state}); cancel it or let it end"
                )
                raise Conflict(told, job=other[0].id)
            self._holds.check(connection, job.dead_letters)
            newest = connection.execute(sa.select(sa.func.max(REDRIVE_JOBS.c.sequence))).scalar()
            job = replace(job, sequence=(newest or 0) + 1)
            values = {**_fields(job), **asdict(job.counts), "reached": dump(job.reached)}
            del values["counts"]
            connection.execute(sa.insert(REDRIVE_JOBS).values(**values, active_queue=job.dead_letters))
        return job, True

    def job(self, id_: str) -> StoredJob:
        """Return a job. Raises NotFound."""
        with self._database.reading() as connection:
            found = _jobs(connection, REDRIVE_JOBS.c.id == id_)
        if not found:
            raise NotFound(f"there is no job {id_!r}")
        return found[0]

    def jobs(
        self, limit: int, after: int | None = None, dead_letters: str | None = None, order: Order = NEWEST_FIRST
    ) -> list[StoredJob]:
        """Return jobs; `after` is a sequence number to go on from, `dead_letters` one queue's id."""
        it = REDRIVE_JOBS.c
        query = order.page(REDRIVE_JOBS, after, limit, it.id, it.dead_letters, it.actor, it.action, it.state, it.reason)
        if dead_letters is not None:
            query = query.where(it.dead_letters == dead_letters)
        with self._database.reading() as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

    def unfinished(self) -> list[StoredJob]:
        """Return the jobs that have not ended; those that wait for a second person are among them."""
        with self._database.reading() as connection:
            return _jobs(connection, REDRIVE_JOBS.c.active_queue.is_not(None))

    def tallies(self) -> list[tuple[str, JobState, Counts]]:
        """Return plan, state and counts of every job there has been, the oldest first."""
        columns = (REDRIVE_JOBS.c.plan, REDRIVE_JOBS.c.state, *(REDRIVE_JOBS.c[name] for name in _COUNTS))
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(*columns).order_by(REDRIVE_JOBS.c.sequence)).mappings()
            return [
                (row["plan"], JobState(row["state"]), Counts(**{name: row[name] for name in _COUNTS})) for row in rows
            ]

    def update_job(self, id_: str, **values: Any) -> None:
        """Change fields of a job; a final state lets its queue go."""
        if values.get("state") in FINAL_STATES:
            values["active_queue"] = None
        with self._database.writing() as connection:
            connection.execute(sa.update(REDRIVE_JOBS).where(REDRIVE_JOBS.c.id == id_).values(**values))

    def find_started(self, plan: str, key: str | None) -> StoredJob | None:
        """Return the job that was started with an idempotency key, or else that of a plan."""
        with self._database.reading() as connection:
            by_key = _jobs(connection, REDRIVE_JOBS.c.idempotency_key == key) if key is not None else []
            found = by_key or _jobs(connection, REDRIVE_JOBS.c.plan == plan)
        return found[0] if found else None

    def want(self, id_: str, wanted: str) -> StoredJob:
        """Say what is wanted of a job. Raises NotFound, and Conflict when it has ended or is being cancelled."""
        with self._database.writing() as connection:
            found = _jobs(connection, REDRIVE_JOBS.c.id == id_)
            if not found:
                raise NotFound(f"there is no job {id_!r}")
            if found[0].state in FINAL_STATES or found[0].wanted == "cancel":
                raise Conflict(f"job {id_} is {found[0].state}; nothing can be asked of it any more")
            update = sa.update(REDRIVE_JOBS).where(REDRIVE_JOBS.c.id == id_).values(wanted=wanted)
            connection.execute(update)
            return _jobs(connection, REDRIVE_JOBS.c.id == id_)[0]

    def change_state(self, id_: str, expected: JobState, **values: Any) -> StoredJob:
        """Change fields of a job that is still in the state expected. Raises NotFound, and Conflict when it is not."""
        if values.get("state") in FINAL_STATES:
            values["active_queue"] = None
        with self._database.writing() as connection:
            where = (REDRIVE_JOBS.c.id == id_, REDRIVE_JOBS.c.state == expected)
            changed = connection.execute(sa.update(REDRIVE_JOBS).where(*where).values(**values)).rowcount
            found = _jobs(connection, REDRIVE_JOBS.c.id == id_)
        if not found:
            raise NotFound(f"there is no job {id_!r}")
        if not changed:
            raise Conflict(f"job {id_} is {found[0].state} meanwhile", job=id_)
        return found[0]

    def archives(self, dead_letters: str | None, limit: int, before: int | None) -> list[StoredJob]:
        """Return the jobs that have set dead letters aside, the newest first."""
        where = [REDRIVE_JOBS.c.action == Action.ARCHIVE, REDRIVE_JOBS.c.sent > 0]
        if dead_letters is not None:
            where.append(REDRIVE_JOBS.c.dead_letters == dead_letters)
        if before is not None:
            where.append(REDRIVE_JOBS.c.sequence < before)
        with self._database.reading() as connection:
            return _jobs(connection, sa.and_(*where), limit)

    def count_restored(self, archive: str) -> int:
        """Return how many messages of an archive went back into their queue."""
        query = sa.select(sa.func.sum(REDRIVE_JOBS.c.sent + REDRIVE_JOBS.c.bounced))
        with self._database.reading() as connection:
            return int(connection.execute(query.where(REDRIVE_JOBS.c.archive == archive)).scalar() or 0)

    # -- progress -----------------------------------------------------------------------------------------------------

    def record(
        self,
        id_: str,
        now: float,
        *,
        fates: Sequence[Fate] = (),
        moved: int = 0,
        expired: int = 0,
        reached: Mapping[str, Any] | None = None,
        ranges: Sequence[Mapping[str, Any]] = (),
    ) -> Counts:
        """Keep what a job did, with its counts, in one transaction; return the counts.

        An item that has an outcome already changes it, and is not counted twice.
        """
        with self._database.writing() as connection:
            job = _jobs(connection, REDRIVE_JOBS.c.id == id_)[0]
            counts = job.counts
            if fates:
                counts = _settle_items(connection, id_, counts, fates, now)
            counts = _raise_plan(counts.plus(Outcome.SENT, moved).plus(Outcome.EXPIRED, expired))
            if ranges:
                _add_ranges(connection, id_, ranges, now)
            values: dict[str, Any] = asdict(counts)
            if reached:
                values["reached"] = dump(reached)
            connection.execute(sa.update(REDRIVE_JOBS).where(REDRIVE_JOBS.c.id == id_).values(**values))
        return counts

    def count_bounced(self, id_: str, redrive_ids: Sequence[str], now: float) -> Counts:
        """Give the sent messages with these redrive ids the outcome bounced, each once; return the counts."""
        with self._database.writing() as connection:
            counts = _jobs(connection, REDRIVE_JOBS.c.id == id_)[0].counts
            _set_apart(connection, id_, [it.removeprefix(f"{id_}:") for it in redrive_ids])
            for chunk in _chunks(list(dict.fromkeys(redrive_ids))):
                counts = _bounce(connection, id_, counts, chunk, now)
            connection.execute(sa.update(REDRIVE_JOBS).where(REDRIVE_JOBS.c.id == id_).values(**asdict(counts)))
        return counts

    def close_counts(self, id_: str, *, exhausted: bool) -> Counts:
        """Make the counts add up at the end: with nothing left in the bounds, the plan had counted too many."""
        with self._database.writing() as connection:
            counts = _jobs(connection, REDRIVE_JOBS.c.id == id_)[0].counts
            if exhausted:
                counts = replace(counts, planned=counts.planned - counts.left, left=0)
            connection.execute(sa.update(REDRIVE_JOBS).where(REDRIVE_JOBS.c.id == id_).values(**asdict(counts)))
        return counts

    # -- items --------------------------------------------------------------------------------------------------------

    def put_items(
        self,
        id_: str,
        items: Sequence[Item],
        now: float,
        *,
        together: Together | None = None,
        resent: int = 0,
        removed: Sequence[str] = (),
        removed_together: Sequence[Together] = (),
    ) -> None:
        """Keep items as they are now, new ones and known ones, and a new batch; for stages that change no count.

        `resent` of them were under way before and go once more. `removed` are the positions of sent messages that are
        gone from their queue, `removed_together` batches of such.
        """
        with self._database.writing() as connection:
            for batch in removed_together:
                if not batches.advance(connection, id_, batch, stage="removed", at=now):
                    _mark_removed(connection, id_, batch.positions, now)
            _mark_removed(connection, id_, removed, now)
            upsert(connection, REDRIVE_ITEMS, [row_of(id_, item, now) for item in items])
            if together is not None:
                batches.add(connection, id_, together, now)
            if resent:
                update = sa.update(REDRIVE_JOBS).where(REDRIVE_JOBS.c.id == id_)
                connection.execute(update.values(resent=REDRIVE_JOBS.c.resent + resent))

    def record_together(self, id_: str, batch: Together, at_target: str, now: float) -> bool:
        """Keep that all of a batch is sent, with the counts; False when its messages have rows of their own now."""
        with self._database.writing() as connection:
            counts = _jobs(connection, REDRIVE_JOBS.c.id == id_)[0].counts
            if not batches.advance(connection, id_, batch, stage="sent", at_target=at_target, at=now):
                return False
            values = asdict(_raise_plan(counts.plus(Outcome.SENT, len(batch.positions))))
            connection.execute(sa.update(REDRIVE_JOBS).where(REDRIVE_JOBS.c.id == id_).values(**values))
        return True

    def take_apart(self, id_: str, batch: Together) -> None:
        """Give each message of a batch a row of its own."""
        with self._database.writing() as connection:
            batches.take_apart(connection, id_, REDRIVE_BATCHES.c.number == batch.number)

    def take_unfinished_apart(self, id_: str) -> None:
        """Give each message of the batches that were under way a row of its own."""
        with self._database.writing() as connection:
            batches.take_apart(connection, id_, REDRIVE_BATCHES.c.stage != "removed")

    def set_apart(self, id_: str, positions: Sequence[str]) -> None:
        """Give these messages rows of their own, where they are in batches; those that were with them get some too."""
        with self._database.writing() as connection:
            _set_apart(connection, id_, positions)

    def newest_batch(self, id_: str) -> int:
        """Return the number of the newest batch, 0 where there is none."""
        with self._database.reading() as connection:
            return batches.newest(connection, id_)

    def positions_together(self, id_: str) -> set[str]:
        """Return the positions of all messages in batches."""
        with self._database.reading() as connection:
            return set(batches.positions(connection, id_))

    def has_items(self, id_: str) -> bool:
        """Say whether a message has a row of its own."""
        query = sa.select(REDRIVE_ITEMS.c.position).where(REDRIVE_ITEMS.c.job == id_).limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def items_by_position(self, id_: str, positions: Sequence[str]) -> dict[str, Item]:
        """Return those of the items that are known."""
        found: dict[str, Item] = {}
        with self._database.reading() as connection:
            for chunk in _chunks(positions):
                query = sa.select(REDRIVE_ITEMS).where(REDRIVE_ITEMS.c.job == id_, REDRIVE_ITEMS.c.position.in_(chunk))
                found.update((row["position"], item_of(row)) for row in connection.execute(query).mappings())
        return found

    def items_in_stage(self, id_: str, stage: str) -> list[Item]:
        """Return the items with rows of their own that got as far as this stage and no further."""
        query = sa.select(REDRIVE_ITEMS).where(REDRIVE_ITEMS.c.job == id_, REDRIVE_ITEMS.c.stage == stage)
        with self._database.reading() as connection:
            return [item_of(row) for row in connection.execute(query).mappings()]

    def count_stage(self, id_: str, stage: str) -> int:
        """Return how many items got as far as this stage and no further."""
        query = sa.select(sa.func.count()).select_from(REDRIVE_ITEMS)
        with self._database.reading() as connection:
            where = query.where(REDRIVE_ITEMS.c.job == id_, REDRIVE_ITEMS.c.stage == stage)
            return int(connection.execute(where).scalar_one()) + batches.count(connection, id_, stage)

    def items(self, id_: str, limit: int, cursor: str | None, outcome: str | None) -> tuple[list[Item], str | None]:
        """Return items and the cursor of those that follow: first batches as they were sent, then others by position.

        Raises BadRequest for a cursor that is none.
        """
        after, position = _read_cursor(cursor)
        with self._database.reading() as connection:
            found: list[tuple[str, Item]] = []
            if after is not None:
                page = batches.page(connection, id_, after, outcome, limit + 1)
                found = [(f"batch {number} {place}", item) for (number, place), item in page]
            for item in _single_items(connection, id_, position, outcome, limit + 1 - len(found)):
                found.append((f"item {item.position}", item))
        following = found[limit - 1][0] if len(found) > limit else None
        return [item for _, item in found[:limit]], following

    def count_reasons(self, id_: str) -> list[dict[str, Any]]:
        """Return how many items have which outcome for which reason, the most first."""
        number = sa.func.count().label("messages")
        columns = (REDRIVE_ITEMS.c.outcome, REDRIVE_ITEMS.c.reason)
        query = sa.select(*columns, number).where(REDRIVE_ITEMS.c.job == id_, REDRIVE_ITEMS.c.reason != "")
        with self._database.reading() as connection:
            rows = connection.execute(query.group_by(*columns).order_by(number.desc()).limit(100))
            return [dict(row) for row in rows.mappings()]

    def ranges(self, id_: str, limit: int = 10_000) -> list[Mapping[str, Any]]:
        """Return what was sent by transactions of the broker, in order."""
        query = sa.select(REDRIVE_RANGES).where(REDRIVE_RANGES.c.job == id_).order_by(REDRIVE_RANGES.c.sequence)
        with self._database.reading() as connection:
            return [json.loads(row["body"]) for row in connection.execute(query.limit(limit)).mappings()]


def _fields(stored: StoredPlan | StoredJob) -> dict[str, Any]:
    return {name: getattr(stored, name) for name in stored.__slots__}


def _jobs(connection: sa.Connection, where: Any, limit: int | None = None) -> list[StoredJob]:
    query = sa.select(REDRIVE_JOBS).where(where).order_by(REDRIVE_JOBS.c.sequence.desc())
    return [_job(row) for row in connection.execute(query.limit(limit) if limit else query).mappings()]


def _job(row: Mapping[Any, Any]) -> StoredJob:
    values = {name: row[name] for name in StoredJob.__slots__ if name != "counts"}
    counts = Counts(**{name: row[name] for name in _COUNTS})
    return StoredJob(
        **{
            **values,
            "state": JobState(row["state"]),
            "action": Action(row["action"]),
            "reached": json.loads(row["reached"]),
            "counts": counts,
        }
    )


def _item_row(job: str, position: str, redrive_id: str, now: float) -> dict[str, Any]:
    return row_of(job, Item(position, redrive_id, "settled", Outcome.BOUNCED), now)


_PLACE = re.compile("batch ([0-9]{1,9}) ([0-9]{1,9})")
_BEGIN: Place = (0, 0)


def _read_cursor(cursor: str | None) -> tuple[Place | None, str | None]:
    """Return after which place in the batches, None when these are past, and after which position the rest goes on."""
    if cursor is None:
        return _BEGIN, None
    if found := _PLACE.fullmatch(cursor):
        return (int(found[1]), int(found[2])), None
    if not cursor.startswith("item "):
        raise BadRequest("cursor: is none of this list", parameter="cursor")
    return None, cursor.removeprefix("item ")


def _single_items(
    connection: sa.Connection, job: str, after: str | None, outcome: str | None, limit: int
) -> list[Item]:
    """Return items that have rows of their own, in the order of their positions' texts."""
    query = sa.select(REDRIVE_ITEMS).where(REDRIVE_ITEMS.c.job == job)
    if after is not None:
        query = query.where(REDRIVE_ITEMS.c.position > after)
    if outcome is not None:
        query = query.where(REDRIVE_ITEMS.c.outcome == outcome)
    rows = connection.execute(query.order_by(REDRIVE_ITEMS.c.position).limit(limit)).mappings()
    return [item_of(row) for row in rows]


def _set_apart(connection: sa.Connection, job: str, positions: Sequence[str]) -> None:
    if not batches.any_of(connection, job):
        return
    for position in dict.fromkeys(positions):
        batches.take_apart(connection, job, batches.holds(position))


def _settle_items(connection: sa.Connection, job: str, counts: Counts, fates: Sequence[Fate], now: float) -> Counts:
    known = _outcomes(connection, job, [fate.message.position for fate in fates])
    changes: Counter[Outcome] = Counter()
    settled: defaultdict[tuple[str, Outcome, str, str], list[str]] = defaultdict(list)
    rows = []
    for fate in fates:
        message, stage = fate.message, "sent" if fate.outcome == Outcome.SENT else "settled"
        before = known.get(message.position)
        # What came back before its confirm was read stays bounced.
        stays = before == Outcome.BOUNCED and fate.outcome == Outcome.SENT
        outcome = Outcome.BOUNCED if stays else fate.outcome
        if before != outcome:
            changes[outcome] += 1
            if before is not None:
                changes[before] -= 1
        if message.position in known:
            settled[(stage, outcome, fate.at_target, fate.reason)].append(message.position)
        else:
            item = Item(message.position, "", stage, outcome, fate.at_target, fate.reason, message.coordinates)
            rows.append(row_of(job, item, now))
    _update_items(connection, job, settled, now)
    upsert(connection, REDRIVE_ITEMS, rows)
    for outcome, number in changes.items():
        counts = counts.plus(outcome, number)
    return counts


def _raise_plan(counts: Counts) -> Counts:
    """Return counts that add up: where the broker's count is approximate, there can be more than was planned."""
    return counts if counts.left >= 0 else replace(counts, planned=counts.planned - counts.left, left=0)


def _mark_removed(connection: sa.Connection, job: str, positions: Sequence[str], now: float) -> None:
    for chunk in _chunks(positions):
        where = (REDRIVE_ITEMS.c.job == job, REDRIVE_ITEMS.c.position.in_(chunk))
        connection.execute(sa.update(REDRIVE_ITEMS).where(*where).values(stage="removed", at=now))


def _update_items(
    connection: sa.Connection, job: str, settled: Mapping[tuple[str, Outcome, str, str], Sequence[str]], now: float
) -> None:
    """Change items (`settled`: stage, outcome, place at the target and reason to positions), equal ones together."""
    update, singles = sa.update(REDRIVE_ITEMS).where(REDRIVE_ITEMS.c.job == job), []
    for told, positions in settled.items():
        values = dict(zip(("stage", "outcome", "at_target", "reason"), told, strict=True))
        if len(positions) == 1:
            singles.append({"this_position": positions[0], **values})
            continue
        for chunk in _chunks(positions):
            connection.execute(update.where(REDRIVE_ITEMS.c.position.in_(chunk)).values(at=now, **values))
    if singles:
        one = update.where(REDRIVE_ITEMS.c.position == sa.bindparam("this_position"))
        connection.execute(one.values(at=now), singles)


def _outcomes(connection: sa.Connection, job: str, positions: Sequence[str]) -> dict[str, Outcome | None]:
    """Return the outcome, None where there is none yet, of those of the items that are known."""
    found: dict[str, Outcome | None] = {}
    for chunk in _chunks(positions):
        columns = (REDRIVE_ITEMS.c.position, REDRIVE_ITEMS.c.outcome)
        query = sa.select(*columns).where(REDRIVE_ITEMS.c.job == job, REDRIVE_ITEMS.c.position.in_(chunk))
        found.update((position, told and Outcome(told)) for position, told in connection.execute(query))
    return found


def _bounce(connection: sa.Connection, job: str, counts: Counts, redrive_ids: Sequence[str], now: float) -> Counts:
    """Give messages the outcome bounced, each once; those that have no row of their own are known by their position."""
    positions = {id_: id_.removeprefix(f"{job}:") for id_ in redrive_ids}
    same = REDRIVE_ITEMS.c.redrive_id.in_(redrive_ids) | REDRIVE_ITEMS.c.position.in_(positions.values())
    rows = connection.execute(sa.select(REDRIVE_ITEMS).where(REDRIVE_ITEMS.c.job == job, same)).all()
    known = {row.position: row for row in rows} | {row.redrive_id: row for row in rows if row.redrive_id}
    for redrive_id, position in positions.items():
        row = known.get(redrive_id) or known.get(position)
        if row is None:
            connection.execute(sa.insert(REDRIVE_ITEMS).values(_item_row(job, position, redrive_id, now)))
        elif row.outcome != Outcome.BOUNCED:
            where = (REDRIVE_ITEMS.c.job == job, REDRIVE_ITEMS.c.position == row.position)
            connection.execute(sa.update(REDRIVE_ITEMS).where(*where).values(outcome=Outcome.BOUNCED, at=now))
        else:
            continue
        counts = _move_to_bounced(counts, Outcome.SENT if row is None else row.outcome)
    return counts


def _move_to_bounced(counts: Counts, before: str | None) -> Counts:
    """Return the counts after an item that had this outcome, or none yet, came back."""
    name = before or Outcome.LEFT.value
    if name == Outcome.SENT and counts.sent == 0:
        name = Outcome.LEFT.value  # it came back before the journal heard of its sending
    values = asdict(counts)
    values[name] -= 1
    values["bounced"] += 1
    if values["left"] < 0:
        values["planned"] -= values["left"]
        values["left"] = 0
    return Counts(**values)


def _add_ranges(connection: sa.Connection, job: str, ranges: Sequence[Mapping[str, Any]], now: float) -> None:
    newest = connection.execute(
        sa.select(sa.func.max(REDRIVE_RANGES.c.sequence)).where(REDRIVE_RANGES.c.job == job)
    ).scalar()
    first = (newest or 0) + 1
    rows = [
        {"job": job, "sequence": first + place, "at": now, "sent": it["sent"], "body": dump(it)}
        for place, it in enumerate(ranges)
    ]
    connection.execute(sa.insert(REDRIVE_RANGES), rows)


def _lock_table(connection: sa.Connection, table: sa.Table) -> None:
    # SQLite has locked the whole database already, see storage.database.
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE")


def _chunks(values: Sequence[str]) -> list[Sequence[str]]:
    return [values[at : at + _KEEP_LOOKING_UP] for at in range(0, len(values), _KEEP_LOOKING_UP)]
