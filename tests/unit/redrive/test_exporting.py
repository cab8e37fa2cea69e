"""Exports over a bus that only pretends: refused before they begin, or told as what they came to.

A real reader goes away at a moment that nobody can choose.
"""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from monitor.api.streams import Stream
from monitor.clock import Clock
from monitor.config import KafkaCluster
from monitor.errors import BadRequest, BrokerFailed, Unreachable
from monitor.letters import DeadMessage, Page, PlanRequest, RedriveBus
from monitor.model import ClusterView, DeadLetterQueue, FoundBy, Health, Snapshot, System
from monitor.redrive.audit import Actor, Audit
from monitor.redrive.buses import Buses
from monitor.redrive.exports import Exports
from monitor.redrive.knowledge import Knowledge
from monitor.redrive.looking import Letters
from monitor.storage.database import Database

ROOT = Actor("root", "admin")
COSTLY = b'{"a": ' + str(list(range(300))).encode() + b"}"
SELECT = "length(body.a[].[@, @] | [*].[@, @, @, @][] | [*].[@, @, @, @][] | [*].[@, @, @, @][]) > `0`"
QUEUE = DeadLetterQueue("k/q", System.KAFKA, "k", "q", FoundBy.NAME, messages=3)


class Bus:
    """Gives pages of bodies; an error in their place is raised."""

    def __init__(self, *pages: Sequence[bytes] | Exception) -> None:
        self._pages = pages

    def browse(self, queue: str, limit: int, cursor: str | None, deadline: float) -> Page:
        place = int(cursor or 0)
        page = self._pages[place]
        if isinstance(page, Exception):
            raise page
        messages = (DeadMessage(f"0:{place}.{n}", {}, None, body) for n, body in enumerate(page))
        return Page(tuple(messages), str(place + 1) if place + 1 < len(self._pages) else None)


class Exporting:
    """What exports from such a bus, with an audit log and a list of exports in a database of their own."""

    def __init__(self, database: Database, *pages: Sequence[bytes] | Exception) -> None:
        view = ClusterView(Health("k", "kafka", 15.0), Snapshot("k", "kafka", 1.0, 0.1, (), (QUEUE,)), ())
        section = KafkaCluster(name="k", kind="kafka", bootstrap_servers="127.0.0.1:1")
        buses = Buses([section], lambda: [view], lambda _: cast(RedriveBus, Bus(*pages)), Clock())
        self._audit, self.exports = Audit(database, Clock()), Exports(database)
        self.letters = Letters(buses, (), self.exports, self._audit, Clock(), cast(Knowledge, None))

    def begin(self, **sought: Any) -> Any:
        self.id, lines = self.letters.export(PlanRequest("k/q", **sought), "jsonl", ROOT)
        return lines

    def audited(self) -> list[tuple[Any, ...]]:
        return [(it["outcome"], it.get("messages"), it.get("error")) for it in reversed(self._audit.read(10))]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(f"sqlite:///{tmp_path}/eventflow.db")
    yield opened
    opened.close()


def test_an_expression_that_does_too_much_is_refused_before_the_answer_begins(database: Database) -> None:
    exporting = Exporting(database, [COSTLY])
    with pytest.raises(BadRequest, match="it takes too long"):
        exporting.begin(select=SELECT)


def test_a_whole_export_is_remembered_and_audited_from_its_beginning_to_its_end(database: Database) -> None:
    exporting = Exporting(database, [b"1", b"2"], [b"3"])
    lines = exporting.begin()
    assert exporting.audited() == [("allowed", None, None)]
    assert len(list(lines)) == 3
    assert exporting.audited()[1:] == [("done", 3, None)]
    assert exporting.exports.find(exporting.id) is not None


@pytest.mark.parametrize(
    ("second", "sought", "error"),
    [(Unreachable("no connection"), {}, BrokerFailed), ([b"2", COSTLY], {"select": SELECT}, BadRequest)],
)
def test_an_export_that_fails_later_is_audited_as_failed_and_never_taken_for_whole(
    database: Database, second: Any, sought: Any, error: type[Exception]
) -> None:
    exporting = Exporting(database, [b'{"a": [1]}'], second)
    lines = exporting.begin(**sought)
    with pytest.raises(error) as failed:
        list(lines)
    assert exporting.audited()[1:] == [("failed", 1, str(failed.value))]
    assert exporting.exports.find(exporting.id) is None


async def answer(lines: Any, *, stays: bool) -> list[dict[str, Any]]:
    """Return what is sent to a reader who stays to the end, or goes away after the first line."""
    sent: list[dict[str, Any]] = []
    gone = asyncio.Event()

    async def receive() -> dict[str, str]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if not stays and message.get("body"):
            gone.set()
            await asyncio.sleep(3600)  # nobody reads on: the connection takes no more

    await Stream(lines, media_type="text/csv", headers={})({"type": "http", "path": "/x"}, receive, send)
    return sent


def test_a_reader_who_goes_away_is_in_the_audit(database: Database) -> None:
    exporting = Exporting(database, [b"1", b"2", b"3"])
    asyncio.run(answer(exporting.begin(), stays=False))
    assert exporting.audited()[1:] == [("aborted", 1, "its reader has gone away")]
    assert exporting.exports.find(exporting.id) is None


def test_an_answer_that_fails_in_the_middle_has_no_end(database: Database) -> None:
    whole = asyncio.run(answer(Exporting(database, [b"1"]).begin(), stays=True))
    assert whole[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    broken = asyncio.run(answer(Exporting(database, [b"1"], Unreachable("gone")).begin(), stays=True))
    assert broken[-1]["more_body"] is True
