"""Pages as Streamlit's own AppTest runs them, and what stands on them."""

from html import unescape

from streamlit.testing.v1 import AppTest


def draw(path: str, **parameters: str | list[str]) -> AppTest:
    """Draw the page of a path with these query parameters."""
    page = AppTest.from_string(f"from dashboards.navigation import run\nrun({path!r})\n", default_timeout=120)
    for name, value in parameters.items():
        page.query_params[name] = value
    return checked(page.run())


def checked(page: AppTest) -> AppTest:
    """Return the page, which must not have failed."""
    assert not page.exception, page.exception
    return page


def click(page: AppTest, label: str) -> AppTest:
    """Click the first button with this label."""
    button = next((it for it in page.button if it.label == label), None)
    assert button is not None, f"no {label!r} among {labels(page)}"
    return checked(button.click().run())


def labels(page: AppTest) -> list[str]:
    """Return the labels of all buttons."""
    return [it.label for it in page.button]


def texts(page: AppTest) -> str:
    """Return everything that is said in words, without what keeps it from being read as Markdown or HTML."""
    shown = [*page.title, *page.header, *page.subheader, *page.markdown, *page.caption, *page.info, *page.warning,
             *page.error, *page.success, *page.code]  # fmt: skip
    told = [str(it.value) for it in shown]
    told += [f"{it.label} {it.value}" for it in page.metric]
    told += [str(it.proto.text) for it in page.get("progress")]
    return "\n".join(told).replace("\\", "").replace("\u2060", "") + "\n" + html_of(page)


def html_of(page: AppTest) -> str:
    """Return the text of what is drawn as HTML."""
    return unescape("\n".join(str(it.proto.body) for it in page.get("html")))


def query(page: AppTest) -> dict[str, str]:
    """Return the query parameters of the address, the last value of each."""
    return {name: value[-1] if isinstance(value, list) else value for name, value in page.query_params.items()}
