"""Dead letters set aside: which there are, what can be put back; and the removal of all that is in a queue."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from monitor.clock import Clock
from monitor.errors import BadAnswer, BadRequest, BrokerError, Conflict, NotFound, RequestError
from monitor.letters import Action, Guarantee, KeepsArchive, Page, PlanRequest, Purges, Survey, TakesBack
from monitor.model import DeadLetterQueue
from monitor.redrive.archive import TAKEN_AT_ONCE
from monitor.redrive.audit import ENGINE, Actor
from monitor.redrive.buses import Buses, broker_errors
from monitor.redrive.exports import Export
from monitor.redrive.journal import StoredJob
from monitor.redrive.looking import Letters
from monitor.redrive.messages import tell_message
from monitor.redrive.paging import read_number
from monitor.redrive.stores import Stores
from monitor.words import say_count, say_duration

_ASK_SECONDS = 20.0
_PURGE_SECONDS = 60.0
_EXPORT_HOLDS_SECONDS = 3600.0
_MOST_ARCHIVES = 1000


class Shelf:
    """What is set aside, on all clusters. Thread-safe; raises RequestErrors."""

    def __init__(self, buses: Buses, letters: Letters, stores: Stores, clock: Clock) -> None:
        self._buses, self._letters, self._clock = buses, letters, clock
        self._journal, self._archive, self._edits = stores.journal, stores.archive, stores.edits
        self._exports, self._audit = stores.exports, stores.audit

    # -- archives -----------------------------------------------------------------------------------------------------

    def archives(self, dead_letters: str | None, limit: int, cursor: str | None) -> dict[str, Any]:
        """Return the archives, the newest first; those that are restored or deleted as a whole are left out."""
        found = self._journal.archives(dead_letters, limit + 1, read_number(cursor))
        notes: list[str] = []
        told = [self._tell(job, notes) for job in found[:limit]]
        return {
            "items": [it for it in told if it["messages"] > 0],
            "next": str(found[limit - 1].sequence) if len(found) > limit else None,
            "bytes": self._archive.bytes(),
            "most_bytes": self._archive.most_bytes,
            "notes": notes,
        }

    def messages(self, id_: str, limit: int, cursor: str | None, actor: Actor) -> dict[str, Any]:
        """Return a page of an archive's messages."""
        job = self._find(id_)
        hidden = self._letters.hidden_from(actor, job.dead_letters)
        page = self._look(job, limit, cursor)
        items = [tell_message(message, hidden) for message in page.messages]
        return {"items": items, "next": page.next, "warning": page.warning or None}

    def _look(self, job: StoredJob, limit: int, cursor: str | None) -> Page:
        if self._keeps_itself(job):
            plan = self._plan(job)
            bus, deadline = self._buses.of(str(plan["cluster"])), self._buses.within(_ASK_SECONDS)
            if isinstance(bus, KeepsArchive):
                with broker_errors():
                    return bus.browse_archive(str(plan["source"]), job.id, limit, cursor, deadline)
        numbered = self._archive.page(job.id, limit + 1, read_number(cursor) or 0)
        more = str(numbered[limit - 1][0]) if len(numbered) > limit else None
        return Page(tuple(message for _, message in numbered[:limit]), more)

    def survey_restore(self, queue: DeadLetterQueue, request: PlanRequest) -> Survey:
        """Find out what of an archive can be put back into its queue."""
        if request.archive is None:
            raise BadRequest("archive: say which one to restore", parameter="archive")
        job = self._find(request.archive)
        if job.dead_letters != queue.id:
            raise BadRequest(f"archive: it was set aside from {job.dead_letters}", parameter="archive")
        bus = self._buses.of(queue.cluster)
        if isinstance(bus, KeepsArchive):
            with broker_errors():
                survey = bus.survey_archive(queue.queue, job.id, self._buses.within(_ASK_SECONDS))
            if request.selective or request.first is not None:
                told = "An archive that lies in the ledger is restored as a whole; leave the selection out."
                survey = replace(survey, blockers=(told,))
            return survey
        count = self._archive.stock(job.id).messages
        return Survey(
            count=count,
            count_is_exact=not request.selective,
            bounds={"count": count},
            target=queue.queue,
            guarantee=Guarantee.AT_LEAST_ONCE,
            max_duplicates_per_interruption=TAKEN_AT_ONCE,
            ordering="In the order in which they were set aside, behind what is in the queue.",
            warnings=("To the broker they are new messages: their expiry and delivery counts begin anew.",),
            blockers=() if isinstance(bus, TakesBack) else ("This bus takes nothing back.",),
        )

    def _find(self, id_: str) -> StoredJob:
        job = self._journal.job(id_)
        if job.action != Action.ARCHIVE:
            raise NotFound(f"job {id_} has set nothing aside")
        return job

    def _keeps_itself(self, job: StoredJob) -> bool:
        try:
            return isinstance(self._buses.of(str(self._plan(job)["cluster"])), KeepsArchive)
        except BadAnswer:
            return False  # the cluster is not configured any more

    def _plan(self, job: StoredJob) -> Mapping[str, Any]:
        return self._journal.plan(job.plan).body

    def _tell(self, job: StoredJob, notes: list[str]) -> dict[str, Any]:
        plan = self._plan(job)
        stock = self._archive.stock(job.id)
        in_ledger = self._keeps_itself(job)
        messages = self._count_in_ledger(job, notes) if in_ledger else stock.messages
        return {
            "id": job.id,
            "dead_letters": job.dead_letters,
            "system": plan["system"],
            "cluster": plan["cluster"],
            "source": plan["source"],
            "reason": plan["reason"],
            "archived_by": job.actor,
            "archived_at": job.created_at,
            "messages": messages,
            "kept_in": "ledger" if in_ledger else "database",
            "bytes": None if in_ledger else stock.bytes,
            "delete_at": None if in_ledger else stock.delete_at,
        }

    def _count_in_ledger(self, job: StoredJob, notes: list[str]) -> int:
        """Return how much of an archive the broker still has; where it cannot be asked, what the journal says."""
        plan = self._plan(job)
        bus = self._buses.of(str(plan["cluster"]))
        try:
            if isinstance(bus, KeepsArchive):
                return bus.survey_archive(str(plan["source"]), job.id, self._buses.within(_ASK_SECONDS)).count
        except BrokerError as error:
            notes.append(f"{job.id}: {error}")
        return max(0, job.counts.sent - self._journal.count_restored(job.id))

    def expire(self) -> None:
        """Delete what has come to its date, and write that down."""
        self._edits.expire()
        if removed := self._archive.expire():
            self._audit.write(ENGINE, "archive.expire", "done", messages=removed)

    # -- purging ------------------------------------------------------------------------------------------------------

    def purge(self, raw: str, name: str, export_id: str, actor: Actor) -> dict[str, Any]:
        """Remove all that is in a queue: its name typed, after an export that has all of it."""
        told: dict[str, Any] = {"dead_letters": raw, "export": export_id}
        outcome = "refused"
        try:
            queue = self._buses.find(raw)
            told["dead_letters"] = queue.id
            bus = self._bus_to_purge(queue, name)
            with self._journal.free(queue.id), broker_errors():
                export = self._check_export(queue, export_id)
                self._check_queue(queue, export)
                if not self._exports.spend(export_id):
                    raise Conflict("this export has been used already; export the queue again")
                self._audit.write(actor, "dead-letters.purge", "allowed", **told)
                outcome = "failed"  # from now on some of it may be gone
                removed = bus.purge(queue.queue, self._buses.within(_PURGE_SECONDS))
        except (RequestError, BrokerError) as error:
            self._audit.write(actor, "dead-letters.purge", outcome, **told, error=str(error))
            raise
        self._audit.write(actor, "dead-letters.purge", "done", messages=removed, **told, sha256=export.sha256)
        return {"dead_letters": queue.id, "removed": removed, "export_id": export_id}

    def _bus_to_purge(self, queue: DeadLetterQueue, name: str) -> Purges:
        self._buses.check_rights(queue.cluster)
        if name != queue.queue:
            raise BadRequest(f"name: type {queue.queue} to remove all that is in it", parameter="name")
        bus = self._buses.of(queue.cluster)
        if not isinstance(bus, Purges):
            raise Conflict(f"{queue.system} queues cannot be purged from here")
        return bus

    def _check_queue(self, queue: DeadLetterQueue, export: Export) -> None:
        """Refuse to purge a queue that has more than was exported, or what was set aside from it."""
        self._check_archives(queue)
        bus, deadline = self._buses.of(queue.cluster), self._buses.within(_ASK_SECONDS)
        waiting = bus.survey(queue.queue, _everything(queue), deadline).count
        if waiting > export.messages:
            more = say_count(waiting - export.messages)
            raise Conflict(f"{more} more messages are there than were exported; export it again", waiting=waiting)

    def _check_export(self, queue: DeadLetterQueue, id_: str) -> Export:
        export = self._exports.find(id_)
        if export is None or export.dead_letters != queue.id:
            raise Conflict("there is no export of all of this queue with that id; export it first, with nothing hidden")
        if self._clock.now() - export.at > _EXPORT_HOLDS_SECONDS:
            raise Conflict(f"the export is older than {say_duration(_EXPORT_HOLDS_SECONDS)}; export it again")
        newest = self._journal.jobs(1, dead_letters=queue.id)
        if newest and newest[0].created_at >= export.at:
            told = f"job {newest[0].id} was started after this export; export the queue again"
            raise Conflict(told, job=newest[0].id)
        return export

    def _check_archives(self, queue: DeadLetterQueue) -> None:
        """Refuse to purge a queue that still holds what was set aside from it, as a Kafka topic does."""
        for job in self._journal.archives(queue.id, _MOST_ARCHIVES, None):
            if self._keeps_itself(job) and self._tell(job, [])["messages"]:
                told = f"what job {job.id} has set aside lies in this topic too; restore it first"
                raise Conflict(told, job=job.id)


def _everything(queue: DeadLetterQueue) -> PlanRequest:
    return PlanRequest(queue.id, action=Action.ARCHIVE)
