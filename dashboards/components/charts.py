"""Curves and pictures: from the API's JSON to charts, made by Altair. A gap in the data is a gap in the picture."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import altair as alt
from altair.utils import schemapi
from streamlit.dataframe_util import convert_anything_to_arrow_bytes

from dashboards.components.status import STATUSES, look_of
from dashboards.components.text import visible

_MILLISECONDS = 1000
_MINUTE = 60.0
_NOT_READ = "not read"
_NOT_READ_HUE = "#9a9a9a"
_STRIP_PIXELS = 34
_LABEL_PIXELS = 160
# Hours by the clock of the viewer's zone, and days where they begin.
_TIME_AXIS = alt.Axis(
    labelExpr="hours(datum.value) || minutes(datum.value) ? timeFormat(datum.value, '%H:%M') "
    ": timeFormat(datum.value, '%d %b')",
    labelOverlap=True,
)
_CURVE_PIXELS = 180
_LEGEND_PIXELS = 45
IN_HUE, OUT_HUE = "#4c78a8", "#e07b39"
"""Of what comes in and what goes out; the second is drawn dashed, so that colour is not needed."""


# Checking every part of a chart against the schema takes longer than all else of drawing it; the tests check each kind.
schemapi.disable_debug_mode()
alt.theme.enable("none")  # sizes and colours are those of Streamlit
_SPECS_KEPT = 500

Spec = dict[str, Any]


class Picture(NamedTuple):
    """A chart in the words of Vega-Lite, and what it shows: one row a mark. The same words are not made twice."""

    spec: Spec
    rows: list[dict[str, Any]]


def _spec_of(chart: alt.Chart | alt.LayerChart) -> Spec:
    return chart.to_dict(validate=False)


class Run(NamedTuple):
    """A stretch of time, in Unix seconds, in which a status held; None is a stretch that was not read."""

    begin: float
    end: float
    status: str | None


def runs_of(at: Sequence[float], statuses: Sequence[str | None], step: float) -> list[Run]:
    """Join steps that follow each other with the same status; what was not read at the ends is left out."""
    runs: list[Run] = []
    for begin, status in zip(at, statuses, strict=True):
        if runs and runs[-1].status == status:
            runs[-1] = runs[-1]._replace(end=begin + step)
        else:
            runs.append(Run(begin, begin + step, status))
    while runs and runs[0].status is None:
        runs.pop(0)
    while runs and runs[-1].status is None:
        runs.pop()
    return runs


def strip(rows: Mapping[str, Sequence[Run]], begin: float, end: float) -> Picture:
    """Return a strip of states over time for each row; what is not ok says in words what it is."""
    values = [
        {
            "row": visible(row, 60),
            "from": run.begin * _MILLISECONDS,
            "to": run.end * _MILLISECONDS,
            "status": run.status or _NOT_READ,
            "word": str(look_of(run.status)) if run.status else f"? {_NOT_READ}",
            "symbol": look_of(run.status).symbol if run.status else "?",
        }
        for row, runs in rows.items()
        for run in runs
    ]
    # By whole minutes, so that the words of the chart hold for some redraws.
    begin, end = begin // _MINUTE * _MINUTE, -(-end // _MINUTE) * _MINUTE
    return Picture(_strip_spec(len(rows), max(map(len, rows), default=0), begin, end), values)


@lru_cache(_SPECS_KEPT)
def _strip_spec(rows: int, longest_name: int, begin: float, end: float) -> Spec:
    names = [*STATUSES, _NOT_READ]
    extent = min(_LABEL_PIXELS, 8 * longest_name)
    hues = [*(look.hue for look in STATUSES.values()), _NOT_READ_HUE]
    span = alt.Scale(domain=[begin * _MILLISECONDS, end * _MILLISECONDS])
    base = alt.Chart().encode(
        x=alt.X("from:T", title=None, scale=span, axis=_TIME_AXIS),
        y=alt.Y("row:N", title=None, sort=None, axis=alt.Axis(labelLimit=_LABEL_PIXELS, minExtent=extent)),
        tooltip=[
            alt.Tooltip("row:N", title="of"),
            alt.Tooltip("word:N", title="state"),
            alt.Tooltip("from:T", title="from", format="%d %b %H:%M"),
            alt.Tooltip("to:T", title="until", format="%d %b %H:%M"),
        ],
    )
    bars = base.mark_bar(height={"band": 0.72}).encode(
        x2="to:T", color=alt.Color("status:N", scale=alt.Scale(domain=names, range=hues), legend=None)
    )
    # In words where they fit, else by the symbol, so that the colour is never alone.
    wide = f"datum.to - datum.from > {(end - begin) * _MILLISECONDS / 9}"
    narrow = f"datum.to - datum.from > {(end - begin) * _MILLISECONDS / 70}"
    text = base.mark_text(align="left", baseline="middle", dx=3, fontSize=11, fontWeight="bold", color="#ffffff")
    words = text.encode(text="word:N").transform_filter(wide)
    symbols = text.encode(text="symbol:N").transform_filter(f"{narrow} && !({wide})")
    return _spec_of((bars + words + symbols).properties(height=max(1, rows) * _STRIP_PIXELS + 48))


class Curve(NamedTuple):
    """One line of a chart: its name, its values (None is a gap), how it looks."""

    name: str
    values: Sequence[float | None]
    hue: str = IN_HUE
    dash: Sequence[int] = (1, 0)


def lines(
    at: Sequence[float], curves: Sequence[Curve], *, unit: str, limit: float | None = None, limit_name: str = ""
) -> Picture:
    """Return curves over time, with a rule at `limit` where there is one. `unit` is the title of the axis."""
    values = [
        {"at": moment * _MILLISECONDS, "curve": visible(curve.name, 60), "value": value}
        for curve in curves
        for moment, value in zip(at, curve.values, strict=True)
    ]
    names, hues = tuple(visible(curve.name, 60) for curve in curves), tuple(curve.hue for curve in curves)
    dashes = tuple(tuple(curve.dash) for curve in curves)
    return Picture(_lines_spec(names, hues, dashes, unit, limit, limit_name), values)


@lru_cache(_SPECS_KEPT)
def _lines_spec(
    names: Sequence[str],
    hues: Sequence[str],
    dashes: Sequence[Sequence[int]],
    unit: str,
    limit: float | None,
    limit_name: str,
) -> Spec:
    several = len(names) > 1
    legend = alt.Legend(orient="top", title=None, labelLimit=260) if several else None
    height = _CURVE_PIXELS + (_LEGEND_PIXELS if several else 0)
    base = alt.Chart().encode(
        x=alt.X("at:T", title=None, axis=_TIME_AXIS),
        y=alt.Y("value:Q", title=unit, scale=alt.Scale(zero=True, nice=True)),
        color=alt.Color("curve:N", scale=alt.Scale(domain=names, range=hues), legend=legend),
        strokeDash=alt.StrokeDash("curve:N", scale=alt.Scale(domain=names, range=dashes), legend=legend),
        tooltip=[
            alt.Tooltip("curve:N", title="of"),
            alt.Tooltip("at:T", title="from", format="%d %b %H:%M:%S"),
            alt.Tooltip("value:Q", title=unit, format=",.2~f"),
        ],
    )
    drawn = base.mark_line(interpolate="monotone", strokeWidth=2).properties(height=height)
    # Alone a line draws nothing between two gaps.
    dots = base.mark_point(size=8, filled=True)
    if limit is None:
        return _spec_of((drawn + dots).properties(height=height))
    rule = alt.Chart(alt.Data(values=[{"limit": limit, "name": limit_name}]))  # type: ignore[no-untyped-call]
    mark = rule.mark_rule(color="#d62728", strokeDash=[6, 3]).encode(y="limit:Q", tooltip="name:N")
    label = rule.mark_text(align="left", baseline="bottom", x=4, dy=-3, color="#d62728").encode(
        y="limit:Q", text="name:N"
    )
    return _spec_of((drawn + dots + mark + label).properties(height=height))


def heat_map(parts: Iterable[tuple[int, float | None]], *, unit: str, columns: int = 24) -> Picture:
    """Return one cell a partition, darker the more it has, with its number; one without a value is empty."""
    cells_of = sorted(parts, key=lambda it: it[0])
    values: list[dict[str, Any]] = [
        {"part": part, "x": place % columns, "y": place // columns, "value": value}
        for place, (part, value) in enumerate(cells_of)
    ]
    rows = max(1, -(-len(values) // columns))
    most = max((value for _, value in cells_of if value is not None), default=0.0)
    return Picture(_heat_spec(rows, most, unit), values)


@lru_cache(_SPECS_KEPT)
def _heat_spec(rows: int, most: float, unit: str) -> Spec:
    blank: Any = None
    base = alt.Chart().encode(
        x=alt.X("x:O", axis=blank),
        y=alt.Y("y:O", axis=blank),
        tooltip=[
            alt.Tooltip("part:Q", title="partition"),
            alt.Tooltip("value:Q", title=unit, format=",.2~f"),
        ],
    )
    cells = base.mark_rect(stroke="#88888855", cornerRadius=3).encode(
        color=alt.Color(
            "value:Q", scale=alt.Scale(scheme="oranges", domainMin=0), legend=alt.Legend(title=unit, orient="top")
        )
    )
    numbers = base.mark_text(fontSize=11).encode(
        text="part:Q",
        color=alt.condition(f"datum.value > {most * 0.55}", alt.value("#ffffff"), alt.value("#222222")),
    )
    return _spec_of((cells + numbers).properties(height=rows * 34 + 110))


def warm() -> None:
    """Make one of each chart, and what carries their data, for nobody: the first ones take longest."""
    pictures = (
        lines([0.0], [Curve("none", [0.0])], unit="none"),
        strip({"none": [Run(0.0, 1.0, "ok")]}, 0.0, 1.0),
        heat_map([(0, 0.0)], unit="none"),
    )
    for picture in pictures:
        convert_anything_to_arrow_bytes(picture.rows)
