"""Commands that ask a running monitor."""

import json
from collections.abc import Callable

import pytest

from monitor.apiclient import ApiClient
from monitor.cli import commands, output
from monitor.config import Server
from monitor.model import Age, AgeMethod, ClusterView, CollectionError, FoundBy, Origin, Problem, Role, Status
from tests.unit.api.builders import (
    NOW,
    Api,
    AppTransport,
    blind_view,
    dead_letters,
    guarded,
    subscription,
    verdict,
    view,
)
from tests.unit.cli.running import Shell

Watching = Callable[..., None]


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Watching:
    """Make a monitor answer that has seen these views."""

    def watch(*views: ClusterView, server: Server | None = None) -> None:
        api = Api(list(views), server or Server())

        def connect(url: str, token: str | None) -> ApiClient:
            return ApiClient(url, token, transport=AppTransport(api))

        monkeypatch.setattr(commands, "ApiClient", connect)

    return watch


BEHIND = (
    subscription("order-events", backlog_messages=12400.0, oldest_age=Age(190.0, AgeMethod.INTERPOLATED)),
    verdict(
        Status.LAGGING,
        reason="older than its objective of 30 s",
        published_per_second=10.0,
        consumed_per_second=12.5,
        drain_seconds=4960.0,
        owner="checkout",
    ),
)
DEAD = dead_letters(
    "order-events.dlq",
    messages=42.0,
    oldest_age=Age(7200.0, AgeMethod.LOWER_BOUND),
    expires_at=NOW + 86400,
    arrivals_total=7.0,
    origins=(Origin("order-events", FoundBy.HEADERS),),
    problems=(Problem.RETENTION_TOO_SHORT,),
)


def rows(text: str) -> list[list[str]]:
    """The cells of each line, which two spaces or more keep apart."""
    return [[cell for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]


def test_status_shows_everything_worst_first_in_units_of_people(shell: Shell, watching: Watching) -> None:
    watching(view([subscription("fine"), BEHIND], dead=[DEAD, dead_letters("empty.dlq", messages=0.0)]))
    ended = shell.run("status")
    assert ended.code == 0
    lines = [[cell.strip() for cell in line] for line in rows(ended.out)]
    assert lines[1] == ["STATUS", "SUBSCRIPTION", "BEHIND", "WAITING", "IN", "OUT", "DRAINS IN", "OWNER", "WHY"]
    assert lines[2] == [
        "lagging",
        "orders/order-events-group/order-events",
        "3 min",
        "12,400",
        "10.0/s",
        "12.5/s",
        "1 h 22 min",
        "checkout",
        "older than its objective of 30 s",
    ]
    assert lines[3][:4] == ["ok", "orders/fine-group/fine", "not known", "not known"]
    assert lines[6] == ["QUEUE", "WAITING", "OLDEST", "NEXT LOSS", "ARRIVED", "COMES FROM", "SET-UP"]
    assert lines[7][:3] == ["orders/order-events.dlq", "42", "at least 2 h"]
    assert lines[7][4:] == ["7", "order-events", "retention too short"]
    assert lines[8] == ["orders/empty.dlq", "0", "–", "–", "not known", "–", "ok"]


def test_what_cannot_be_seen_is_said_before_what_is_seen(shell: Shell, watching: Watching) -> None:
    error = CollectionError("unreachable", "mail", "mail: no connection; is the broker up?")
    watching(view([BEHIND]), blind_view("mail", up=False, errors=(error,)), blind_view("aws", up=None))
    first, second, third, *_ = shell.run("status").out.splitlines()
    assert first == "mail cannot be read (never read yet): mail: no connection; is the broker up?"
    assert second == "aws: the first look is not finished"
    assert third == "SUBSCRIPTIONS"


def test_nothing_is_said_to_be_nothing(shell: Shell, watching: Watching) -> None:
    watching(view())
    assert shell.run("status").out.split("\n") == [
        "SUBSCRIPTIONS", "none has been seen", "", "DEAD-LETTER QUEUES", "none has been found", ""
    ]  # fmt: skip
    assert shell.run("dlq", "ls").out == "none has been found\n"


def test_a_retry_queue_is_told_as_one(shell: Shell, watching: Watching) -> None:
    watching(view([subscription("wait", role=Role.RETRY)]))
    assert "ok (retry)" in shell.run("status").out


def test_an_abandoned_group_is_told_as_one(shell: Shell, watching: Watching) -> None:
    watching(view([subscription("left", abandoned=True)]))
    assert "ok (abandoned)" in shell.run("status").out


def test_a_pipe_gets_whole_lines_and_no_colour(shell: Shell, watching: Watching) -> None:
    watching(view([subscription("x" * 150), BEHIND]))
    out = shell.run("status").out
    assert "\x1b" not in out
    assert f"orders/{'x' * 150}-group/{'x' * 150}" in out


@pytest.mark.parametrize("width", [40, 60, 80, 129])
def test_a_narrow_terminal_gets_the_columns_that_matter_within_its_width(
    shell: Shell, watching: Watching, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    watching(view([BEHIND], dead=[DEAD]))
    console = output.make_console()
    console.width = width
    monkeypatch.setattr(commands, "make_console", lambda: console)
    out = shell.run("status").out
    assert max(map(len, out.splitlines())) <= width
    for word in ("lagging", "3 min", "12,400", "42"):
        assert word in out
    assert "checkout" not in out


def test_a_terminal_gets_colour_and_the_words_all_the_same(
    shell: Shell, watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching(view([BEHIND], dead=[DEAD]))
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = shell.run("status").out
    assert "\x1b[" in out
    assert "lagging" in out


def test_names_cannot_command_the_terminal(shell: Shell, watching: Watching) -> None:
    evil = "[bold]x[/bold]\x1b[2J\nnext"
    error = CollectionError("internal", "x", "failed: \x1b[31m")
    reason = verdict(Status.OK, reason=evil)
    origins = (Origin(evil, FoundBy.NAME),)
    watching(view([(subscription("a"), reason)], dead=[dead_letters("q", origins=origins)], up=False, errors=(error,)))
    out = shell.run("status").out
    assert "\x1b" not in out
    assert out.count("[bold]x[/bold]\\x1b[2J\\nnext") == 2


def test_status_as_json_is_the_body_of_all_pages(shell: Shell, watching: Watching) -> None:
    watching(view([subscription(f"t{i}") for i in range(1200)], dead=[DEAD]))
    body = json.loads(shell.run("status", "--json").out)
    assert body.keys() == {"subscriptions", "dead_letters"}
    assert len(body["subscriptions"]) == 1200
    assert body["subscriptions"][0]["backlog_messages"] is None
    assert body["dead_letters"][0]["origins"] == ["order-events"]


def test_dead_letters_as_json_are_the_body_of_the_list(shell: Shell, watching: Watching) -> None:
    watching(view(dead=[DEAD]))
    body = json.loads(shell.run("dlq", "ls", "--json").out)
    (item,) = body["items"]
    assert (item["id"], item["system"], item["messages"]) == ("orders/order-events.dlq", "kafka", 42)
    assert (item["origins"], item["problems"]) == (["order-events"], ["retention_too_short"])
    assert (body["next"], body["total"]) == (None, 1)


def test_dead_letters_are_listed(shell: Shell, watching: Watching) -> None:
    watching(view(dead=[DEAD]))
    assert "orders/order-events.dlq" in shell.run("dlq", "ls").out


def test_the_token_comes_from_the_environment(
    shell: Shell, watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching(view([BEHIND]), server=guarded())
    refused = shell.run("status")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == (
        "send a token as Authorization: Bearer TOKEN; set EVENTFLOW_TOKEN to a token of this monitor\n"
    )
    monkeypatch.setenv("EVENTFLOW_TOKEN", "viewer")
    assert shell.run("status").code == 0


@pytest.mark.parametrize("command", [("status",), ("status", "--json"), ("dlq", "ls")])
def test_a_monitor_that_is_away_is_one_sentence_and_exit_code_1(shell: Shell, command: tuple[str, ...]) -> None:
    ended = shell.run(*command, "--url", "http://127.0.0.1:1")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "the monitor at http://127.0.0.1:1 cannot be reached (Connection refused); "
        "start it, or name another by EVENTFLOW_URL\n"
    )


def test_the_address_comes_from_the_environment(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTFLOW_URL", "http://127.0.0.1:2")
    assert "the monitor at http://127.0.0.1:2 cannot be reached" in shell.run("status").err
