"""Monitor: how the reading of each cluster goes: ages, errors, missing permissions, calls and their cost, version."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from dashboards.client import about, connect
from dashboards.components.address import link, read_parameters
from dashboards.components.head import draw_head
from dashboards.components.states import (
    REFRESH_SECONDS,
    SLOW_REFRESH_SECONDS,
    failures_told,
    read,
    say_empty,
    say_partly,
)
from dashboards.components.status import collector_look
from dashboards.components.text import as_text, visible
from dashboards.components.times import now, say_ago, say_moment, say_utc
from monitor.api.items import CollectorItem, ErrorItem
from monitor.words import NOT_KNOWN, say_count, say_duration

_PERMISSION_REASONS = frozenset(("forbidden", "authentication"))
_MOST_ERRORS = 20
_REMEDIES = {
    "unreachable": "See whether the broker runs and its address is right; `eventflow check` says more.",
    "timeout": "It did not answer in time: see whether it is overloaded or frozen.",
    "authentication": "Name or password are wrong or have expired.",
    "forbidden": "Give the monitor's user this permission; docs/permissions.md has all that are needed.",
    "tls": "See the certificate, its authority and the protocol.",
    "throttled": "It asks for fewer calls: read it less often (`interval`).",
}


def show() -> None:
    """Draw the page, or what it says of the cluster that the address names."""
    draw_head("Monitor")
    named = read_parameters(("cluster",)).get("cluster")
    if named:
        link("clusters", "All clusters", icon=":material/arrow_back:")
    _draw_about()
    _draw_collectors(named)
    if named:
        _draw_whole(named)


@st.fragment(run_every=SLOW_REFRESH_SECONDS)
def _draw_about() -> None:
    known = about()
    if known:
        started = say_ago(known["started_at"], known["now"])
        off = abs(known["now"] - now())
        clock = f" · its clock differs from this machine's by {say_duration(off)}" if off > 5 else ""
        version = f"Eventflow Monitor {as_text(known['version'])} on Python {as_text(known['python'])}"
        st.caption(f"{version}, started {started}{clock}", help=f"started {say_utc(known['started_at'])}")


@st.fragment(run_every=REFRESH_SECONDS)
def _draw_collectors(named: str | None) -> None:
    with failures_told():
        items = read("collectors", connect().collectors)
        chosen = [it for it in items if named is None or it["cluster"] == named]
        if not chosen:
            _say_none(named)
            return
        _draw_missing(chosen)
        for item in chosen:
            _draw_collector(item, alone=named is not None)


def _say_none(named: str | None) -> None:
    if named:
        say_empty(f"There is no cluster {as_text(named)}.", "It may have another name in the configuration.")
    else:
        say_empty("No cluster is configured.", "Add one under `clusters` in the configuration of the monitor.")


def _draw_missing(items: Iterable[CollectorItem]) -> None:
    missing = [(item, error) for item in items for error in item["errors"] if error["reason"] in _PERMISSION_REASONS]
    if missing:
        told = "; ".join(f"{as_text(item['cluster'])}: {as_text(error['message'])}" for item, error in missing[:5])
        say_partly(f"Missing permissions: {told}", _REMEDIES["forbidden"])


def _draw_collector(item: CollectorItem, *, alone: bool) -> None:
    with st.container(border=True, gap="xsmall"):
        look = collector_look(item["up"])
        elsewhere = f" · read by the monitor at {as_text(item['read_by'])}" if item["read_by"] else ""
        st.markdown(f"{look.badge} **{as_text(item['cluster'])}** :small[{as_text(item['system'])}{elsewhere}]")
        st.caption(_say_numbers(item), help=_say_exactly(item))
        for note in item["notes"]:
            st.caption(f":material/info: {as_text(note, 500)}")
        if item["errors"]:
            st.dataframe(error_rows(item["errors"][:_MOST_ERRORS]), hide_index=True)
        counted = {reason: number for reason, number in item["errors_total"].items() if number}
        if counted:
            told = ", ".join(f"{reason} {say_count(number)}" for reason, number in counted.items())
            st.caption(f"Errors since the start: {as_text(told)}")
        if not alone:
            link("clusters", "All of it", icon=":material/arrow_forward:", cluster=item["cluster"])


def _say_numbers(item: CollectorItem) -> str:
    success = item["last_success_timestamp_seconds"]
    told = [
        f"read {say_ago(success)}",
        f"every {say_duration(item['interval_seconds'])}",
        f"the last took {say_duration(item['duration_seconds'])}",
    ]
    if item["expected"] is not None and item["measured"] is not None:
        told.append(f"{say_count(item['measured'])} of {say_count(item['expected'])} partitions or queues read")
    told.append(f"{say_count(item['series'])} metric series")
    if item["missed_runs_total"]:
        told.append(f"{say_count(item['missed_runs_total'])} cycles could not begin in time")
    return " · ".join(told)


def _say_exactly(item: CollectorItem) -> str:
    success = item["last_success_timestamp_seconds"]
    took = item["duration_seconds"]
    return f"last success {say_utc(success)}; it took {NOT_KNOWN if took is None else f'{took:.3f} s'}"


def error_rows(errors: Sequence[ErrorItem]) -> list[dict[str, str]]:
    """Return errors as the columns of a table, with what helps against each."""
    return [
        {
            "Error": visible(it["reason"]),
            "At": visible(it["target"]),
            "Message": visible(it["message"], 1000),
            "What to do": _REMEDIES.get(it["reason"], "See the monitor's log.").replace("`", ""),
        }
        for it in errors
    ]


@st.fragment(run_every=SLOW_REFRESH_SECONDS)
def _draw_whole(cluster: str) -> None:
    with failures_told(lesser=True):
        details = read(("collector", cluster), lambda: connect().collector(cluster))["details"]
        calls = details.get("aws_api")
        if calls:
            st.subheader("Calls and what they cost")
            st.dataframe(call_rows(calls), hide_index=True, placeholder="–")
        for name, rows in details.items():
            if name != "aws_api":
                st.subheader(visible(name.replace("_", " ").capitalize()))
                st.dataframe([shown(row) for row in rows], hide_index=True, placeholder="–")


def call_rows(calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the calls of AWS' API, the dearest first."""
    dearest = sorted(calls, key=lambda row: (-(row.get("aws_api_monthly_cost_dollars") or 0.0), row["operation"]))
    return [
        {
            "Service": row["service"],
            "Call": row["operation"],
            "Since the start": row.get("aws_api_requests_total"),
            "Throttled": row.get("aws_api_throttled_total"),
            "About $ in 30 days": row.get("aws_api_monthly_cost_dollars"),
        }
        for row in dearest
    ]


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the bus's own table for people: moments as such, texts inert."""
    return {visible(name.replace("_", " ")): _value(name, value) for name, value in row.items()}


def _value(name: str, value: Any) -> Any:
    if name.endswith("timestamp_seconds") and isinstance(value, int | float):
        return say_moment(value)
    return visible(value) if isinstance(value, str) else value
