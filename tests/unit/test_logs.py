"""Logs are one line an event, for people or machines, without credentials."""

import io
import json
import logging

import pytest

from monitor.logs import ConsoleLines, JsonLines, about

FORMS = [ConsoleLines, JsonLines]


def log(form: type[logging.Formatter], message: str, *arguments: object, **more: object) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(form())
    logger = logging.Logger("monitor.test")
    logger.addHandler(handler)
    logger.warning(message, *arguments, **more)  # type: ignore[arg-type]
    return stream.getvalue()


def failure() -> tuple[type[BaseException], BaseException, None]:
    error = RuntimeError("line one\nline two")
    return RuntimeError, error, None


@pytest.mark.parametrize("form", FORMS)
def test_an_event_is_one_line_whatever_is_in_it(form: type[logging.Formatter]) -> None:
    told = log(form, "cluster %s\r\nfailed\x1b[31m", "a\nb", exc_info=failure(), extra={"cluster": "x\ny"})
    assert told.endswith("\n")
    assert len(told.splitlines()) == 1
    assert "\x1b" not in told


@pytest.mark.parametrize("form", FORMS)
def test_credentials_in_addresses_are_left_out(form: type[logging.Formatter]) -> None:
    told = log(form, "no connection to %s", "amqp://user:hunter2@host:5672/%2F", extra={"url": "http://u:hunter2@h"})
    assert "hunter2" not in told
    assert "host:5672" in told


def test_lines_for_people_begin_with_time_level_and_place() -> None:
    told = log(ConsoleLines, "listening on %s", "http://127.0.0.1:9610", extra={"clusters": 2})
    assert told[10:11] == "T"
    assert told[19:20] == "."
    assert told.partition(" ")[2] == "WARNING monitor.test: listening on http://127.0.0.1:9610 clusters=2\n"


def test_lines_for_machines_are_objects() -> None:
    told = json.loads(log(JsonLines, "listening on %s", "ü", extra={"clusters": 2}, exc_info=failure()))
    assert told["time"].endswith("Z")
    assert told.pop("time")
    assert told == {
        "level": "warning",
        "logger": "monitor.test",
        "message": "listening on ü",
        "clusters": 2,
        "exception": "RuntimeError: line one\nline two",
    }


def test_what_happens_in_the_same_cycle_or_job_carries_its_name() -> None:
    with about(cluster="orders", cycle=7):
        with about(job="4711"):
            inside = json.loads(log(JsonLines, "refused", extra={"cycle": 8}))
        line = log(ConsoleLines, "refused")
    outside = json.loads(log(JsonLines, "refused"))

    assert (inside["cluster"], inside["cycle"], inside["job"]) == ("orders", 8, "4711")
    assert line.endswith("refused cluster=orders cycle=7\n")
    assert not outside.keys() & {"cluster", "cycle", "job"}
