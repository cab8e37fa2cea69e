"""The API as Python calls: what commands and dashboard know of a running monitor."""

import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast
from urllib.parse import quote

import httpx

from monitor.api.catalog_items import CatalogItem, DifferencesItem
from monitor.api.items import (
    AboutItem,
    AlertsAnswer,
    CollectorDetail,
    CollectorItem,
    CurvesAnswer,
    DeadLetterDetail,
    DeadLetterItem,
    HistoryAnswer,
    MarkItem,
    MembersAnswer,
    MuteItem,
    Page,
    RunbookItem,
    SilenceItem,
    SubscriptionDetail,
    SubscriptionItem,
    SummaryItem,
)
from monitor.api.redrive_items import (
    ArchivePage,
    AuditPage,
    AuditVerification,
    JobItem,
    JobMessage,
    JobMessagePage,
    JobPage,
    LetterGroups,
    LetterPage,
    OriginalItem,
    OriginalPage,
    PlanItem,
    PurgeAnswer,
    ReportItem,
)
from monitor.errors import MonitorRefused, MonitorUnreachable

DEFAULT_URL = "http://127.0.0.1:9610"
LARGEST_PAGE = 1000

T = TypeVar("T")


class ApiClient:
    """A connection to one monitor. Thread-safe; close it, or use it as a context manager.

    Every call raises MonitorUnreachable when there is no answer that can be read, and MonitorRefused when the monitor
    answers with an error. Query arguments are those of the API (`limit`, `cursor`, `sort`, `q` and the filters);
    None leaves one out. `person` is for whom one asks, where the token may speak for people.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        token: str | None = None,
        *,
        person: str | None = None,
        timeout_seconds: float = 10.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        if token and not (token.isascii() and token.isprintable()):
            raise MonitorUnreachable("the token has characters that no token has; copy it anew")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if person:
            headers["Eventflow-Person"] = person
        try:
            self._http = httpx.Client(
                base_url=f"{self.url}/api/v1/",
                headers=headers,
                timeout=timeout_seconds,
                transport=transport,
                # A proxy from the environment would get the token to see, and does not reach this machine's loopback.
                trust_env=False,
                verify=ssl.create_default_context() if url.startswith("https:") else True,
            )
        except httpx.InvalidURL as error:
            raise MonitorUnreachable(f"{url!r} is no address of a monitor; write it as {DEFAULT_URL}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def about(self) -> AboutItem:
        """Return which monitor this is, and who asks."""
        return cast(AboutItem, self._get("about", {}))

    def summary(self) -> SummaryItem:
        """Return how everything is, in numbers."""
        return cast(SummaryItem, self._get("summary", {}))

    def subscriptions(self, **query: Any) -> Page[SubscriptionItem]:
        """Return one page of subscriptions, worst first unless `sort` says otherwise."""
        return cast(Page[SubscriptionItem], self._get("subscriptions", query))

    def all_subscriptions(self, **query: Any) -> list[SubscriptionItem]:
        """Return the subscriptions of all pages."""
        return list(_Pages[SubscriptionItem](self, "subscriptions", query))

    def subscription(self, id_: str) -> SubscriptionDetail:
        """Return one subscription with the rows of its bus."""
        return cast(SubscriptionDetail, self._get(f"subscriptions/{_in_path(id_)}", {}))

    def members(self, id_: str) -> MembersAnswer:
        """Return who consumes a subscription right now; its broker is asked."""
        return cast(MembersAnswer, self._get(f"subscriptions/{_in_path(id_)}/members", {}))

    def dead_letters(self, **query: Any) -> Page[DeadLetterItem]:
        """Return one page of dead-letter queues, worst first unless `sort` says otherwise."""
        return cast(Page[DeadLetterItem], self._get("dead-letters", query))

    def all_dead_letters(self, **query: Any) -> list[DeadLetterItem]:
        """Return the dead-letter queues of all pages."""
        return list(_Pages[DeadLetterItem](self, "dead-letters", query))

    def dead_letter(self, id_: str) -> DeadLetterDetail:
        """Return one dead-letter queue with the rows of its bus."""
        return cast(DeadLetterDetail, self._get(f"dead-letters/{_in_path(id_)}", {}))

    def collectors(self, **query: Any) -> list[CollectorItem]:
        """Return the health of all collectors."""
        return list(_Pages[CollectorItem](self, "collectors", query))

    def collector(self, cluster: str) -> CollectorDetail:
        """Return the health of one collector, with the rows that speak of its cluster as a whole."""
        return cast(CollectorDetail, self._get(f"collectors/{_in_path(quote(cluster, safe=''))}", {}))

    def alerts(self) -> AlertsAnswer:
        """Return what fires and what is pending, worst first."""
        return cast(AlertsAnswer, self._get("alerts", {}))

    def silences(self) -> list[SilenceItem]:
        """Return what is held back in Alertmanager."""
        return cast(list[SilenceItem], self._get("silences", {}))

    def silence(self, labels: Mapping[str, str], reason: str, for_seconds: float) -> SilenceItem:
        """Hold back, in Alertmanager, alerts that carry all of these labels."""
        asked = {"labels": dict(labels), "reason": reason, "for_seconds": for_seconds}
        return cast(SilenceItem, self._ask("POST", "silences", body=asked))

    def end_silence(self, number: str) -> None:
        """End a silence before its time."""
        self._ask("DELETE", f"silences/{_in_path(number)}")

    def runbook(self, alert: str) -> RunbookItem:
        """Return what an alert means and what to do."""
        return cast(RunbookItem, self._get(f"runbooks/{_in_path(alert)}", {}))

    def history(
        self, subject: str, since: float | None = None, to: float | None = None, step: float | None = None
    ) -> HistoryAnswer:
        """Return the curve of `subscription:ID`, `dead_letters:ID` or `cluster:NAME` (encoded).

        Times are Unix seconds, `step` seconds.
        """
        return cast(HistoryAnswer, self._get("history", {"subject": subject, "from": since, "to": to, "step": step}))

    def curves(
        self,
        subjects: Sequence[str],
        values: Sequence[str],
        since: float | None = None,
        to: float | None = None,
        step: float | None = None,
    ) -> CurvesAnswer:
        """Return chosen values of up to 200 curves; see `history`."""
        query = {"subject": list(subjects), "value": list(values), "from": since, "to": to, "step": step}
        return cast(CurvesAnswer, self._get("history/curves", query))

    def mutes(self) -> list[MuteItem]:
        """Return the mutes that hold now, the longest-lasting first."""
        return cast(Page[MuteItem], self._get("mutes", {}))["items"]

    def mute(
        self, subject: str, reason: str, *, until: float | None = None, for_seconds: float | None = None
    ) -> MuteItem:
        """Mute an id, or a pattern over ids, until a moment (Unix seconds) or for some seconds."""
        asked = {"subject": subject, "reason": reason, "until": until, "for_seconds": for_seconds}
        return cast(MuteItem, self._ask("POST", "mutes", body=asked))

    def unmute(self, number: int) -> MuteItem:
        """End a mute before its time, by its number."""
        return cast(MuteItem, self._ask("DELETE", f"mutes/{number}"))

    def marks(self, since: float | None = None, to: float | None = None) -> list[MarkItem]:
        """Return what was noted as having happened between two moments (Unix seconds), the newest first."""
        return cast(Page[MarkItem], self._get("marks", {"from": since, "to": to}))["items"]

    def mark(self, name: str, note: str = "", at: float | None = None) -> MarkItem:
        """Note that something happened, such as a deployment; now, unless a moment (Unix seconds) is given."""
        return cast(MarkItem, self._ask("POST", "marks", body={"name": name, "note": note, "at": at}))

    def letters(self, id_: str, **query: Any) -> LetterPage:
        """Return one page of a queue's dead letters (`limit`, `cursor`, `select`)."""
        return cast(LetterPage, self._get(f"dead-letters/{_in_path(id_)}/messages", query))

    @contextmanager
    def export_letters(self, id_: str, **query: Any) -> Iterator["Exported"]:
        """Have all of a queue's dead letters written (`format` is jsonl or csv; `select` and the like narrow it)."""
        given = {name: value for name, value in query.items() if value is not None}
        path = f"dead-letters/{_in_path(id_)}/export"
        with self._reaching(), self._http.stream("GET", path, params=given) as answer:
            if not answer.is_success:
                answer.read()
                _read(answer, self.url)
            yield Exported(answer.headers.get("X-Export-Id", ""), self._chunks(answer))

    def purge(self, id_: str, name: str, export_id: str) -> PurgeAnswer:
        """Remove everything that is in a queue; `name` is its name, `export_id` an export of all of it."""
        body = {"name": name, "export_id": export_id}
        return cast(PurgeAnswer, self._ask("POST", f"dead-letters/{_in_path(id_)}/purge", body=body))

    def archives(self, **query: Any) -> ArchivePage:
        """Return one page of what is set aside (`dead_letters`, `limit`, `cursor`), the newest first."""
        return cast(ArchivePage, self._get("archive", query))

    def archived_letters(self, archive: str, **query: Any) -> LetterPage:
        """Return one page of an archive's messages (`limit`, `cursor`)."""
        return cast(LetterPage, self._get(f"archive/{_in_path(archive)}/messages", query))

    def letter_groups(self, id_: str) -> LetterGroups:
        """Return a queue's dead letters by their cause."""
        return cast(LetterGroups, self._get(f"dead-letters/{_in_path(id_)}/groups", {}))

    def plan_redrive(self, dead_letters: str, **options: Any) -> PlanItem:
        """Plan a redrive; the options are those of the API, such as `target`, `select`, `first`, `rate`, `canary`."""
        given = {name: value for name, value in options.items() if value is not None}
        return cast(PlanItem, self._ask("POST", "redrives/plan", body={"dead_letters": dead_letters, **given}))

    def start_redrive(self, plan_id: str, hash_: str, key: str | None = None, note: str | None = None) -> JobItem:
        """Start the job of a plan that was seen; the same key, or the same plan, is the same job.

        `note` is for the audit log.
        """
        headers = {"Idempotency-Key": key} if key else None
        body = {"plan_id": plan_id, "hash": hash_, **({"note": note} if note else {})}
        return cast(JobItem, self._ask("POST", "redrives", body=body, headers=headers))

    def redrive_plan(self, plan_id: str) -> PlanItem:
        """Return a plan that was made, without its samples."""
        return cast(PlanItem, self._get(f"redrives/plan/{_in_path(plan_id)}", {}))

    def redrives(self, **query: Any) -> JobPage:
        """Return one page of jobs, the newest first."""
        return cast(JobPage, self._get("redrives", query))

    def redrive(self, job: str) -> JobItem:
        """Return a job."""
        return cast(JobItem, self._get(f"redrives/{_in_path(job)}", {}))

    def redrive_items(self, job: str, **query: Any) -> JobMessagePage:
        """Return one page of a job's messages (`limit`, `cursor`, `outcome`)."""
        return cast(JobMessagePage, self._get(f"redrives/{_in_path(job)}/items", query))

    def all_redrive_items(self, job: str, outcome: str | None = None) -> list[JobMessage]:
        """Return all messages of a job that the journal has one by one."""
        return list(_Pages[JobMessage](self, f"redrives/{_in_path(job)}/items", {"outcome": outcome}))

    def redrive_originals(self, job: str, **query: Any) -> OriginalPage:
        """Return one page of a job's edited messages as they were (`limit`, `cursor`)."""
        return cast(OriginalPage, self._get(f"redrives/{_in_path(job)}/originals", query))

    def all_redrive_originals(self, job: str) -> list[OriginalItem]:
        """Return all of a job's edited messages as they were."""
        return list(_Pages[OriginalItem](self, f"redrives/{_in_path(job)}/originals", {}))

    def redrive_report(self, job: str) -> ReportItem:
        """Return what became of everything in a job."""
        return cast(ReportItem, self._get(f"redrives/{_in_path(job)}/report", {}))

    def steer_redrive(self, job: str, verb: str) -> JobItem:
        """Ask a job to `pause`, `resume`, `cancel` or `recover`, or `approve` it."""
        return cast(JobItem, self._ask("POST", f"redrives/{_in_path(job)}/{verb}"))

    def set_redrive_rate(self, job: str, rate: float | None) -> JobItem:
        """Change a job's rate in messages a second; None is without limit."""
        return cast(JobItem, self._ask("POST", f"redrives/{_in_path(job)}/rate", body={"rate": rate}))

    def catalog(self) -> CatalogItem:
        """Return the event catalog."""
        return cast(CatalogItem, self._get("catalog", {}))

    def catalog_differences(self, limit: int | None = None) -> DifferencesItem:
        """Return what is seen and not written down in the catalog, and the other way round."""
        return cast(DifferencesItem, self._get("catalog/diff", {"limit": limit}))

    def catalog_graph(self, style: str) -> str:
        """Return the flow of events as `mermaid` or `dot`."""
        return self._read_text("catalog/graph", {"format": style})

    def catalog_draft(self) -> str:
        """Return a first catalog from what is seen, as YAML."""
        return self._read_text("catalog/draft", {})

    def catalog_draft_as_json(self) -> dict[str, Any]:
        """Return a first catalog from what is seen, as JSON values."""
        return cast(dict[str, Any], self._get("catalog/draft", {"format": "json"}))

    def audit(self, **query: Any) -> AuditPage:
        """Return one page of audit records, the newest first."""
        return cast(AuditPage, self._get("audit", query))

    def audit_verification(self) -> AuditVerification:
        """Have the chain of audit records checked."""
        return cast(AuditVerification, self._get("audit/verification", {}))

    def _get(self, path: str, query: dict[str, Any]) -> Any:
        return self._ask("GET", path, {name: value for name, value in query.items() if value is not None})

    def _ask(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        with self._reaching():
            answer = self._http.request(method, path, params=query, json=body, headers=headers)
        return _read(answer, self.url)

    def _read_text(self, path: str, query: dict[str, Any]) -> str:
        with self._reaching():
            answer = self._http.get(path, params=query)
        if answer.headers.get("content-type", "").startswith("text/plain"):
            return answer.text
        _read(answer, self.url)
        raise MonitorUnreachable(f"what answers at {self.url} is no Eventflow Monitor")

    def _chunks(self, answer: httpx.Response) -> Iterator[bytes]:
        """Yield what comes. Raises MonitorUnreachable where it breaks off, as an export that has failed does."""
        try:
            yield from answer.iter_bytes()
        except httpx.HTTPError as error:
            told = f"the answer of the monitor at {self.url} broke off ({_why(error)}); its audit log says why"
            raise MonitorUnreachable(told) from error

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise MonitorUnreachable(f"the monitor at {self.url} does not answer in time") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            remedy = "start it, or name another by EVENTFLOW_URL"
            raise MonitorUnreachable(
                f"the monitor at {self.url} cannot be reached ({_why(error)}); {remedy}"
            ) from error


@dataclass(frozen=True, slots=True)
class Exported:
    """An export as it comes: its id, and its bytes."""

    id: str
    chunks: Iterator[bytes]


class _Pages(Generic[T]):
    """The items of all pages, each once. A page is asked for when it is needed."""

    def __init__(self, client: ApiClient, path: str, query: dict[str, Any]) -> None:
        self._client, self._path, self._query = client, path, {"limit": LARGEST_PAGE, **query}

    def __iter__(self) -> Iterator[T]:
        cursor: str | None = None
        while True:
            page = cast(Page[T], self._client._get(self._path, {**self._query, "cursor": cursor}))
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return


def _why(error: Exception) -> str:
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__


def _in_path(id_: str) -> str:
    # Encoded once more, so that what is encoded inside the parts survives proxies that decode paths.
    return quote(id_, safe="")


def _read(answer: httpx.Response, url: str) -> Any:
    try:
        body = answer.json()
    except ValueError as error:
        raise MonitorUnreachable(
            f"what answers at {url} is no Eventflow Monitor (status {answer.status_code})"
        ) from error
    if answer.is_success:
        return body
    problem = body if isinstance(body, dict) else {}
    told = problem.get("detail") or problem.get("title") or f"the monitor at {url} answered {answer.status_code}"
    raise MonitorRefused(str(told), status=answer.status_code, slug=str(problem.get("type", "")).rpartition(":")[2])
