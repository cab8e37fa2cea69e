"""What is known around dead letters: how their readers stand, what changed, what earlier redrives taught."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol

from monitor.analysis.advice import Lesson
from monitor.catalog.schemas import Schemas
from monitor.clock import Clock
from monitor.errors import StorageError
from monitor.letters import Action, DeadMessage
from monitor.model import ClusterView, DeadLetterQueue
from monitor.redrive.fits import Grounds
from monitor.redrive.grouping import MARK, STATUS, Change, Context, Reader
from monitor.redrive.journal import Journal, StoredJob
from monitor.storage.history import Curve, Curves
from monitor.storage.marks import Mark

_NEWEST_JOBS = 50
_MOST_READERS = 50
_LOOKED_BACK_SECONDS = 6 * 3600.0
_LONGEST_SECONDS = 7 * 86400.0
_SAME_SECONDS = 90.0
"""How far the curve, which has a point a minute, may be from the moment at which a status changed."""


class Marks(Protocol):
    """Where deployments and the like are noted."""

    def between(self, start: float, end: float) -> Sequence[Mark]:
        """Return those of a time, the oldest first. Raises StorageError."""
        ...


class Knowledge:
    """Gathers it. Thread-safe; raises StorageError where the journal cannot be read."""

    def __init__(
        self,
        journal: Journal,
        views: Callable[[], Iterable[ClusterView]],
        curves: Curves | None,
        marks: Marks | None,
        clock: Clock,
        schemas: Schemas | None = None,
    ) -> None:
        self._journal, self._views, self._curves, self._marks, self._clock = journal, views, curves, marks, clock
        self._schemas = schemas

    def gather(self, queue: DeadLetterQueue, messages: Sequence[DeadMessage]) -> Context:
        """Return what is known for judging these messages of a queue."""
        origins = {it.origin.name for it in messages if it.origin} | {it.name for it in queue.origins}
        readers = [(reader, since) for reader, since in self._readers(queue.cluster) if reader.destination in origins]
        readers = readers[:_MOST_READERS]
        times = [it.enqueued_at for it in messages if it.enqueued_at is not None]
        now = self._clock.now()
        begin = max(min(times, default=now) - _LOOKED_BACK_SECONDS, now - _LONGEST_SECONDS)
        present = [Change(since, STATUS, it.id, f"{it.id} became {it.status}") for it, since in readers]
        earlier = self._changes_of_status([it.id for it, _ in readers], begin, now)
        changes = [*present, *(it for it in earlier if not _is_among(it, present)), *self._marked(begin, now)]
        changes.sort(key=lambda it: it.at)
        names = tuple(it.name for it in queue.origins)
        grounds = Grounds(self._schemas, queue.cluster, names) if self._schemas else None
        return Context(now, self._lessons(queue.id), [it for it, _ in readers], changes, grounds)

    def _readers(self, cluster: str) -> Iterator[tuple[Reader, float]]:
        for view in self._views():
            if view.snapshot is not None and view.health.cluster == cluster:
                for it, verdict in zip(view.snapshot.subscriptions, view.verdicts, strict=True):
                    yield Reader(it.id, it.destination, it.subscriber, verdict.status), verdict.since

    def _changes_of_status(self, ids: Sequence[str], begin: float, end: float) -> list[Change]:
        if self._curves is None or not ids or begin >= end:
            return []
        subjects = {f"subscription:{id_}": id_ for id_ in ids}
        try:
            curves = self._curves.read_many(list(subjects), begin, end, None, ("status",))
        except StorageError:
            return []  # a history that cannot be read now is no reason to hide why messages died
        return [it for subject, curve in curves.items() for it in _find_changes(subjects[subject], curve)]

    def _marked(self, begin: float, end: float) -> list[Change]:
        if self._marks is None:
            return []
        return [Change(it.at, MARK, it.name, it.note) for it in self._marks.between(begin, end)]

    def _lessons(self, dead_letters: str) -> Mapping[str, Lesson]:
        """Return what the newest job that redrove a cause taught of it."""
        lessons: dict[str, Lesson] = {}
        for job in self._journal.jobs(_NEWEST_JOBS, dead_letters=dead_letters):
            went = job.counts.sent + job.counts.bounced
            if job.action == Action.REDRIVE and went:
                for cause in _causes_of(job, self._journal.plan(job.plan).body, went):
                    lessons.setdefault(cause, _lesson_of(job, went))
        return lessons


def _lesson_of(job: StoredJob, went: int) -> Lesson:
    back = min(went, job.counts.bounced + (job.may_have_bounced or 0))
    return Lesson(job.ended_at or job.started_at, went, back)


def _causes_of(job: StoredJob, plan: Mapping[str, Any], went: int) -> list[str]:
    """Return the causes that a job tells something of: where it took several and some came back, nobody knows whose."""
    group = plan["request"].get("group")
    if group:
        return [group]
    causes = [it["group"] for it in plan.get("causes") or ()]
    back = _lesson_of(job, went).came_back
    return causes if len(causes) == 1 or back in (0, went) else []


def _find_changes(id_: str, curve: Curve) -> Iterator[Change]:
    known = [point for point in curve.points if point.status is not None]
    for before, after in pairwise(known):
        if before.status != after.status:
            yield Change(float(after.at), STATUS, id_, f"{id_} became {after.status}, from {before.status}")


def _is_among(change: Change, others: Sequence[Change]) -> bool:
    """Say whether one of the others is the same change, of the same subscription to the same status."""
    return any(change.text.startswith(it.text) and abs(it.at - change.at) < _SAME_SECONDS for it in others)
