"""Charts on the page."""

import streamlit as st

from dashboards.components.charts import Picture


def draw_chart(picture: Picture, alt: str) -> None:
    """Draw a chart; `alt` says in words what it shows."""
    st.vega_lite_chart(picture.rows, picture.spec, alt=alt, width="stretch")
