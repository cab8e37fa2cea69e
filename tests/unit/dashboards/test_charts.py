"""Charts: that Vega-Lite takes them, which is not checked each time that one is drawn, and what they hold."""

import altair as alt
import pytest

from dashboards.components.charts import Curve, Picture, Run, heat_map, lines, strip

_AT = [60.0, 120.0, 180.0]
_CURVE = Curve("waiting", [1.0, None, 3.0])
PICTURES = {
    "a line": lines(_AT, [_CURVE], unit="messages"),
    "lines with a limit": lines(_AT, [_CURVE, Curve("b", [1.0, 2.0, 3.0])], unit="s", limit=30.0, limit_name="allowed"),
    "a strip": strip({"orders": [Run(0.0, 60.0, "ok"), Run(60.0, 90.0, None)]}, 0.0, 90.0),
    "a heat map": heat_map([(0, 5.0), (1, None)], unit="messages behind"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_each_kind_of_chart_is_valid(name: str) -> None:
    picture = PICTURES[name]
    alt.Chart.from_dict({**picture.spec, "data": {"values": picture.rows}}, validate=True)


def test_a_gap_stays_a_gap() -> None:
    assert [row["value"] for row in PICTURES["a line"].rows] == [1.0, None, 3.0]


def test_the_words_of_a_chart_stay_while_its_data_changes_so_that_it_does_not_flicker() -> None:
    def drawn(value: float, end: float) -> tuple[Picture, Picture]:
        return lines([60.0], [Curve("a", [value])], unit="s"), strip({"orders": [Run(0.0, end, "ok")]}, 0.0, end)

    for before, after in zip(drawn(1.0, 3601.0), drawn(2.0, 3604.0), strict=True):
        assert before.spec is after.spec
        assert before.rows != after.rows
