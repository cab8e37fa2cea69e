"""How commands print: for people by tables that fit the terminal, for programs the body of the API call."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

_UNLIMITED = 10_000
"""Columns where nobody's terminal sets a limit: a line in a pipe is cut by nobody."""


def make_console() -> Console:
    """Return where tables go: as wide as the terminal, or as they need where there is none."""
    out = Console(highlight=False, markup=False, emoji=False)
    return out if out.is_terminal else Console(highlight=False, markup=False, emoji=False, width=_UNLIMITED)


def print_json(body: Any) -> None:
    """Print a body as JSON, absent as null."""
    sys.stdout.write(json.dumps(body, indent=2, ensure_ascii=False, default=str) + "\n")


def print_line(line: str = "") -> None:
    """Print one line as it is."""
    sys.stdout.write(line + "\n")


def tell_error(text: str) -> None:
    """Say on standard error what went wrong, without what a terminal would obey."""
    sys.stderr.write("\n".join(show_plain(line) for line in text.split("\n")) + "\n")


def plain(text: str, style: str = "") -> Text:
    """Return a text for a table in which nothing is obeyed, neither markup nor control characters."""
    return Text(show_plain(text), style=style)


def show_plain(text: str) -> str:
    """Show control characters as escapes: names come from brokers, and anybody may choose them."""
    return "".join(it if it.isprintable() else repr(it)[1:-1] for it in text)
