"""Subscriptions: every consumer on every bus in one table, or one of them in depth."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import streamlit as st

from dashboards.client import connect, may
from dashboards.components.address import link, open_page, read_parameters
from dashboards.components.filters import chosen_page, draw_choice, draw_search
from dashboards.components.head import draw_head
from dashboards.components.muting import ask_why_muted, change_mute
from dashboards.components.problems import place_of, say_subject
from dashboards.components.rows import say_drain
from dashboards.components.states import REFRESH_SECONDS, failures_told, page_told, read, say_empty
from dashboards.components.status import STATUSES, look_of
from dashboards.components.subscription import draw_subscription
from dashboards.components.text import visible
from dashboards.components.times import now
from monitor.api.items import Page, SubscriptionItem
from monitor.errors import MonitorUnreachable
from monitor.model import System, encode_id
from monitor.words import say_age, say_count, say_rate

_PAGE_ROWS = 50
_CURVE_SECONDS = 3600.0
_CURVE_STEP = 120.0
_CURVES_KEPT_SECONDS = 60.0
_MOST_CURVES = 4 * _PAGE_ROWS
_CURVES = "curves of subscriptions"
_SYSTEMS = [system.value for system in System]
_SORTS = {
    "worst first": None,
    "furthest behind": "-oldest_age_seconds",
    "most waiting": "-backlog_messages",
    "most coming in": "-published_per_second",
    "most going out": "-consumed_per_second",
    "longest to drain": "-drain_seconds",
    "least budget": "objective_budget_left_ratio",
    "newest status": "-status_since",
    "name": "subscriber",
    "owner": "owner",
}
_OPENED, _MUTING = "open subscription", "mute subscription"
_SHOWN = "subscriptions shown"


def show() -> None:
    """Draw the table, or the subscription that the address names."""
    named = read_parameters(("cluster", "destination", "subscriber", "system"))
    if "destination" in named and "subscriber" in named and "cluster" in named:
        draw_head("Subscription")
        link("subscriptions", "All subscriptions", icon=":material/arrow_back:")
        draw_subscription(id_of(named))
        return
    draw_head("Subscriptions")
    ask_why_muted()
    query = _draw_filters()
    _draw_table(query)


def id_of(named: Mapping[str, str]) -> str:
    """Return the id of the subscription that the address names, see `monitor.model.encode_id`."""
    cluster, destination, subscriber = named["cluster"], named["destination"], named["subscriber"]
    if named.get("system") == "kafka" or ("system" not in named and destination != subscriber):
        return encode_id(cluster, subscriber, destination)
    return encode_id(cluster, destination)


def _draw_filters() -> dict[str, Any]:
    """Draw what to choose by, and return it as the parameters of the API; it stands in the address too."""
    with page_told():
        summary = read("summary", connect().summary, REFRESH_SECONDS)
        clusters, owners = [it["cluster"] for it in summary["clusters"]], summary["owners"]
        with st.container(horizontal=True, vertical_alignment="bottom"):
            q = draw_search("name, owner, status")
            status = draw_choice("Status", list(STATUSES), "status", 200)
            system = draw_choice("Bus", _SYSTEMS, "bus")
            cluster = draw_choice("Cluster", clusters, "within")
            owner = draw_choice("Owner", owners, "owner")
            sort = st.selectbox("Order", list(_SORTS), key="sort", bind="query-params", width=160)
        return {
            "q": q,
            "status": status,
            "system": system,
            "cluster": cluster,
            "owner": owner,
            "sort": _SORTS.get(sort or ""),
        }
    return {}


@st.fragment(run_every=REFRESH_SECONDS)
def _draw_table(query: Mapping[str, Any]) -> None:
    with failures_told():
        number = chosen_page()
        page = _ask(query, number)
        pages = max(1, -(-page["total"] // _PAGE_ROWS))
        if number > pages:
            page = _ask(query, number := pages)
        st.caption(_say_count(page, number))
        if not page["items"]:
            _say_none(query)
        else:
            _draw_rows(page["items"])
        if pages > 1:
            st.pagination(pages, key="page", bind="query-params")


def _ask(query: Mapping[str, Any], number: int) -> Page[SubscriptionItem]:
    asked = {**query, "limit": _PAGE_ROWS, "offset": (number - 1) * _PAGE_ROWS}
    return read(("subscriptions", repr(asked)), lambda: connect().subscriptions(**asked))


def _say_count(page: Page[SubscriptionItem], number: int) -> str:
    first = (number - 1) * _PAGE_ROWS + 1
    if len(page["items"]) == page["total"]:
        return f"{say_count(page['total'])} subscriptions"
    return (
        f"{say_count(first)} to {say_count(first + len(page['items']) - 1)} of {say_count(page['total'])} subscriptions"
    )


def _say_none(query: Mapping[str, Any]) -> None:
    if any(value for name, value in query.items() if name != "sort"):
        say_empty("Nothing fits these filters.", "Take one of them away, or search for a shorter part of the name.")
    else:
        say_empty(
            "No subscription has been seen yet.",
            "No consumer group has committed anything, and there is no queue. The page Monitor says what is read.",
        )


def _draw_rows(items: Sequence[SubscriptionItem]) -> None:
    # A click names a row of the table that was seen, which this redraw may put elsewhere.
    before: Sequence[SubscriptionItem] = st.session_state.get(_SHOWN, ())
    if (row := _clicked(_OPENED, before)) is not None:
        open_page("subscriptions", **place_of(row))
    if (row := _clicked(_MUTING, before)) is not None:
        change_mute(row)
    st.session_state[_SHOWN] = items
    curves, acts = _read_curves(items), may("operator")
    st.dataframe(
        [subscription_row(it, curves.get(it["id"]), acts=acts) for it in items],
        hide_index=True,
        placeholder="–",
        height="content",
        key="subscriptions table",
        column_config={
            "Subscription": st.column_config.ButtonColumn(type="tertiary", key=_OPENED, alignment="left", pinned=True),
            "Alerts": st.column_config.ButtonColumn(type="tertiary", key=_MUTING, help="A mute asks for a reason."),
            "Waiting": st.column_config.NumberColumn(format="localized"),
            "Last hour": st.column_config.AreaChartColumn(help="messages that waited", y_min=0, width="small"),
        },
        alt="subscriptions",
    )


def _clicked(column: str, rows: Sequence[SubscriptionItem]) -> SubscriptionItem | None:
    clicked = st.session_state.get(column)
    return rows[clicked["row"]] if clicked is not None and clicked["row"] < len(rows) else None


def _read_curves(items: Sequence[SubscriptionItem]) -> dict[str, list[Any]]:
    """Return the curves by id. Only those that are not known yet are asked for: rows change their places often."""
    known: dict[str, tuple[float, list[Any]]] = st.session_state.setdefault(_CURVES, {})
    end = now()
    wanted = [it["id"] for it in items if end - known.get(it["id"], (0.0, []))[0] > _CURVES_KEPT_SECONDS]
    if wanted:
        subjects = [f"subscription:{id_}" for id_ in wanted]
        # While the monitor is away the old ones stay; that they are old is said above the table.
        with suppress(MonitorUnreachable):
            answer = connect().curves(subjects, ["messages"], end - _CURVE_SECONDS, end, _CURVE_STEP)
            asked = {it["subject"].partition(":")[2]: (end, it["values"]["messages"]) for it in answer["curves"]}
            for id_ in asked:
                known.pop(id_, None)  # so that the oldest stand first
            known.update(asked)
    while len(known) > _MOST_CURVES:
        del known[next(iter(known))]
    return {id_: curve for id_, (_, curve) in known.items()}


def subscription_row(item: SubscriptionItem, curve: Sequence[Any] | None, *, acts: bool) -> dict[str, Any]:
    """Return one subscription as the columns of the table; `acts` says that one may mute."""
    muted = f"muted: {visible(item['muted_reason'] or '')}; " if item["muted_until"] else ""
    return {
        "Subscription": visible(say_subject(item), 120),
        "Status": str(look_of(item["status"])) + (" (muted)" if item["muted_until"] else ""),
        "Behind": say_age(item["oldest_age_seconds"], item["age_method"]),
        "Waiting": item["backlog_messages"],
        "Last hour": None if curve is None else [value for value in curve if value is not None],
        "In": say_rate(item["published_per_second"]),
        "Out": say_rate(item["consumed_per_second"]),
        "Drains in": say_drain(item),
        "Consumers": item["consumers"],
        **({"Alerts": "Unmute" if item["muted_until"] else "Mute"} if acts else {}),
        "Owner": visible(item["owner"] or ""),
        "Cluster": visible(f"{item['cluster']} ({item['system']})"),
        "Why": muted + visible(item["status_reason"]),
    }
