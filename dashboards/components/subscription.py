"""One subscription: how it is, its curves, its parts, and what changed when it broke."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from dashboards.client import connect
from dashboards.components.changes import MARKS_SECONDS, last_turn, say_changes, say_marks, say_turn
from dashboards.components.charts import IN_HUE, OUT_HUE, Curve, heat_map, lines, runs_of, strip
from dashboards.components.drawing import draw_chart
from dashboards.components.filters import draw_span
from dashboards.components.muting import draw_mute
from dashboards.components.problems import say_subject
from dashboards.components.rows import say_drain
from dashboards.components.states import (
    REFRESH_SECONDS,
    SLOW_REFRESH_SECONDS,
    failures_told,
    read,
    say_empty,
    say_partly,
)
from dashboards.components.status import look_of
from dashboards.components.text import as_text, visible
from dashboards.components.times import end_of_curves, say_moment, say_since, say_utc
from monitor.api.items import HistoryPoint, MemberItem, SubscriptionDetail
from monitor.words import say_age, say_count, say_duration, say_rate

_KEPT_SECONDS = 60.0
_MEMBERS_KEPT_SECONDS = 15.0
_MOST_HOT = 10
_MOST_MARKS = 3
_MOST_CELLS = 1200


def draw_subscription(id_: str) -> None:
    """Draw everything that is known of a subscription."""
    _draw_now(id_)
    _draw_history(id_, draw_span())
    _draw_members(id_)
    _draw_parts(id_)


@st.fragment(run_every=REFRESH_SECONDS)
def _draw_now(id_: str) -> None:
    with failures_told():
        item = read(("subscription", id_), lambda: connect().subscription(id_))
        look = look_of(item["status"])
        owner = f" · owned by {as_text(item['owner'])}" if item["owner"] else ""
        st.markdown(
            f"{look.badge} **{as_text(say_subject(item), 200)}** · {as_text(item['cluster'])} ({item['system']}){owner}"
        )
        st.markdown(
            f"{as_text(item['status_reason'])} :small[({say_since(item['status_since'])})]",
            help=f"since {say_utc(item['status_since'])}",
        )
        if item["measured"] < item["expected"]:
            say_partly(
                f"{item['expected'] - item['measured']} of {item['expected']} partitions could not be read: the sums "
                "are not known. What could be read is below."
            )
        _draw_numbers(item)
        draw_mute(item)


def _draw_numbers(item: SubscriptionDetail) -> None:
    allowed = item["objective_age_seconds"]
    with st.container(horizontal=True):
        _number(
            "Behind",
            say_age(item["oldest_age_seconds"], item["age_method"]),
            f"{_exact(item['oldest_age_seconds'], 's')}, {item['age_method']}",
            f"{say_duration(allowed)} allowed" if allowed is not None else None,
        )
        _number("Waiting", say_count(item["backlog_messages"]), _exact(item["backlog_messages"], "messages"))
        _number("In", say_rate(item["published_per_second"]), _exact(item["published_per_second"], "messages a second"))
        _number("Out", say_rate(item["consumed_per_second"]), _exact(item["consumed_per_second"], "messages a second"))
        _number("Drains in", say_drain(item), _exact(item["drain_seconds"], "s"))
        _number("Consumers", say_count(item["consumers"]), "members, channels or pollers that are seen")
        if item["in_flight_messages"] is not None:
            _number("In flight", say_count(item["in_flight_messages"]), "handed out and not yet acknowledged")
        left = item["objective_budget_left_ratio"]
        if left is not None:
            _number("Budget left", f"{left:.0%}" if left >= 0 else "overdrawn", f"{left:.4f} of the error budget")


def _number(label: str, value: str, exact: str, under: str | None = None) -> None:
    st.metric(label, value, delta=under, delta_color="off", delta_arrow="off", help=exact, border=True, width="content")


def _exact(value: float | None, unit: str) -> str:
    return "not known" if value is None else f"{value:,} {unit}"


@st.fragment(run_every=SLOW_REFRESH_SECONDS)
def _draw_history(id_: str, seconds: float) -> None:
    with failures_told(lesser=True):
        end = end_of_curves()
        subject = f"subscription:{id_}"
        answer = read((subject, seconds), lambda: connect().history(subject, end - seconds, end), _KEPT_SECONDS)
        points = answer["points"]
        if not any(it["status"] for it in points):
            say_empty(f"No curve: {as_text(answer['note'] or 'the first point comes within a minute')}")
            return
        item = read(("subscription", id_), lambda: connect().subscription(id_), SLOW_REFRESH_SECONDS)
        _draw_turn(points)
        at = [it["at"] for it in points]
        runs = runs_of(at, [it["status"] for it in points], answer["step_seconds"])
        draw_chart(strip({"status": runs}, end - seconds, end), alt="status over time")
        _draw_curves(at, points, item["objective_age_seconds"])


def _draw_turn(points: Sequence[HistoryPoint]) -> None:
    turn = last_turn(points)
    if turn is None:
        return
    changes = "; ".join(say_changes(points, turn)) or "nothing else changed much"
    st.markdown(f"**It broke at {say_moment(turn.at)}** ({say_turn(turn)}). {changes}.", help=say_utc(turn.at))
    with failures_told(lesser=True):
        since = turn.at - MARKS_SECONDS
        marks = read(("marks", turn.at), lambda: connect().marks(since, turn.at), _KEPT_SECONDS)
        for told in say_marks(marks, turn)[:_MOST_MARKS]:
            st.markdown(f":material/flag: {as_text(told)}")


def _draw_curves(at: Sequence[float], points: Sequence[HistoryPoint], allowed: float | None) -> None:
    left, right = st.columns(2)
    with left:
        age = Curve("oldest message", [it["oldest_age_seconds"] for it in points])
        st.caption("Age of the oldest message" + (f", {say_duration(allowed)} allowed" if allowed else ""))
        name = f"allowed: {say_duration(allowed)}"
        draw_chart(lines(at, [age], unit="seconds", limit=allowed, limit_name=name), alt="age over time")
        st.caption("Consumers")
        consumers = Curve("consumers", [it["consumers"] for it in points])
        draw_chart(lines(at, [consumers], unit="consumers"), alt="consumers over time")
    with right:
        st.caption("Messages that wait")
        backlog = Curve("waiting", [it["messages"] for it in points])
        draw_chart(lines(at, [backlog], unit="messages"), alt="backlog over time")
        st.caption("Produced against consumed")
        both = [
            Curve("produced", [it["published_per_second"] for it in points], IN_HUE),
            Curve("consumed", [it["consumed_per_second"] for it in points], OUT_HUE, (5, 3)),
        ]
        draw_chart(lines(at, both, unit="messages/s"), alt="produced against consumed over time")


@st.fragment(run_every=SLOW_REFRESH_SECONDS)
def _draw_members(id_: str) -> None:
    st.subheader("Who consumes it")
    with failures_told(lesser=True):
        answer = read(("members", id_), lambda: connect().members(id_), _MEMBERS_KEPT_SECONDS)
        if not answer["known"]:
            say_empty("This bus does not tell who consumes.")
        elif not answer["items"]:
            say_empty("Nobody is there right now.", "Whoever it was is named in the log of the consumers themselves.")
        else:
            st.dataframe([member_row(it) for it in answer["items"]], hide_index=True, placeholder="–")


def member_row(member: MemberItem) -> dict[str, Any]:
    """Return one who consumes as the columns of the table."""
    return {
        "Member": visible(member["name"]),
        "Client": visible(member["client"]),
        "Host": visible(member["host"]),
        "Owns partitions": visible(", ".join(member["owns"])),
        "How many": len(member["owns"]) or None,
        "Elsewhere": member["owns_elsewhere"] or None,
    }


@st.fragment(run_every=SLOW_REFRESH_SECONDS)
def _draw_parts(id_: str) -> None:
    with failures_told(lesser=True):
        item = read(("subscription", id_), lambda: connect().subscription(id_), SLOW_REFRESH_SECONDS)
        partitions = partition_rows(item["details"])
        if partitions:
            st.subheader("Partitions")
            cells = [(int(row["partition"]), row.get("lag_messages")) for row in partitions][:_MOST_CELLS]
            draw_chart(heat_map(cells, unit="messages behind"), alt="messages behind by partition")
            st.caption("The furthest behind")
            st.dataframe(hot_rows(partitions), hide_index=True, placeholder="–")
        for name, rows in item["details"].items():
            if not partitions or name not in _PARTITION_TABLES:
                with st.expander(visible(name.replace("_", " "))):
                    st.dataframe([_shown(row) for row in rows[:_MOST_CELLS]], hide_index=True, placeholder="–")


_PARTITION_TABLES = ("group_partitions",)


def partition_rows(details: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    """Return the rows of partitions that the details have; none where the bus has no partitions."""
    return [
        row for name in _PARTITION_TABLES for row in details.get(name, ()) if str(row.get("partition", "")).isdigit()
    ]


def hot_rows(partitions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the partitions that are the furthest behind, worst first."""
    worst = sorted(partitions, key=lambda row: -(row.get("lag_messages") or 0.0))[:_MOST_HOT]
    return [
        {
            "Partition": int(row["partition"]),
            "Waiting": row.get("lag_messages"),
            "Behind": say_duration(row.get("lag_seconds")),
            "Committed": row.get("committed_offset"),
        }
        for row in worst
    ]


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {visible(name): visible(value) if isinstance(value, str) else value for name, value in row.items()}
