"""`eventflow mute`, `unmute` and `mutes`, over the API in this process."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitor.apiclient import ApiClient
from monitor.cli import commands
from monitor.cli.commands import read_end
from monitor.storage.database import Database
from tests.unit.api.builders import NOW, AppTransport
from tests.unit.api.test_mutes import PAYMENTS, MutedApi
from tests.unit.cli.running import Shell


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MutedApi]:
    with closing(Database.open(f"sqlite:///{tmp_path}/eventflow.db")) as database:
        answering = MutedApi(database)
        monkeypatch.setattr(
            commands, "ApiClient", lambda url, token: ApiClient(url, token, transport=AppTransport(answering))
        )
        yield answering


def test_what_is_muted_is_told_listed_and_marked_in_the_status(shell: Shell, api: MutedApi) -> None:
    told = shell.run("mute", "orders/pay*", "--until", "2h", "--reason", "upgrade of the database")
    assert told.code == 0
    assert "(number 1), matching 1 subscriptions and 1 dead-letter queues now" in told.out
    (mute,) = api.mutes.active()
    assert mute.until == NOW + 7200
    listed = shell.run("mutes").out
    for word in ("orders/pay*", "upgrade of the database", "local"):
        assert word in listed
    status = shell.run("status").out
    assert "ok (muted)" in status
    assert "upgrade of the database; as told" in status
    assert status.count("muted until") == 2  # the subscription and its dead-letter queue


def test_unmute_takes_what_was_muted_or_its_number(shell: Shell, api: MutedApi) -> None:
    for subject in (PAYMENTS, "orders/*"):
        shell.run("mute", subject, "--until", "1h", "--reason", "x")
    assert shell.run("unmute", PAYMENTS).out == f"no longer muted: {PAYMENTS}\n"
    assert [it.subject for it in api.mutes.active()] == ["orders/*"]
    assert shell.run("unmute", "2").code == 0
    assert api.mutes.active() == ()
    assert shell.run("mutes").out == "nothing is muted\n"


def test_unmuting_what_is_not_muted_tells_what_is(shell: Shell, api: MutedApi) -> None:
    shell.run("mute", "orders/*", "--until", "1h", "--reason", "x")
    ended = shell.run("unmute", PAYMENTS)
    assert (ended.code, ended.err) == (1, f"{PAYMENTS} is not muted under this name; muted now: orders/*\n")


def test_json_is_the_body_of_the_call(shell: Shell, api: MutedApi) -> None:
    made = json.loads(shell.run("mute", PAYMENTS, "--until", "1h", "--reason", "x", "--json").out)
    assert made == api.get("mutes").json()["items"][0]
    assert json.loads(shell.run("mutes", "--json").out) == {"items": [made], "next": None}


def test_the_end_is_a_duration_or_a_time_with_or_without_zone() -> None:
    assert read_end("90m") == {"for_seconds": 5400.0}
    assert read_end("2030-01-31T18:00Z") == {"until": datetime(2030, 1, 31, 18, tzinfo=UTC).timestamp()}
    assert read_end("2030-01-31T18:00") == {"until": datetime(2030, 1, 31, 18).astimezone().timestamp()}


@pytest.mark.parametrize("end", ["tomorrow", "2", "2030-13-01"])
def test_an_end_that_is_none_is_wrong_usage(shell: Shell, end: str) -> None:
    ended = shell.run("mute", PAYMENTS, "--until", end, "--reason", "x")
    assert ended.code == 2
    assert "must be a duration as 90m or 2h" in ended.err
