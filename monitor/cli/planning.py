"""The options of a plan, for all commands that make one, and the body of the API call that they stand for."""

import functools
import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_type_hints

import typer

from monitor.clock import Clock
from monitor.config import parse_duration

_AGE = {"metavar": "DURATION", "parser": parse_duration}
_WINDOW = re.compile(r"(\d{1,2}:\d{2})-(\d{1,2}:\d{2})")


def _selection(
    select: Annotated[str | None, typer.Option("--select", metavar="EXPR", help="JMESPath over one message.")] = None,
    position: Annotated[list[str] | None, typer.Option("--position", help="A chosen message; may be repeated.")] = None,
    group: Annotated[str | None, typer.Option("--group", help="A cause, as `dlq groups` names it.")] = None,
    older_than: Annotated[float | None, typer.Option("--older-than", **_AGE, help="By the broker's time.")] = None,
    younger_than: Annotated[float | None, typer.Option("--younger-than", **_AGE, help="By the broker's time.")] = None,
    first: Annotated[int | None, typer.Option("--first", min=1, help="At most so many.")] = None,
) -> None: ...


def _steering(
    rate: Annotated[float | None, typer.Option("--rate", help="Messages a second.")] = None,
    start_at: Annotated[str | None, typer.Option("--start-at", help="Begin then: 30m, or 2030-01-31T22:00.")] = None,
    deadline: Annotated[
        str | None, typer.Option("--deadline", help="End then, whatever is left: 2h, or a time.")
    ] = None,
    window: Annotated[str | None, typer.Option("--window", metavar="22:00-05:00", help="Run in these hours.")] = None,
    window_days: Annotated[str | None, typer.Option("--window-days", metavar="mon,tue", help="On these days.")] = None,
    timezone: Annotated[str | None, typer.Option("--timezone", help="Of the window; UTC by default.")] = None,
    on_ambiguous: Annotated[
        Literal["send", "hold"] | None,
        typer.Option("--on-ambiguous", help="What to do with what may have been sent before an interruption."),
    ] = None,
) -> None: ...


def _redriving(
    target: Annotated[
        str | None, typer.Option("--target", help="Where to, not where they came from; Kafka: also CLUSTER/TOPIC.")
    ] = None,
    canary: Annotated[
        int | None, typer.Option("--canary", min=1, help="So many first, then see what comes back.")
    ] = None,
    canary_wait: Annotated[float | None, typer.Option("--canary-wait", **_AGE, help="How long to see.")] = None,
    max_target_backlog: Annotated[
        int | None, typer.Option("--max-target-backlog", min=1, help="Pause while more than that wait at the target.")
    ] = None,
    set_header: Annotated[
        list[str] | None, typer.Option("--set-header", metavar="NAME=VALUE", help="May be repeated.")
    ] = None,
    remove_header: Annotated[
        list[str] | None, typer.Option("--remove-header", metavar="NAME", help="May be repeated.")
    ] = None,
    patch: Annotated[
        str | None, typer.Option("--patch", metavar="FILE|JSON", help="A JSON Patch (RFC 6902) for the bodies.")
    ] = None,
    strip_failure_headers: Annotated[
        bool, typer.Option("--strip-failure-headers", help="Drop what frameworks added at failure.")
    ] = False,
    native: Annotated[bool, typer.Option("--native", help="SQS: let AWS move everything.")] = False,
) -> None: ...


def with_options(*sources: Callable[..., None]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of these functions; it gets what was given as `options`, as the API names it."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True)
        added = [it for source in sources for it in inspect.signature(source, eval_str=True).parameters.values()]
        names = [it.name for it in added]

        @functools.wraps(command)
        def run(*arguments: Any, **given: Any) -> None:
            options = read_options({name: given.pop(name) for name in names})
            command(*arguments, **given, options=options)

        kept = [it for it in own.parameters.values() if it.name != "options"]
        keyword = [it.replace(kind=inspect.Parameter.KEYWORD_ONLY) for it in added]
        first = [it for it in kept if it.kind is not inspect.Parameter.KEYWORD_ONLY]
        run.__signature__ = own.replace(parameters=[*first, *keyword])  # type: ignore[attr-defined]
        hints = {name: hint for source in (command, *sources) for name, hint in _hints(source).items()}
        run.__annotations__ = {name: hint for name, hint in hints.items() if name != "options"}
        return run

    return decorate


SELECTION = (_selection,)
SHELVING = (_selection, _steering)
REDRIVING = (_selection, _steering, _redriving)
"""Which options what kind of command has."""


def read_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as the API names them, without those that were not given. Raises BadParameter."""
    now = Clock().now()
    read: dict[str, Any] = {
        "select": given.get("select"),
        "positions": given.get("position"),
        "group": given.get("group"),
        "older_than_seconds": given.get("older_than"),
        "younger_than_seconds": given.get("younger_than"),
        "first": given.get("first"),
        "rate": given.get("rate"),
        "start_at": _read_moment("--start-at", given.get("start_at"), now),
        "deadline": _read_moment("--deadline", given.get("deadline"), now),
        "window": _read_window(given),
        "on_ambiguous": given.get("on_ambiguous"),
        "target": given.get("target"),
        "canary": given.get("canary"),
        "canary_wait_seconds": given.get("canary_wait"),
        "max_target_backlog": given.get("max_target_backlog"),
        "set_headers": dict(map(_split_header, given.get("set_header") or ())),
        "remove_headers": given.get("remove_header"),
        "patch": _read_patch(given.get("patch")),
        "strip_failure_headers": given.get("strip_failure_headers"),
        "native": given.get("native"),
    }
    given_ones = {name: value for name, value in read.items() if value is not None and value is not False}
    return {name: value for name, value in given_ones.items() if value != [] and value != {}}  # 0 was given, too


def _hints(function: Callable[..., None]) -> dict[str, Any]:
    return get_type_hints(function, include_extras=True)


def _read_moment(option: str, text: str | None, now: float) -> float | None:
    if text is None:
        return None
    try:
        return now + cast(float, parse_duration(text))
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError:
        told = f"{option}: write a duration as 2h, or a time as 2030-01-31T22:00"
        raise typer.BadParameter(told) from None


def _read_window(given: Mapping[str, Any]) -> dict[str, Any] | None:
    text = given.get("window")
    if text is None:
        if given.get("window_days") or given.get("timezone"):
            raise typer.BadParameter("--window-days and --timezone need --window")
        return None
    found = _WINDOW.fullmatch(text.strip())
    if not found:
        raise typer.BadParameter(f"--window: {text!r} is no span as 22:00-05:00")
    window: dict[str, Any] = {"begin": found[1].zfill(5), "end": found[2].zfill(5)}
    if given.get("window_days"):
        window["days"] = [day.strip() for day in str(given["window_days"]).split(",")]
    return {**window, "timezone": given["timezone"]} if given.get("timezone") else window


def _read_patch(text: str | None) -> Any:
    if text is None:
        return None
    if not text.lstrip().startswith("["):
        try:
            text = sys.stdin.read() if text == "-" else Path(text).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise typer.BadParameter(f"--patch: {text} cannot be read: {error}") from error
    try:
        return json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"--patch: no JSON: {error}") from error


def _split_header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
    return name, value
