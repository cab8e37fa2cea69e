"""What one can choose for a plan: the usual by a click, and everything else under Options.

Every choice makes a new plan, since a plan says what it was made for.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any, TypeVar

import streamlit as st

from dashboards.client import about
from dashboards.components.plan import (
    CANARY_CHOICES,
    FIRST_CHOICES,
    RATE_CHOICES,
    Choices,
    choices_of_plan,
    read_headers,
    say_pace,
    write_headers,
)
from dashboards.components.text import as_text
from dashboards.components.times import viewer_zone
from monitor.api.redrive_items import PlanItem
from monitor.words import say_count, say_duration

T = TypeVar("T")

_HOUR, _DAY = 3600.0, 86400.0
_AGES: Mapping[str, tuple[float | None, float | None]] = {
    "any age": (None, None),
    "younger than an hour": (None, _HOUR),
    "younger than a day": (None, _DAY),
    "older than an hour": (_HOUR, None),
    "older than a day": (_DAY, None),
}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_STEP = timedelta(minutes=5)
_LONGEST_CANARY_SECONDS = 3600.0
_LONGEST_NOTE = 500


def draw_choices(plan: PlanItem) -> Choices:
    """Draw what can be chosen for a plan; return what is chosen now."""
    chosen = choices_of_plan(plan)
    with st.container(border=True):
        wanted = _choose_how_many(chosen, plan["id"])
        if plan["action"] == "redrive":
            wanted = _choose_pace(wanted, plan["id"])
        with st.expander("Options"):
            return _choose_more(wanted, plan)


def note_of(plan: PlanItem) -> str | None:
    """Return the note that was written for the audit log, if one was."""
    return str(st.session_state.get(_note_key(plan), "")).strip() or None


def _note_key(plan: PlanItem) -> str:
    # By its queue, so that the note stays while one goes on choosing.
    return f"note on {plan['dead_letters']}"


def _choose_how_many(chosen: Choices, plan: str) -> Choices:
    firsts = {"everything": None, **{f"first {say_count(it)}": it for it in FIRST_CHOICES}}
    first = _pick("How many", firsts, chosen.first, f"how many {plan}", say=lambda it: f"first {say_count(it)}")
    age = _pick("Age", _AGES, (chosen.older_than_seconds, chosen.younger_than_seconds), f"age {plan}", say=_say_ages)
    return replace(chosen, first=first, older_than_seconds=age[0], younger_than_seconds=age[1])


def _choose_pace(chosen: Choices, plan: str) -> Choices:
    canaries = {"none": 0, **{f"{it} first": it for it in CANARY_CHOICES}}
    rates = {say_pace(it): it for it in (None, *RATE_CHOICES)}
    canary = _pick("Canary", canaries, chosen.canary, f"canary {plan}", say=lambda it: f"{it} first")
    rate = _pick("Rate", rates, chosen.rate, f"rate {plan}", say=say_pace)
    return replace(chosen, canary=canary, rate=rate)


def _say_ages(ages: tuple[float | None, float | None]) -> str:
    words = ("older than", "younger than")
    return ", ".join(f"{word} {say_duration(it)}" for word, it in zip(words, ages, strict=True) if it is not None)


def _pick(label: str, options: Mapping[str, T], chosen: T, key: str, say: Callable[[Any], str]) -> T:
    """Draw options to click; one that was given by the address and is none of them stands beside them."""
    known = dict(options)
    word = next((word for word, value in known.items() if value == chosen), None)
    if word is None:
        word = say(chosen)
        known[word] = chosen
    picked = st.segmented_control(label, list(known), default=word, key=key, required=True)
    return known[picked or word]


def _choose_more(chosen: Choices, plan: PlanItem) -> Choices:
    wanted = _choose_ways(chosen, plan)
    if (wanted.select or wanted.positions or wanted.group) and st.button(
        "Take everything", key=f"everything {plan['id']}"
    ):
        wanted = replace(wanted, select=None, positions=(), group=None)
    st.text_input(
        "Note for the audit log", key=_note_key(plan), max_chars=_LONGEST_NOTE, placeholder="a ticket, or why"
    )
    with st.form(f"options {plan['id']}", border=False):
        written = _write_times(wanted)
        if plan["action"] == "redrive":
            written = _write_edits(_write_limits(written))
        if st.form_submit_button("Take over", help="Makes the plan anew with what is written here."):
            return written or wanted
    return wanted


def _choose_ways(chosen: Choices, plan: PlanItem) -> Choices:
    """Draw what is either so or not."""
    wanted, id_ = chosen, plan["id"]
    if plan["action"] == "redrive":
        label = "Remove what frameworks wrote about the failure"
        strip = st.toggle(label, chosen.strip_failure_headers, key=f"strip {id_}")
        wanted = replace(wanted, strip_failure_headers=strip)
        if plan["system"] == "sqs":
            native = st.toggle("Let AWS move everything by itself", chosen.native, key=f"native {id_}",
                               help="At most 500 a second, no proof for each message, no selection.")  # fmt: skip
            wanted = replace(wanted, native=native)
    if plan["guarantee"] == "at_least_once":
        doubts = {"send again": "send", "keep in the queue": "hold"}
        doubt = _pick("What may have been sent before an interruption", doubts, chosen.on_ambiguous, f"doubt {id_}",
                      say=str)  # fmt: skip
        wanted = replace(wanted, on_ambiguous=doubt)
    return wanted


# -- what is written ---------------------------------------------------------------------------------------------------


def _write_times(chosen: Choices) -> Choices | None:
    """Draw when the job may run; return None, and why on the page, for hours that are none."""
    st.markdown(f"**When** :small[in your time zone, {as_text(str(viewer_zone()))}; leave empty for always]")
    with st.container(horizontal=True):
        start = _moment("Not before", chosen.start_at)
        deadline = _moment("Not after", chosen.deadline, "What is left then stays in the queue.")
        window = chosen.window or {}
        begin = st.time_input("Only from", _clock(window.get("begin")), step=_STEP, width=150)
        end = st.time_input("until", _clock(window.get("end")), step=_STEP, width=150)
        days = st.pills("on", _DAYS, selection_mode="multi", default=window.get("days") or None)
    if (begin is None) != (end is None):
        st.warning("Hours need both a begin and an end.")
        return None
    if begin is None or end is None:
        return replace(chosen, start_at=start, deadline=deadline, window=None)
    hours: dict[str, Any] = {"begin": f"{begin:%H:%M}", "end": f"{end:%H:%M}", "timezone": _zone_of(window)}
    if days and len(days) < len(_DAYS):
        hours["days"] = list(days)
    return replace(chosen, start_at=start, deadline=deadline, window=_unchanged(window, hours))


def _zone_of(window: Mapping[str, Any]) -> str:
    return str(window.get("timezone") or viewer_zone())


def _unchanged(before: Mapping[str, Any], after: dict[str, Any]) -> Mapping[str, Any]:
    """Return the hours as they were told where they are the same: what is left out means all days."""
    same = all(before.get(name) == after[name] for name in ("begin", "end", "timezone"))
    every_day = len(before.get("days") or _DAYS) == len(_DAYS) and "days" not in after
    return before if same and (every_day or list(before.get("days") or ()) == after.get("days")) else after


def _clock(told: str | None) -> time | None:
    return time.fromisoformat(told) if told else None


def _moment(label: str, at: float | None, told: str | None = None) -> float | None:
    """Draw a moment to choose; one that is left as it is stays exact."""
    zone = viewer_zone()
    shown = None if at is None else datetime.fromtimestamp(at, zone).replace(tzinfo=None, second=0, microsecond=0)
    picked = st.datetime_input(label, shown, step=_STEP, help=told, width=210)
    if picked is None or picked == shown:
        return at if picked is not None else None
    return picked.replace(tzinfo=zone).timestamp()


def _write_limits(chosen: Choices | None) -> Choices | None:
    if chosen is None:
        return None
    with st.container(horizontal=True):
        backlog = st.number_input(
            "Wait while more than so many wait at the target", 1, value=chosen.max_target_backlog, step=1,
            placeholder="no limit",
        )  # fmt: skip
        wait = st.number_input(
            "Seconds to see whether the canary comes back", 1.0, _LONGEST_CANARY_SECONDS, chosen.canary_wait_seconds,
            placeholder="5", disabled=not chosen.canary,
        )  # fmt: skip
    return replace(chosen, max_target_backlog=backlog, canary_wait_seconds=wait)


def _write_edits(chosen: Choices | None) -> Choices | None:
    """Draw the target and the edits; these are for those who may see what they edit."""
    if chosen is None:
        return None
    target = st.text_input("Another target", chosen.target or "", placeholder="where they came from")
    chosen = replace(chosen, target=target.strip() or None)
    known = about()
    if known is None or not known["bodies"]:
        return chosen
    given = st.text_area("Headers to set, one a line", write_headers(chosen.set_headers), height=80,
                         placeholder="tenant: acme")  # fmt: skip
    removed = st.text_input("Headers to remove, separated by commas", ", ".join(chosen.remove_headers))
    text = st.text_area(
        "Change bodies on the way, as a JSON Patch (RFC 6902)",
        json.dumps(list(chosen.patch)) if chosen.patch else "",
        placeholder='[{"op": "replace", "path": "/status", "value": "new"}]',
        help="The samples below then show each before and after.",
        height=80,
    )
    headers, patch = read_headers(given), _read_patch(text)
    if headers is None:
        st.error("A header is a name, a colon and a value, one a line.")
    if headers is None or patch is None:
        return None
    names = tuple(name.strip() for name in removed.split(",") if name.strip())
    return replace(chosen, patch=patch, set_headers=headers, remove_headers=names)


def _read_patch(text: str) -> tuple[Mapping[str, Any], ...] | None:
    """Return the operations of a patch; None, and why on the page, when it is none."""
    try:
        found = json.loads(text) if text.strip() else []
    except ValueError as error:
        st.error(f"The patch is no JSON: {as_text(str(error))}")
        return None
    if not isinstance(found, list) or not all(isinstance(it, dict) for it in found):
        st.error("The patch is no list of operations.")
        return None
    return tuple(found)
