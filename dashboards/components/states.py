"""What a page looks like when it has nothing to show, cannot show it, or shows what is old. One look for each."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import streamlit as st

from dashboards.components.text import as_text
from dashboards.components.times import now, say_moment
from monitor.errors import MonitorRefused, MonitorUnreachable
from monitor.words import say_duration

T = TypeVar("T")

REFRESH_SECONDS = 3
SLOW_REFRESH_SECONDS = 10
"""Of what changes by the minute; it heals as soon as the monitor is back."""

_REMEMBERED = "last answers"
_MOST_REMEMBERED = 16
_OLDEST_SHOWN_SECONDS = 600.0


def read(key: Hashable, ask: Callable[[], T], fresh_seconds: float = 0.0) -> T:
    """Return what `ask` gives; while the monitor is away, what it gave last, and say on the page that this is old.

    `key` tells apart what is asked for, with all its parameters. What was asked less than `fresh_seconds` ago is not
    asked again; what is older than ten minutes is not shown any more.
    Raises MonitorUnreachable when there is nothing to show, and MonitorRefused.
    """
    memory: dict[Hashable, tuple[float, Any]] = st.session_state.setdefault(_REMEMBERED, {})
    at, old = memory.get(key, (float("-inf"), None))
    if now() - at < fresh_seconds:
        return old  # type: ignore[no-any-return]
    try:
        answer = ask()
    except MonitorUnreachable:
        if now() - at > _OLDEST_SHOWN_SECONDS:
            raise
        say_stale(at)
        return old  # type: ignore[no-any-return]
    memory.pop(key, None)
    memory[key] = (now(), answer)
    while len(memory) > _MOST_REMEMBERED:
        del memory[next(iter(memory))]
    return answer


def read_if_there(key: Hashable, ask: Callable[[], T], fresh_seconds: float = 0.0) -> T | None:
    """Return what `read` does; None where the monitor has nothing of the kind, which is remembered as any answer is."""

    def ask_for_it() -> T | None:
        try:
            return ask()
        except MonitorRefused as refusal:
            if refusal.status == 404:
                return None
            raise

    return read(key, ask_for_it, fresh_seconds)


def say_stale(at: float) -> None:
    """Say that what stands below was asked for at `at`, since the monitor is away."""
    st.caption(f":orange-badge[◷ old] The monitor is away: this is from {say_moment(at)}; it renews itself.")


@contextmanager
def failures_told(*, lesser: bool = False) -> Iterator[None]:
    """Draw why a part of a page cannot be shown, and what to do, in its place; the rest of the page stays.

    A `lesser` part leaves it to the main one to say at length that the monitor is away.
    """
    try:
        yield
    except MonitorUnreachable as away:
        if lesser:
            st.caption("… waits for the monitor")
        else:
            say_away(away)
    except MonitorRefused as refusal:
        say_refusal(refusal)


@contextmanager
def page_told() -> Iterator[None]:
    """Do what `failures_told` does for what is drawn once, and draw the page anew until the monitor answers."""
    with failures_told():
        try:
            yield
        except MonitorUnreachable:
            draw_anew_later()
            raise


def draw_anew_later() -> None:
    """Have the whole page drawn anew after a while, since what it tells is likely to change."""
    _draw_anew(now())


@st.fragment(run_every=REFRESH_SECONDS)
def _draw_anew(drawn_at: float) -> None:
    # Run with the page as well, and then by the clock.
    if now() - drawn_at > REFRESH_SECONDS / 2:
        st.rerun()


def say_away(away: MonitorUnreachable) -> None:
    """Say that nothing is known, since the monitor cannot be asked."""
    st.error(f"Waiting for the monitor: {as_text(str(away))}", icon=":material/cloud_off:")
    st.caption(
        f"This page asks again every {say_duration(REFRESH_SECONDS)} and heals by itself; a restart takes seconds. "
        "If it stays away, look whether `eventflow serve` runs, and at its log."
    )


def say_refusal(refusal: MonitorRefused) -> None:
    """Say what the monitor refuses, and what helps."""
    told = as_text(str(refusal))
    if refusal.status == 401:
        st.error(f"You are not signed in: {told}", icon=":material/lock:")
        st.caption("Sessions end. Reload this page: it asks you to sign in, and comes back to where you are.")
    elif refusal.status == 403:
        st.warning(f"This is not for your role: {told}", icon=":material/lock:")
        st.caption("Whoever keeps the monitor's configuration can give your token another role.")
    elif refusal.status == 404:
        say_empty(told, "It may have gone, or its name may be written differently. Search for a part of it.")
    else:
        st.error(f"The monitor could not answer: {told}", icon=":material/error:")
        st.caption("The rest of the page stands. The monitor's log says more.")


def say_empty(what: str, remedy: str = "") -> None:
    """Say that there is nothing to show, which is no failure; both texts are Markdown."""
    st.info(what, icon=":material/inbox:")
    if remedy:
        st.caption(remedy)


def say_partly(what: str, remedy: str = "") -> None:
    """Say that a part could not be read, so that what is shown is not all; both texts are Markdown."""
    st.warning(what, icon=":material/rule:")
    if remedy:
        st.caption(remedy)
