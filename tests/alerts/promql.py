"""What labels the result of a PromQL expression has, and whether what it asks for is there."""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

from monitor.exposition.families import FAMILIES, Kind

ROOT = Path(__file__).parents[2]
RULES = ROOT / "alerts" / "rules"

Labels = frozenset[str]
Known = Mapping[str, Labels]
"""Metric names with the labels that they have."""

# Fixed by the contract, and told by the journal of redrives rather than by a collector.
REDRIVE = {
    "eventflow_redrive_messages_total": frozenset({"system", "cluster", "source", "target", "outcome"}),
    "eventflow_redrive_jobs": frozenset({"state"}),
}


def read_rules(folder: Path = RULES) -> list[dict[str, Any]]:
    """Return all rules of all groups of the files in a folder."""
    files = (yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.yml")))
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def exposed() -> dict[str, Labels]:
    """Return what `/metrics` has."""
    names: dict[str, Labels] = dict(REDRIVE)
    for family in FAMILIES:
        labels = frozenset(family.labels)
        if family.kind is Kind.HISTOGRAM:
            names |= {f"{family.full_name}_bucket": labels | {"le"}}
            names |= {f"{family.full_name}_{part}": labels for part in ("sum", "count")}
        else:
            names[family.full_name] = labels
    return names


def recorded(rules: list[dict[str, Any]]) -> dict[str, Labels]:
    """Return what `/metrics` has and what rules record, in the order in which they need each other."""
    known = exposed()
    for rule in rules:
        if "record" in rule:
            found = labels_of(promql.parse(rule["expr"]), known)
            assert known.get(rule["record"], found) == found, rule["record"]
            known[rule["record"]] = found
    return known


def labels_of(expression: Any, known: Known) -> Labels:
    """Return the labels of a result. Fails where a metric is not known, or a label is used that nothing has."""
    match expression:
        case promql.VectorSelector():
            name = str(expression.name)
            assert name in known, f"/metrics has no {name}"
            labels = known[name]
            assert {it.name for it in expression.matchers.matchers} <= labels, expression
            return labels
        case promql.MatrixSelector():
            return labels_of(expression.vector_selector, known)
        case promql.SubqueryExpr() | promql.ParenExpr() | promql.UnaryExpr():
            return labels_of(expression.expr, known)
        case promql.AggregateExpr():
            return _of_aggregation(expression, known)
        case promql.Call():
            return _of_call(expression, known)
        case promql.BinaryExpr():
            return _of_operation(expression, known)
    return frozenset()


def _of_aggregation(expression: Any, known: Known) -> Labels:
    inner = labels_of(expression.expr, known)
    chooses = str(expression.op) in ("topk", "bottomk")
    if expression.modifier is None:
        return inner if chooses else frozenset()
    assert expression.modifier.type == promql.AggModifierType.By, f"`without` keeps what nobody knows: {expression}"
    named = frozenset(expression.modifier.labels)
    assert named <= inner, f"{sorted(named - inner)} in {expression}"
    return inner if chooses else named


def _of_call(expression: Any, known: Known) -> Labels:
    vectors = [it for it in expression.args if not isinstance(it, promql.StringLiteral | promql.NumberLiteral)]
    inner = frozenset(chain.from_iterable(labels_of(it, known) for it in vectors))
    texts = [it.val for it in expression.args if isinstance(it, promql.StringLiteral)]
    match expression.func.name:
        case "label_replace":
            assert {texts[2]} - {""} <= inner, f"{texts[2]} in {expression}"
            return inner | {texts[0]}
        case "label_join":
            assert set(texts[2:]) <= inner, expression
            return inner | {texts[0]}
        case "absent" | "vector" | "time":
            return frozenset()
        case "histogram_quantile":
            return inner - {"le"}
    return inner


def _of_operation(expression: Any, known: Known) -> Labels:
    left, right = labels_of(expression.lhs, known), labels_of(expression.rhs, known)
    if _is_scalar(expression.lhs) or _is_scalar(expression.rhs):
        return left | right
    modifier, operator = expression.modifier, str(expression.op)
    if modifier is None or modifier.matching is None:
        assert operator == "or" or left == right, f"{sorted(left ^ right)} is on one side only of {expression}"
        return left | right if operator == "or" else left
    assert modifier.matching.type == promql.LabelModifierType.Include, expression
    on = frozenset(modifier.matching.labels)
    assert on <= left & right, f"{sorted(on - (left & right))} is not on both sides of {expression}"
    if operator in ("and", "or", "unless"):
        return left
    extra = frozenset(modifier.group_labels if modifier.group_labels is not None else ())
    many = modifier.card == promql.VectorMatchCardinality.ManyToOne
    assert many, f"one side has to be the one that keeps its labels: {expression}"
    assert extra <= right, expression
    return left | extra


def _is_scalar(expression: Any) -> bool:
    match expression:
        case promql.NumberLiteral():
            return True
        case promql.ParenExpr() | promql.UnaryExpr():
            return _is_scalar(expression.expr)
        case promql.Call():
            return bool(expression.func.name == "time")
        case promql.BinaryExpr():
            return _is_scalar(expression.lhs) and _is_scalar(expression.rhs)
    return False


def selectors(expression: Any) -> Iterator[Any]:
    """Yield all vector selectors of an expression."""
    if isinstance(expression, promql.VectorSelector):
        yield expression
    for name in ("expr", "vector_selector", "lhs", "rhs", "args"):
        inner = getattr(expression, name, None)
        for part in inner if isinstance(inner, list) else [inner]:
            if part is not None:
                yield from selectors(part)
