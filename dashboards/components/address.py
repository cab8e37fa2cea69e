"""Addresses: every view has one, and it says all that is needed to see the view again."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn
from urllib.parse import urlencode

import streamlit as st
from streamlit.navigation.page import StreamlitPage

# Parameters that alerts and people link by. Kept while one moves about on a page, dropped when one leaves it.
PLACE_PARAMETERS = ("system", "cluster", "destination", "subscriber", "queue", "source")

_PAGES = "pages by path"
_HERE = "path of this page"


def remember_pages(pages: Mapping[str, StreamlitPage], here: StreamlitPage) -> None:
    """Keep the pages of this session, by their paths, for links between them, and which of them is drawn."""
    st.session_state[_PAGES] = dict(pages)
    st.session_state[_HERE] = next(path for path, it in pages.items() if it is here)


def page(path: str) -> StreamlitPage:
    """Return the page with this path (`overview`, `subscriptions`, `dead-letters`, ...)."""
    found: StreamlitPage = st.session_state[_PAGES][path]
    return found


Given = str | Sequence[str] | None
"""The value of a query parameter; several values repeat it, None leaves it out."""


def open_page(path: str, **parameters: Given) -> NoReturn:
    """Go to a page with these query parameters, see `Given`."""
    st.switch_page(page(path), query_params=given(parameters))


def link(
    path: str, label: str, *, icon: str | None = None, help: str | None = None, key: str = "", **parameters: Given
) -> None:
    """Draw a link to a page; `label` and `help` are Markdown, so that foreign text in them needs `as_text`.

    `key` tells links apart that would be the same twice on a page.
    """
    if path != st.session_state[_HERE]:
        st.page_link(page(path), label=label, icon=icon, help=help, query_params=given(parameters))
        return
    # A link to the page that one is on changes the view, but not the address in the browser (Streamlit 1.67);
    # `switch_page` changes both.
    unique = f"link {address(path, **parameters)} {label} {key}"
    if st.button(label, key=unique, icon=icon, help=help, type="tertiary"):
        open_page(path, **parameters)


def address(path: str, **parameters: Given) -> str:
    """Return the address of a view as it can be pasted elsewhere, without the host."""
    query = urlencode(given(parameters), doseq=True)
    return f"/{'' if path == 'overview' else path}" + (f"?{query}" if query else "")


def given(parameters: Mapping[str, Given]) -> dict[str, str | list[str]]:
    """Return the parameters that have a value."""
    return {name: value if isinstance(value, str) else list(value) for name, value in parameters.items() if value}


def read_parameters(names: Iterable[str] = PLACE_PARAMETERS) -> dict[str, str]:
    """Return those of the named query parameters that the address has."""
    return {name: st.query_params[name] for name in names if st.query_params.get(name)}


def set_parameters(**parameters: str | None) -> None:
    """Put parameters into the address without moving; None takes one away."""
    for name, value in parameters.items():
        if value:
            st.query_params[name] = value
        elif name in st.query_params:
            del st.query_params[name]
