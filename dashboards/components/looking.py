"""Looking into one dead-letter queue: causes, messages by the page, one message, search.

Where looking harms that is said first, and nothing is looked at before somebody has agreed. What was looked at is kept
for the session: a redraw looks at nothing again, since even a look can count.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from dashboards.client import PATIENT_SECONDS, connect
from dashboards.components.address import open_page, set_parameters
from dashboards.components.facts import LETTER_COLUMNS
from dashboards.components.groups import (
    make_examples,
    say_advice,
    say_by_catalog,
    say_cause,
    say_kind,
    say_looked_at,
    say_seen,
    say_share,
    say_surroundings,
    select_text,
)
from dashboards.components.letter import draw_letter
from dashboards.components.message import letter_row, without_empty
from dashboards.components.plan import Choices
from dashboards.components.planning import PLAN_FIRST, open_plan
from dashboards.components.states import failures_told, say_empty
from dashboards.components.text import as_text
from dashboards.components.times import now, say_moment, viewer_zone
from monitor.api.items import DeadLetterItem
from monitor.api.redrive_items import LetterGroup, LetterGroups, LetterItem, LetterPage
from monitor.errors import MonitorRefused
from monitor.words import say_count

PER_PAGE = 50
_SEARCHED_PER_CALL = 500
_SEARCH_SECONDS = 4.0
_MOST_GROUPS = 6
_MOST_CHOSEN = 1_000
_MOST_PAGES = 6
_LOOKED = "looked at"


@dataclass
class Looked:
    """What this session has seen of one queue. `warning` is what looking changes, `agreed` that this was accepted."""

    queue: str
    at: float
    warning: str | None
    agreed: bool
    groups: LetterGroups | None = None
    pages: dict[tuple[str | None, ...], LetterPage] = field(default_factory=dict)
    trail: list[str | None] = field(default_factory=list)
    ticked: bool = False

    def keep(self, key: tuple[str | None, ...], found: LetterPage) -> None:
        """Keep a page, and of the others the last few: bodies are large."""
        self.pages[key] = found
        while len(self.pages) > _MOST_PAGES:
            del self.pages[next(iter(self.pages))]


def draw_looking(item: DeadLetterItem, *, acts: bool) -> None:
    """Draw what can be seen of the messages, or why they cannot be looked at; `acts` says that one may redrive."""
    try:
        looked = _looked(item["id"])
    except MonitorRefused as refusal:
        st.error(f"Looking is refused here: {as_text(str(refusal))}", icon=":material/block:")
        st.caption("The messages can be redriven without being looked at.")
        return
    if not looked.agreed:
        _ask_first(looked)
        return
    if looked.warning:
        st.warning(as_text(looked.warning), icon=":material/warning:")
    _draw_groups(item, looked, acts=acts)
    _draw_messages(item, looked, acts=acts)


def _looked(queue: str) -> Looked:
    """Return what this session knows of the queue; at first only what looking would change. Raises ClientErrors."""
    known: Looked | None = st.session_state.get(_LOOKED)
    if known is None or known.queue != queue:
        warning = connect(PATIENT_SECONDS).letters(queue, limit=0)["warning"]
        known = Looked(queue, now(), warning, agreed=not warning)
        st.session_state[_LOOKED] = known
    return known


def _ask_first(looked: Looked) -> None:
    st.warning(as_text(looked.warning or ""), icon=":material/warning:")
    if st.button("Look at the messages", icon=":material/visibility:", type="primary"):
        looked.agreed = True
        st.rerun()
    st.caption("Nothing has been looked at yet. A redrive can be planned without looking.")


def _look_again() -> None:
    looked: Looked = st.session_state[_LOOKED]
    looked.groups, looked.at = None, now()
    looked.pages.clear()


# -- causes ------------------------------------------------------------------------------------------------------------


def _draw_groups(item: DeadLetterItem, looked: Looked, *, acts: bool) -> None:
    st.subheader("Why they died")
    # Who has gone on to some of the messages wants to have these in sight.
    place = st.expander("All causes") if _is_narrowed() else st.container()
    with place, failures_told():
        if looked.groups is None:
            with st.spinner("Looking at the messages"):
                looked.groups = connect(PATIENT_SECONDS).letter_groups(item["id"])
        _draw_causes(item, looked.groups, looked.at, acts=acts)


def _draw_causes(item: DeadLetterItem, groups: LetterGroups, at: float, *, acts: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        looked = f"{say_looked_at(groups, item['messages'])} Looked at {say_moment(at, now(), viewer_zone())}."
        st.caption(looked, width="content")
        st.button("Look again", icon=":material/refresh:", type="tertiary", on_click=_look_again)
    if not groups["items"]:
        say_empty("Nothing waits here.")
    for group in groups["items"][:_MOST_GROUPS]:
        _draw_cause(item, group, groups, acts=acts)
    rest = groups["items"][_MOST_GROUPS:]
    if rest:
        with st.expander("One more cause" if len(rest) == 1 else f"{len(rest)} more causes"):
            for group in rest[: 4 * _MOST_GROUPS]:
                _draw_cause(item, group, groups, acts=acts)


def _draw_cause(item: DeadLetterItem, group: LetterGroup, groups: LetterGroups, *, acts: bool) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        with st.container(gap=None, width="stretch", key=f"text-cause-{group['id']}"):
            kind = say_kind(group)
            st.markdown(f"**{as_text(say_cause(group))}**" + (f" :gray-badge[{as_text(kind)}]" if kind else ""))
            origins = f" · from {as_text(', '.join(group['origins']))}" if group["origins"] else ""
            st.caption(f"{say_share(group, groups)} · {say_seen(group, now(), viewer_zone())}{origins}")
            involved = say_surroundings(group)
            if involved:
                st.caption(as_text(involved, 800))
            by_catalog = say_by_catalog(group)
            if by_catalog:
                st.caption(as_text(by_catalog, 1_000))
            st.markdown(f":small[{as_text(say_advice(group['advice']), 500)}]")
        with st.container(horizontal=True, width="content", vertical_alignment="center"):
            st.button(
                "Messages", key=f"messages of {group['id']}", icon=":material/list:",
                on_click=_show_only, kwargs={"group": group["id"]},
            )  # fmt: skip
            if acts:
                _redrive_button("Redrive these", f"redrive {group['id']}", item, group=group["id"])
            held = group.get("schema")
            if acts and held and held["patch"]:
                _patch_button(item, group["id"], held["patch"])
            if acts and group["advice"]["action"] == "archive":
                _aside_button(f"aside {group['id']}", item, group=group["id"])


def _redrive_button(label: str, key: str, item: DeadLetterItem, **selection: Any) -> None:
    if st.button(label, key=key, icon=":material/replay:", help=PLAN_FIRST):
        open_plan(Choices(item["id"], **selection))


def _patch_button(item: DeadLetterItem, group: str, patch: list[dict[str, Any]]) -> None:
    told = f"Make a plan that changes each on its way: {as_text(json.dumps(patch, ensure_ascii=False), 600)}"
    if st.button("Redrive with the patch", key=f"patch {group}", icon=":material/transform:", help=told):
        with failures_told():
            open_plan(Choices(item["id"], group=group, patch=tuple(patch)))


def _aside_button(key: str, item: DeadLetterItem, **selection: Any) -> None:
    told = "Archive them with a reason; they can be restored."
    if st.button("Set aside", key=key, icon=":material/archive:", help=told):
        open_page("redrive", dead_letters=item["id"], action="archive", **selection)


# -- messages ----------------------------------------------------------------------------------------------------------


def _draw_messages(item: DeadLetterItem, looked: Looked, *, acts: bool) -> None:
    st.subheader("Messages")
    # The examples are made of what is found, and stand above it.
    search, below = st.container(), st.container()
    with below, failures_told():
        found = _page_of(item["id"], looked)
        chosen = _draw_table(item, found)
        _draw_paging(found)
        _draw_chosen(item, found, chosen, acts=acts)
    with search:
        _draw_search(looked)


def _draw_search(looked: Looked) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _draw_input(looked, "find", "Find text", "in body, key or cause", ":material/search:")
        with st.popover("Filter by an expression", icon=":material/filter_alt:"):
            _draw_expression(looked)
    select, group = st.query_params.get("select"), st.query_params.get("group")
    groups = looked.groups["items"] if looked.groups else []
    told = select or next((say_cause(it) for it in groups if it["id"] == group), group)
    if told:
        st.button(f"Only: {as_text(told)}", icon=":material/close:", help="Take this filter away", on_click=_show_only)


def _draw_input(looked: Looked, name: str, label: str, placeholder: str, icon: str | None = None) -> None:
    key = f"{name} {looked.queue}"
    # Set by hand, since examples and other filters change what stands in the field.
    st.session_state.setdefault(key, st.query_params.get(name, ""))
    st.text_input(label, key=key, placeholder=placeholder, icon=icon, on_change=_typed, args=(name, looked.queue))


def _draw_expression(looked: Looked) -> None:
    _draw_input(looked, "select", "JMESPath over one message", "body.amount > `100`")
    st.caption(
        "It sees `key`, `headers`, `body`, `text`, `partition`, `offset`, `position`, `timestamp`, `age_seconds`, "
        "`attempts`, `deliveries`, `exception`, `exception_message`, `origin` and `properties`. Examples that fit what "
        "lies here:"
    )
    items = [it for found in looked.pages.values() for it in found["items"]]
    for number, example in enumerate(make_examples(items)):
        st.button(
            as_text(example.label), key=f"example {number}", help=as_text(example.expression), type="tertiary",
            on_click=_show_only, kwargs={"select": example.expression},
        )  # fmt: skip


def _typed(name: str, queue: str) -> None:
    _show_only(**{name: st.session_state[f"{name} {queue}"]})


def _show_only(find: str | None = None, select: str | None = None, group: str | None = None) -> None:
    """Narrow the table; one filter replaces another."""
    looked: Looked = st.session_state[_LOOKED]
    looked.trail.clear()
    for name, value in (("find", find), ("select", select)):
        st.session_state[f"{name} {looked.queue}"] = value or ""
    set_parameters(find=find, select=select, group=group, cursor=None, message=None)


def _page_of(queue: str, looked: Looked) -> LetterPage:
    """Return the page that the address asks for; a search goes on until it has a page full, or for some seconds."""
    wanted = st.query_params.get("find")
    select = st.query_params.get("select") or (select_text(wanted) if wanted else None)
    cursor, group = st.query_params.get("cursor"), st.query_params.get("group")
    key = (cursor, select, group)
    if key not in looked.pages:
        narrowed = bool(select or group)
        limit = _SEARCHED_PER_CALL if narrowed else PER_PAGE
        client = connect(PATIENT_SECONDS)

        def ask(place: str | None) -> LetterPage:
            return client.letters(queue, limit=limit, cursor=place, select=select, group=group)

        began = now()
        # Where looking counts, a search looks at one page for each click.
        over = (lambda: True) if looked.warning or not narrowed else (lambda: now() - began > _SEARCH_SECONDS)
        with st.spinner("Looking at the messages"):
            looked.keep(key, gather(ask, cursor, wanted=PER_PAGE, is_over=over))
    return looked.pages[key]


def gather(
    ask: Callable[[str | None], LetterPage], cursor: str | None, *, wanted: int, is_over: Callable[[], bool]
) -> LetterPage:
    """Ask page after page until there are as many messages as wanted, no more pages, or it is over."""
    items: list[LetterItem] = []
    while True:
        found = ask(cursor)
        items += found["items"]
        cursor = found["next"]
        if cursor is None or len(items) >= wanted or is_over():
            return {"items": items, "next": cursor, "warning": found["warning"]}


def _draw_table(item: DeadLetterItem, found: LetterPage) -> list[LetterItem]:
    """Draw the table; return the messages that are ticked."""
    if not found["items"]:
        more = "None so far; there are more to search." if found["next"] else "No message fits."
        say_empty(more if st.query_params.get("cursor") or _is_narrowed() else "Nothing waits here.")
        return []
    moment, zone = now(), viewer_zone()
    rows = without_empty([letter_row(it, moment, zone) for it in found["items"]])
    st.caption("Tick a message to see it; tick several to redrive just these.")
    state = st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        placeholder="–",
        column_config=LETTER_COLUMNS,
        on_select="rerun",
        selection_mode="multi-row",
        key=f"letters {item['id']} {st.query_params.get('cursor')} {_is_narrowed()}",
        alt="Messages of this page",
    )
    return [found["items"][row] for row in state["selection"]["rows"] if row < len(found["items"])]


def _is_narrowed() -> str:
    return "".join(st.query_params.get(name) or "" for name in ("find", "select", "group"))


def _draw_paging(found: LetterPage) -> None:
    looked: Looked = st.session_state[_LOOKED]
    here = st.query_params.get("cursor")
    if not here and not found["next"]:
        return
    with st.container(horizontal=True):
        if here and st.button("Previous page", icon=":material/arrow_back:"):
            set_parameters(cursor=looked.trail.pop() if looked.trail else None, message=None)
            st.rerun()
        label = "Search on" if _is_narrowed() else "Next page"
        if found["next"] and st.button(label, icon=":material/arrow_forward:"):
            looked.trail.append(here)
            set_parameters(cursor=found["next"], message=None)
            st.rerun()


def _draw_chosen(item: DeadLetterItem, found: LetterPage, chosen: list[LetterItem], *, acts: bool) -> None:
    if acts:
        _draw_acts(item, chosen)
    looked: Looked = st.session_state[_LOOKED]
    if chosen:
        looked.ticked = True
        set_parameters(message=chosen[0]["position"])
        draw_letter(chosen[0])
        return
    if looked.ticked:  # the tick was taken away
        looked.ticked = False
        set_parameters(message=None)
    position = st.query_params.get("message")
    if position:
        one = next((it for it in found["items"] if it["position"] == position), None) or _find(item["id"], position)
        if one is None:
            say_empty(f"Message {as_text(position)} is not here any more, or lies further back in the queue.")
        else:
            draw_letter(one)


def _find(queue: str, position: str) -> LetterItem | None:
    """Return a message by its position, where the bus lets one begin to read there."""
    looked: Looked = st.session_state[_LOOKED]
    key = ("message", position)
    if key not in looked.pages:
        try:
            looked.keep(key, connect(PATIENT_SECONDS).letters(queue, limit=1, cursor=position))
        except MonitorRefused:
            return None
    return next((it for it in looked.pages[key]["items"] if it["position"] == position), None)


def _draw_acts(item: DeadLetterItem, chosen: list[LetterItem]) -> None:
    with st.container(horizontal=True):
        if chosen:
            label = "Redrive this one" if len(chosen) == 1 else f"Redrive these {say_count(len(chosen))}"
            positions = tuple(it["position"] for it in chosen[:_MOST_CHOSEN])
            _redrive_button(label, "redrive chosen", item, positions=positions)
            _aside_button("aside chosen", item, position=positions)
        elif _is_narrowed() and not st.query_params.get("group"):
            found = st.query_params.get("find")
            select = st.query_params.get("select") or (select_text(found) if found else "")
            _redrive_button("Redrive all that fit", "redrive fitting", item, select=select)
