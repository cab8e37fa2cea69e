"""The commands `eventflow demo`: what can be broken on purpose while `make demo` runs."""

import os
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from monitor.errors import EventflowError

demo_commands = typer.Typer(no_args_is_help=True, help="The demo that runs here: break it on purpose.")
_PROGRAM = "examples.event_flow.scenarios"


@demo_commands.command()
def scenario(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A scenario, or `list`.")],
    url: Annotated[
        str | None, typer.Option("--url", envvar="EVENTFLOW_URL", help="The monitor to ask; else the demo's own.")
    ] = None,
    size: Annotated[int | None, typer.Option(min=2, help="How many orders are placed at a time.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict for machines.")] = False,
) -> None:
    """Break the reference flow in one way, and print what the monitor showed, what redrive did, and what is true then.

    Exit code 0 when all of it is as it must be, 1 when it is not, 2 for a name that there is not.
    """
    sys.stdout.flush()
    # In this process's place, so that Ctrl-C reaches what has to be tidied up.
    os.execv(sys.executable, scenario_command(name, url, size, as_json=as_json))  # noqa: S606


def scenario_command(name: str, url: str | None, size: int | None, *, as_json: bool) -> list[str]:
    """Return the command that runs a scenario. Raises EventflowError where the flow is not there to be broken."""
    if find_spec("examples") is None:
        raise EventflowError(
            "the reference flow is not part of the package; run this in a checkout, beside `make demo`"
        )
    given = [
        *(["--url", url] if url else []),
        *(["--size", str(size)] if size else []),
        *(["--json"] if as_json else []),
    ]
    return [sys.executable, "-m", _PROGRAM, name, *given]
