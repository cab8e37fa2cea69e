"""The list of dead-letter queues: what waits where, what of it is lost first, and what is wrong with the set-up."""

from collections.abc import Sequence

import streamlit as st

from dashboards.client import connect, may
from dashboards.components.address import link, open_page, set_parameters
from dashboards.components.groups import say_expiry, say_origins
from dashboards.components.message import in_cell
from dashboards.components.plan import Choices
from dashboards.components.planning import PLAN_FIRST, open_plan
from dashboards.components.shelf import draw_all_archives
from dashboards.components.states import REFRESH_SECONDS, failures_told, read, say_empty
from dashboards.components.status import MUTED, say_problem
from dashboards.components.text import as_text
from dashboards.components.times import now
from monitor.api.items import DeadLetterItem, Page
from monitor.words import say_age, say_count

_PER_PAGE = 25
_FILTERS = ("q", "cluster", "system", "problem")
_SYSTEMS = ("kafka", "rabbitmq", "sqs")


def draw_queues() -> None:
    """Draw the filters and, below them, the queues; these renew themselves."""
    _draw_filters()
    _draw_page()
    draw_all_archives(acts=may("operator"))


def _draw_filters() -> None:
    chosen = {name: st.query_params.get(name, "") for name in _FILTERS}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Search", chosen["q"], key="queues q", placeholder="a part of a name", icon=":material/search:",
            on_change=_filter, args=("q",),
        )  # fmt: skip
        systems = [chosen["system"]] if chosen["system"] in _SYSTEMS else []
        st.pills("Bus", _SYSTEMS, default=systems[0] if systems else None, key="queues system", on_change=_filter,
                 args=("system",))  # fmt: skip
    for name in ("cluster", "problem"):
        label = f"{name}: {as_text(chosen[name])}"
        if chosen[name] and st.button(label, icon=":material/close:", help="Take this filter away"):
            set_parameters(**{name: None})
            st.rerun()


def _filter(name: str) -> None:
    set_parameters(**{name: st.session_state[f"queues {name}"], "cursor": None})


@st.fragment(run_every=REFRESH_SECONDS)
def _draw_page() -> None:
    asked = {name: st.query_params.get(name) for name in (*_FILTERS, "cursor")}
    with failures_told():
        page = read(("queues", *asked.values()), lambda: connect().dead_letters(limit=_PER_PAGE, **asked))
        _draw_queues(page, filtered=any(asked.values()))


def _draw_queues(page: Page[DeadLetterItem], *, filtered: bool) -> None:
    items = keep_order(page["items"], st.session_state.setdefault("queues order", []))
    st.session_state["queues order"] = [it["id"] for it in items]
    if not items and filtered:
        say_empty("No dead-letter queue fits these filters.", "Take one away, or search for a shorter part of a name.")
        return
    if not items:
        say_empty(
            "No dead-letter queue has been found.",
            "They are found by the brokers' set-up, by headers and by names such as `orders.dlq`; others can be named "
            "in the configuration under `dead_letters`.",
        )
        return
    full = [it for it in items if it["messages"] or (it["messages"] is None and it["role"] == "dead_letter")]
    acts = may("operator")
    for item in full:
        _draw_card(item, acts=acts)
    if not full:
        st.success("Nothing waits in any dead-letter queue shown here.", icon=":material/check_circle:")
    _draw_empty([it for it in items if it not in full])
    if page["next"] and st.button("Show the next ones", icon=":material/arrow_forward:"):
        set_parameters(cursor=page["next"])
        st.rerun(scope="app")
    if st.query_params.get("cursor") and st.button("Back to the first ones", icon=":material/first_page:"):
        set_parameters(cursor=None)
        st.rerun(scope="app")


def keep_order(items: Sequence[DeadLetterItem], known: Sequence[str]) -> list[DeadLetterItem]:
    """Return items in the order in which they stood on the page before, so that nothing jumps under the pointer.

    What was not there comes where the API has put it, after its neighbour. Where most is new it is another list.
    """
    places = {id_: place for place, id_ in enumerate(known)}
    if sum(it["id"] in places for it in items) * 2 <= len(items):
        return list(items)
    ranked, last = [], -1
    for it in items:
        last = places.get(it["id"], last)
        ranked.append((last, it["id"] not in places, it))
    return [it for _, _, it in sorted(ranked, key=lambda entry: entry[:2])]


def _draw_card(item: DeadLetterItem, *, acts: bool) -> None:
    moment = now()
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        with st.container(gap=None, width="stretch", key=f"text-queue-{item['id']}"):
            where = f":small[{as_text(item['cluster'])} ({item['system']})]"
            st.markdown(f"**{as_text(item['queue'])}** {where} {_badges(item)}")
            st.markdown(say_depth(item, moment))
            st.caption(f"From {as_text(say_origins(item))}")
        with st.container(horizontal=True, width="content", vertical_alignment="center"):
            link("dead-letters", "Look", icon=":material/visibility:", id=item["id"])
            if item["messages"] and acts:
                label, icon = "Redrive", ":material/replay:"
                if st.button(label, key=f"redrive {item['id']}", icon=icon, help=PLAN_FIRST):
                    open_plan(Choices(item["id"]))


def say_depth(item: DeadLetterItem, moment: float) -> str:
    """Say in one line of Markdown how much waits, how old it is and when the first of it is lost."""
    if item["messages"] is None:
        return "It is not known how many wait."
    parts = [f"**{say_count(item['messages'])}** waiting"]
    if item["messages"]:
        parts.append(f"oldest **{say_age(item['oldest_age_seconds'], item['age_method'])}**")
        parts.append(f"first lost **{say_expiry(item, moment)}**")
    if item["arrivals_total"] is not None:
        parts.append(f"{say_count(item['arrivals_total'])} arrived since it is watched")
    return " · ".join(parts)


def _badges(item: DeadLetterItem) -> str:
    problems = [f":orange-badge[▲ {as_text(say_problem(it))}]" for it in item["problems"]]
    muted = [f":gray-badge[{MUTED}]"] if item["muted_until"] else []
    return " ".join([*problems, *muted])


def _draw_empty(items: Sequence[DeadLetterItem]) -> None:
    if not items:
        return
    st.subheader("Nothing waits")
    rows = [
        {
            "Queue": in_cell(it["queue"]),
            "Cluster": in_cell(f"{it['cluster']} ({it['system']})"),
            "Comes from": in_cell(say_origins(it)),
            "Set-up": ", ".join(f"▲ {say_problem(problem)}" for problem in it["problems"]) or "✔",
            "Arrived": it["arrivals_total"],
        }
        for it in items
    ]
    st.caption("Tick a queue to see what was set aside, and its jobs.")
    chosen = st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        placeholder="–",
        on_select="rerun",
        selection_mode="single-row",
        key="empty queues",
        alt="Dead-letter queues that hold nothing",
    )
    for row in chosen["selection"]["rows"]:
        open_page("dead-letters", id=items[row]["id"])


def link_back() -> None:
    """Draw the way back to all queues."""
    link("dead-letters", "All dead-letter queues", icon=":material/arrow_back:")
