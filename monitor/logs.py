"""Logs for people and for machines: one line an event, on standard error, without credentials."""

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal

LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")

_ABOUT: ContextVar[Mapping[str, object]] = ContextVar("about", default=MappingProxyType({}))

# What goes wrong in these is translated and logged once where they are called.
_TOLD_ELSEWHERE = ("pika", "botocore", "boto3", "urllib3", "apscheduler")


def set_up_logging(form: LogFormat, level: LogLevel) -> None:
    """Send all logs to standard error: ours from `level` on, those of libraries from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else ConsoleLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    logging.getLogger("monitor").setLevel(level.upper())
    for name in _TOLD_ELSEWHERE:
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def about(**names: object) -> Iterator[None]:
    """Have every event of this thread carry these names meanwhile: what else happened in the same cycle or job.

    A thread that is begun within takes them along only where it runs in a copy of the context.
    """
    token = _ABOUT.set({**_ABOUT.get(), **names})
    try:
        yield
    finally:
        _ABOUT.reset(token)


class ConsoleLines(logging.Formatter):
    """`2026-05-04T10:11:12.345Z INFO monitor.app: message key=value`; line breaks are told as such."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of an event."""
        extras = "".join(f" {name}={value}" for name, value in _extras(record).items())
        text = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}{extras}"
        if record.exc_info and record.exc_info[0]:
            text += f" | {_trace(record)}"
        return without_credentials(_on_one_line(text))


class JsonLines(logging.Formatter):
    """One object an event: `time`, `level`, `logger`, `message`, what was logged beside it, and `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of an event."""
        told: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info and record.exc_info[0]:
            told["exception"] = _trace(record)
        return without_credentials(json.dumps(told, default=str, ensure_ascii=False))


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z"


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {**_ABOUT.get(), **{name: value for name, value in vars(record).items() if name not in _OWN}}


def _trace(record: logging.LogRecord) -> str:
    return "".join(traceback.format_exception(*record.exc_info)).rstrip() if record.exc_info else ""


def _on_one_line(text: str) -> str:
    """Show control characters as escapes: a name from a broker must not begin a line or colour a terminal."""
    return "".join(it if it.isprintable() else repr(it)[1:-1] for it in text)


def without_credentials(line: str) -> str:
    """Return a text without names and passwords in its addresses."""
    return _CREDENTIALS.sub("***@", line)
