"""What the first click would else wait for: libraries that take seconds to load, and the first use of them."""

from streamlit.dataframe_util import convert_anything_to_arrow_bytes

import dashboards.navigation  # noqa: F401 (loads every page)
from dashboards.components.charts import Curve, Run, heat_map, lines, strip


def warm() -> None:
    """Load every page, and make one of each chart and a table for nobody."""
    pictures = (
        lines([0.0], [Curve("none", [0.0])], unit="none"),
        strip({"none": [Run(0.0, 1.0, "ok")]}, 0.0, 1.0),
        heat_map([(0, 0.0)], unit="none"),
    )
    for picture in pictures:
        convert_anything_to_arrow_bytes(picture.rows)
