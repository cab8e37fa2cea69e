"""A plan on the page: what it says, the choices one has, and the click that starts it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

import streamlit as st

from dashboards.client import PATIENT_SECONDS, connect
from dashboards.components.address import given, page
from dashboards.components.facts import LETTER_COLUMNS, draw_facts
from dashboards.components.message import Body, header_rows, in_cell, letter_row, read_body, without_empty
from dashboards.components.options import draw_choices, note_of
from dashboards.components.plan import (
    Choices,
    address_of,
    advised_against,
    choices_of_plan,
    fits_an_address,
    idempotency_key,
    may_start,
    plan_facts,
    say_guarantee,
    title_of,
)
from dashboards.components.text import as_text
from dashboards.components.times import now, viewer_zone
from monitor.api.redrive_items import PlanItem, SampleItem
from monitor.errors import ClientError, MonitorRefused, MonitorUnreachable
from monitor.words import say_duration

_SAMPLES = "samples of plans"
_MOST_SAMPLED_PLANS = 10
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
    Raises ClientErrors for choices that no address can say: without them a plan must not be made.
    """
    try:
        plan = make_plan(choices)
    except ClientError:
        if not fits_an_address(choices):
            raise
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
    wanted = draw_choices(plan)
    if wanted != choices_of_plan(plan):
        _plan_again(wanted)
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
        key = idempotency_key(plan["id"])
        job = connect(PATIENT_SECONDS).start_redrive(plan["id"], plan["hash"], key, note_of(plan))
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
