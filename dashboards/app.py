"""The dashboard: navigation only."""

import streamlit as st

from dashboards.views import overview

st.set_page_config(page_title="Eventflow Monitor", page_icon=":material/monitor_heart:", layout="wide")
st.navigation([st.Page(overview.show, title="Overview", icon=":material/monitor_heart:", default=True)]).run()
