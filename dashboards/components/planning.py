"""A plan on the page: what it says, the choices one has, and the click that starts it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

import streamlit as st

from dashboards.client import PATIENT_SECONDS, about, connect
from dashboards.components.address import given, page
from dashboards.components.facts import LETTER_COLUMNS, draw_facts
from dashboards.components.message import Body, header_rows, in_cell, letter_row, read_body, without_empty
from dashboards.components.plan import (
    CANARY_CHOICES,
    FIRST_CHOICES,
    RATE_CHOICES,
    Choices,
    address_of,
    advised_against,
    choices_of_plan,
    idempotency_key,
    may_start,
    plan_facts,
    say_guarantee,
    say_pace,
    title_of,
)
from dashboards.components.text import as_text
from dashboards.components.times import now, viewer_zone
from monitor.api.redrive_items import PlanItem, SampleItem
from monitor.errors import ClientError, MonitorRefused, MonitorUnreachable
from monitor.words import say_count, say_duration

T = TypeVar("T")

_SAMPLES = "samples of plans"
_MOST_SAMPLED_PLANS = 10
_HOUR, _DAY = 3600.0, 86400.0
_AGES: Mapping[str, tuple[float | None, float | None]] = {
    "any age": (None, None),
    "younger than an hour": (None, _HOUR),
    "younger than a day": (None, _DAY),
    "older than an hour": (_HOUR, None),
    "older than a day": (_DAY, None),
}
_NIGHT = {"begin": "22:00", "end": "05:00"}
_REASONS = ("cannot be mended", "mended by hand", "test data", "no longer needed")


PLAN_FIRST = "Shows the plan first; nothing is touched before you start it."


def make_plan(choices: Choices) -> PlanItem:
    """Have a plan made. Raises ClientErrors."""
    with st.spinner("Making the plan; nothing is touched"):
        plan = connect(PATIENT_SECONDS).plan_redrive(choices.dead_letters, **choices.options())
    # The monitor does not keep the samples, since bodies are not to lie in its database.
    samples: dict[str, list[SampleItem]] = st.session_state.setdefault(_SAMPLES, {})
    samples[plan["id"]] = plan["samples"]
    while len(samples) > _MOST_SAMPLED_PLANS:
        del samples[next(iter(samples))]
    return plan


def open_plan(choices: Choices) -> NoReturn:
    """Make a plan and go to it; where none can be made, go to where that is said.

    It is made before one leaves, so that the way back leads here and not to an address that makes another plan.
    """
    try:
        plan = make_plan(choices)
    except ClientError:
        st.switch_page(page("redrive"), query_params=given(address_of(choices)))
    st.switch_page(page("redrive"), query_params={"plan": plan["id"]})


def ask_reason(choices: Choices) -> None:
    """Ask why messages are to be set aside; without a reason no plan is made."""
    st.subheader("Why are they set aside?")
    st.caption("The reason is kept with them, and in the audit log. They can be restored later.")
    chosen = st.pills("Usual reasons", _REASONS, key="usual reasons")
    written = st.text_input("Or in your own words", key="own reason", max_chars=500)
    reason = written.strip() or chosen
    if st.button("Make the plan", type="primary", disabled=not reason):
        open_plan(replace(choices, reason=reason or ""))


def draw_plan(plan: PlanItem) -> None:
    """Draw a plan with everything that one must know before the second click, and that click."""
    st.header(as_text(title_of(plan)), anchor=False)
    for blocker in plan["blockers"]:
        st.error(f"It cannot be started: {as_text(blocker, 1_000)}", icon=":material/block:")
    st.info(as_text(say_guarantee(plan), 1_000), icon=":material/verified_user:")
    if plan["also_receives"]:
        _draw_others(plan["also_receives"])
    warnings = [*advised_against(plan), *plan["warnings"]]
    if warnings:
        st.warning("\n".join(f"- {as_text(it, 1_000)}" for it in warnings))
    _draw_start(plan)
    _draw_choices(plan)
    st.subheader("In detail")
    draw_facts(plan_facts(plan))
    _draw_samples(st.session_state.get(_SAMPLES, {}).get(plan["id"], []))


def _draw_others(names: Sequence[str]) -> None:
    shown = ", ".join(as_text(in_cell(it, 80)) for it in names[:10])
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    st.warning(f"**Everybody who reads the target gets them again:** {shown}{more}", icon=":material/group:")


def _draw_start(plan: PlanItem) -> None:
    left = plan["expires_at"] - now()
    ready = may_start(plan, now())
    with st.container(horizontal=True, vertical_alignment="center"):
        label = {"archive": "Set them aside", "restore": "Put them back"}.get(plan["action"], "Start the redrive")
        if plan["approval"]:
            label = "Ask for approval"
        clicked = st.button(
            label, key=f"start {plan['id']}", type="primary", icon=":material/play_arrow:", disabled=not ready
        )
        if st.button("Plan anew", icon=":material/refresh:", key=f"anew {plan['id']}"):
            _plan_again(choices_of_plan(plan))
        if left > 0:
            st.caption(f"Nothing has been touched. The plan holds for {say_duration(left)}.", width="content")
        else:
            st.caption("The plan has expired: plan anew.", width="content")
    if clicked:
        _start(plan)


def _start(plan: PlanItem) -> None:
    try:
        job = connect(PATIENT_SECONDS).start_redrive(plan["id"], plan["hash"], idempotency_key(plan["id"]))
    except MonitorUnreachable as away:
        st.error(
            f"It is not known whether the job was started: {as_text(str(away))}. Click again: the same plan is the "
            "same job, however often it is started."
        )
    except MonitorRefused as refusal:
        st.error(f"Not started: {as_text(str(refusal), 1_000)}", icon=":material/block:")
    else:
        st.query_params.from_dict({"job": job["id"]})
        st.rerun()


def _plan_again(choices: Choices) -> None:
    try:
        plan = make_plan(choices)
    except MonitorRefused as refusal:
        st.error(as_text(str(refusal), 1_000), icon=":material/block:")
    else:
        st.query_params.from_dict({"plan": plan["id"]})
        st.rerun()


# -- choices -----------------------------------------------------------------------------------------------------------


def _draw_choices(plan: PlanItem) -> None:
    """Draw what can be chosen. Every choice makes a new plan, since a plan says what it was made for."""
    chosen = choices_of_plan(plan)
    with st.container(border=True):
        wanted = _choose_how_many(chosen, plan["id"])
        if plan["action"] == "redrive":
            wanted = _choose_pace(wanted, plan["id"])
        with st.expander("More choices"):
            wanted = _choose_more(wanted, plan)
    if wanted != chosen:
        _plan_again(wanted)


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
    id_ = plan["id"]
    wanted = chosen
    if plan["action"] == "redrive":
        told = f"Only between {_NIGHT['begin']} and {_NIGHT['end']}"
        night = st.toggle(told, chosen.window is not None, key=f"night {id_}", help="In your time zone.")
        window = chosen.window or {**_NIGHT, "timezone": str(viewer_zone())}
        strip_label = "Remove what frameworks wrote about the failure"
        strip = st.toggle(strip_label, chosen.strip_failure_headers, key=f"strip {id_}")
        wanted = replace(wanted, window=window if night else None, strip_failure_headers=strip)
        if plan["system"] == "sqs":
            native = st.toggle("Let AWS move everything by itself", chosen.native, key=f"native {id_}",
                               help="At most 500 a second, no proof for each message, no selection.")  # fmt: skip
            wanted = replace(wanted, native=native)
        known = about()
        if known is not None and known["bodies"]:  # edits are for those who may see what they edit
            wanted = _choose_edits(wanted, id_)
    if plan["guarantee"] == "at_least_once":
        doubts = {"send again": "send", "keep in the queue": "hold"}
        doubt = _pick("What may have been sent before an interruption", doubts, chosen.on_ambiguous, f"doubt {id_}",
                      say=str)  # fmt: skip
        wanted = replace(wanted, on_ambiguous=doubt)
    if (wanted.select or wanted.positions or wanted.group) and st.button("Take everything", key=f"everything {id_}"):
        wanted = replace(wanted, select=None, positions=(), group=None)
    return wanted


def _choose_edits(chosen: Choices, plan: str) -> Choices:
    """Draw the target and the edits; both are written, and taken over with a click."""
    with st.form(f"edits {plan}", border=False):
        target = st.text_input("Another target", chosen.target or "", placeholder="where they came from")
        text = st.text_area(
            "Change bodies on the way, as a JSON Patch (RFC 6902)",
            json.dumps(list(chosen.patch)) if chosen.patch else "",
            placeholder='[{"op": "replace", "path": "/status", "value": "new"}]',
            height=80,
        )
        removed = st.text_input("Headers to remove, separated by commas", ", ".join(chosen.remove_headers))
        if not st.form_submit_button("Take over"):
            return chosen
    patch = _read_patch(text)
    if patch is None:
        return chosen
    names = tuple(name.strip() for name in removed.split(",") if name.strip())
    return replace(chosen, target=target.strip() or None, patch=patch, remove_headers=names)


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


# -- samples -----------------------------------------------------------------------------------------------------------


def _draw_samples(samples: Sequence[SampleItem]) -> None:
    if not samples:
        return
    st.subheader("Samples")
    moment, zone = now(), viewer_zone()
    st.dataframe(
        without_empty([letter_row(it, moment, zone) for it in samples]), hide_index=True, width="stretch",
        placeholder="–", column_config=LETTER_COLUMNS,
        alt="Some of the messages that the plan takes",
    )  # fmt: skip
    for sample in samples:
        if sample["skipped"]:
            st.warning(f"{as_text(sample['position'])} would be skipped: {as_text(sample['skipped'])}")
        elif sample["after"]:
            _draw_change(sample)


def _draw_change(sample: SampleItem) -> None:
    changed: SampleItem = {**sample, **(sample["after"] or {})}  # type: ignore[typeddict-item]
    with st.expander(f"What changes in {as_text(sample['position'])}", expanded=True):
        for column, word, item in zip(st.columns(2), ("Before", "After"), (sample, changed), strict=True):
            with column:
                st.markdown(f"**{word}**")
                _draw_body(read_body(item))
                st.dataframe(header_rows(item), hide_index=True, width="stretch", alt=f"Headers {word.lower()}")


def _draw_body(body: Body) -> None:
    if body.text:
        st.code(body.text, language=body.language, wrap_lines=True)
    elif body.note:
        st.caption(as_text(body.note))
