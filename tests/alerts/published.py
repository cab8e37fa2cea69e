"""Schemas that others publish, as they lie in `schemas/`: Grafana's of dashboards, the operator's of its own kinds."""

import json
from functools import cache
from typing import Any

import yaml
from jsonschema import Draft7Validator

from tests.alerts.promql import ROOT

FOLDER = ROOT / "tests" / "alerts" / "schemas"


def mistakes(validator: Draft7Validator, document: Any) -> list[str]:
    """Return what a schema has against a document: where, and why."""
    return [f"{error.json_path}: {error.message[-200:]}" for error in validator.iter_errors(document)]


@cache
def grafana(name: str, definition: str) -> Draft7Validator:
    """Return what one definition of Grafana's schema of that name demands."""
    schema = _open(json.loads((FOLDER / "grafana" / f"{name}.json").read_text(encoding="utf-8")))
    return Draft7Validator({**schema, "$ref": f"#/definitions/{definition}"})


def _open(part: Any) -> Any:
    """Return a schema with `any` as JSON Schema means it: its generator writes "an object with any properties".

    What may be a string or anything is then valid twice, so that one of several means any of them.
    """
    match part:
        case {"type": "object", "additionalProperties": {}, **rest} if not rest.keys() - {"description"}:
            return {}
        case dict():
            return {"anyOf" if key == "oneOf" else key: _open(value) for key, value in part.items()}
        case list():
            return [_open(value) for value in part]
    return part


@cache
def operator(kind: str) -> Draft7Validator:
    """Return what the Prometheus operator demands of a kind of its own, in the version that it stores."""
    file = FOLDER / "operator" / f"{kind.lower()}s.yaml"
    versions = yaml.safe_load(file.read_text(encoding="utf-8"))["spec"]["versions"]
    (schema,) = (it["schema"]["openAPIV3Schema"] for it in versions if it["storage"])
    # The API server drops what the schema does not name; here it is a mistake.
    return Draft7Validator(_closed(schema["properties"]["spec"]))


def _closed(part: Any) -> Any:
    match part:
        case {"type": "object", "properties": properties, **rest}:
            closed = {name: _closed(value) for name, value in properties.items()}
            return {"additionalProperties": False, "type": "object", "properties": closed, **rest}
        case {"items": items, **rest}:
            return {"items": _closed(items), **rest}
        case {"additionalProperties": dict(values), **rest}:
            return {"additionalProperties": _closed(values), **rest}
    return part
