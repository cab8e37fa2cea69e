"""`/docs`: the OpenAPI description as a page. It needs no script and no other host, so it works without a way out."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from monitor.api.problems import MEDIA_TYPE, PROBLEM_TYPES

HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"}

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem; font-size: 1.15rem } code { font-size: .95em }
table { border-collapse: collapse; width: 100% } caption { text-align: left; font-weight: 600; padding: .6rem 0 .2rem }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8884 }
"""


def render_reference(schema: Mapping[str, Any]) -> str:
    """Return the page for an OpenAPI description."""
    title = escape(f"{schema['info']['title']} {schema['info']['version']}: HTTP API")
    body = "".join(_sections(schema))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><h1>{title}</h1>{body}</html>'
    )


def _sections(schema: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "<p>Where the configuration has tokens, send one as <code>Authorization: Bearer TOKEN</code>. "
        "Lists are <code>{items, next}</code>: pass <code>next</code> as <code>cursor</code> for the page after. "
        "Absent is null, never 0.</p>"
    )
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation.get('summary', ''))}.</p>"
            yield _table("Parameters", [_parameter(it, schema) for it in operation.get("parameters", ())])
            yield _table("Body", list(_body(operation, schema)))
            yield from _answers(operation, schema)
    problems = [(_code(it.uri), str(it.status), escape(it.title)) for it in PROBLEM_TYPES]
    yield "<h2>Errors</h2><p>Errors are " + _code(MEDIA_TYPE) + ".</p>" + _table("Values of type", problems)


def _parameter(it: Mapping[str, Any], whole: Mapping[str, Any]) -> tuple[str, ...]:
    told = it.get("description") or it["schema"].get("description", "")
    return (_code(it["name"]), _code(_type(it["schema"], whole)), escape(told))


def _body(operation: Mapping[str, Any], whole: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    content = operation.get("requestBody", {}).get("content", {})
    return _fields(content.get("application/json", {}).get("schema", {}), whole)


def _answers(operation: Mapping[str, Any], whole: Mapping[str, Any]) -> Iterator[str]:
    """Yield what comes where all goes well: the fields of JSON, and of everything else what it is."""
    contents = [it.get("content", {}) for status, it in operation["responses"].items() if status.startswith("2")]
    told = {media_type: it.get("schema", {}) for content in contents for media_type, it in content.items()}
    for media_type, schema in told.items():
        fields = list(_fields(schema, whole))
        yield _table("Answer", fields) if fields else f"<p>Answer: {_code(media_type)}</p>"


def _fields(schema: Mapping[str, Any], whole: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, ...]]:
    """Yield name, type and meaning of every field, those of list items and inner objects after their own."""
    for name, it in _resolved(schema, whole).get("properties", {}).items():
        yield (_code(prefix + name), _code(_type(it, whole)), escape(it.get("description", "")))
        inner = it.get("items") if it.get("type") == "array" else it
        mark = "[]" if it.get("type") == "array" else ""
        yield from _fields(inner or {}, whole, f"{prefix}{name}{mark}.")


def _resolved(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Mapping[str, Any] = whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _type(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    """Say what a value may be: a type, one of some words, a list of them."""
    if "anyOf" in schema:
        kinds = [_type(it, whole) for it in schema["anyOf"]]
        return " or ".join(kind for kind in kinds if kind != "integer" or "number" not in kinds)
    if "$ref" in schema:
        return " | ".join(_resolved(schema, whole).get("enum", ["object"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'], whole)}"
    return str(schema.get("type", "any"))


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _table(caption: str, rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption>{lines}</table>"
