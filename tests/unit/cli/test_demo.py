"""`eventflow demo scenario` hands over to the program of the reference flow."""

import sys

from monitor.cli.demo import scenario_command


def test_what_is_given_reaches_the_program_and_nothing_else_does() -> None:
    program = [sys.executable, "-m", "examples.event_flow.scenarios"]
    assert scenario_command("list", None, None, as_json=False) == [*program, "list"]
    assert scenario_command("crash-loop", "http://127.0.0.1:1", 5, as_json=True) == [
        *program, "crash-loop", "--url", "http://127.0.0.1:1", "--size", "5", "--json",
    ]  # fmt: skip
