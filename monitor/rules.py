"""The alerting and recording rules, adapted to where they are going to be used. Pure but for reading the files."""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from monitor.errors import ConfigurationError

Rule = dict[str, Any]
Group = dict[str, Any]
Format = Literal["prometheus", "prometheusrule"]

DASHBOARD = "http://127.0.0.1:8501"
"""The address in the files as they come."""

_UNIT_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = r"\d+(?:ms|s|m|h|d)"
# Ranges of selectors and offsets; durations inside names, such as rate5m, are neither.
_WAIT = re.compile(rf"(\[|\boffset\s+)({_DURATION})\b")
_LABEL_LIST = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SHORTEST_MILLISECONDS = 1_000


@dataclass(frozen=True)
class Adaptation:
    """What is to be different from the files.

    `labels` and `severities` give new names for old ones. `runbooks` is the folder that holds the runbooks, as an
    address; None for the page of the dashboard, whose address is `dashboard`. Of alerts only `chosen` stay, all where
    it is empty, without those `left_out`. Waits, ranges and intervals are multiplied by `time_scale`; thresholds are
    not.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    severities: Mapping[str, str] = field(default_factory=dict)
    runbooks: str | None = None
    dashboard: str = DASHBOARD
    chosen: Collection[str] = ()
    left_out: Collection[str] = ()
    time_scale: float = 1.0


def read_groups(folder: Path) -> list[Group]:
    """Read all groups of the rule files in a folder."""
    files = sorted(folder.glob("*.yml"))
    return [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]


def adapt(groups: Sequence[Group], adaptation: Adaptation) -> list[Group]:
    """Return groups as they are wanted; what is left without a rule goes.

    Raises:
        ConfigurationError: a label, severity or alert is named that no rule has.
    """
    alerts = [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]
    _refuse_unknown("label", adaptation.labels, set(_labels_of(groups)))
    _refuse_unknown("severity", adaptation.severities, {rule["labels"]["severity"] for rule in _alerts(groups)})
    _refuse_unknown("alert", [*adaptation.chosen, *adaptation.left_out], alerts)
    wanted = set(adaptation.chosen or alerts) - set(adaptation.left_out)
    adapted = [_adapt_group(group, wanted, adaptation) for group in groups]
    return [group for group in adapted if group["rules"]]


def lay_out(groups: Sequence[Group], shape: Format, name: str, metadata_labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the rules as Prometheus reads them, or as a PrometheusRule for its operator in Kubernetes."""
    document: dict[str, Any] = {"groups": list(groups)}
    if shape == "prometheus":
        return document
    metadata: dict[str, Any] = {"name": name}
    if metadata_labels:
        metadata["labels"] = dict(metadata_labels)
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": metadata,
        "spec": document,
    }


def render(groups: Sequence[Group], shape: Format, name: str, metadata_labels: Mapping[str, str]) -> str:
    """Return the rules, laid out like that, as YAML."""
    document = lay_out(groups, shape, name, metadata_labels)
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


class _Dumper(yaml.SafeDumper):
    """Writes expressions as blocks, and everything in full: readers of the operator know no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _alerts(groups: Sequence[Group]) -> Iterator[Rule]:
    return (rule for group in groups for rule in group["rules"] if "alert" in rule)


def _labels_of(groups: Sequence[Group]) -> Iterator[str]:
    for group in groups:
        for rule in group["rules"]:
            yield from rule.get("labels", {})
            for names in _LABEL_LIST.findall(rule["expr"]):
                yield from (name.strip() for name in names.split(",") if name.strip())


def _refuse_unknown(what: str, named: Collection[str], known: Collection[str]) -> None:
    for name in named:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
            raise ConfigurationError(f"no rule has the {what} {name}", remedy=remedy)


def _adapt_group(group: Group, wanted: Collection[str], adaptation: Adaptation) -> Group:
    rules = [
        _adapt_rule(rule, adaptation) for rule in group["rules"] if rule.get("alert") in wanted or "record" in rule
    ]
    return _with_shorter_waits(group, adaptation.time_scale, ("interval",)) | {"rules": rules}


def _adapt_rule(rule: Rule, adaptation: Adaptation) -> Rule:
    scale = adaptation.time_scale
    adapted = _with_shorter_waits(rule, scale, ("for", "keep_firing_for"))
    expression = _WAIT.sub(lambda found: found[1] + _scaled(found[2], scale), rule["expr"])
    # Label names stand as whole words in lists, matchers and the arguments of label_replace, and as nothing else.
    adapted["expr"] = _renamed(expression, r"\b{}\b", adaptation.labels)
    if "alert" in rule:
        labels = {adaptation.labels.get(name, name): value for name, value in rule["labels"].items()}
        severity = adaptation.labels.get("severity", "severity")
        labels[severity] = adaptation.severities.get(labels[severity], labels[severity])
        adapted["labels"] = labels
        adapted["annotations"] = _adapt_annotations(rule["alert"], rule["annotations"], adaptation)
    return adapted


def _adapt_annotations(alert: str, annotations: Mapping[str, str], adaptation: Adaptation) -> dict[str, str]:
    # Only where a label is read: the parameters of the dashboard's addresses keep their names.
    texts = {key: _renamed(text, r"(?<=\$labels\.){}\b", adaptation.labels) for key, text in annotations.items()}
    for key in ("runbook_url", "dashboard_url"):
        texts[key] = adaptation.dashboard.rstrip("/") + texts[key].removeprefix(DASHBOARD)
    if adaptation.runbooks is not None:
        texts["runbook_url"] = f"{adaptation.runbooks.rstrip('/')}/{alert}.md"
    return texts


def _renamed(text: str, where: str, names: Mapping[str, str]) -> str:
    """Rename in one pass, so that two labels can change places."""
    if not names:
        return text
    pattern = where.format(f"({'|'.join(map(re.escape, names))})")
    return re.sub(pattern, lambda found: names[found[1]], text)


def _with_shorter_waits(item: Mapping[str, Any], scale: float, keys: Sequence[str]) -> dict[str, Any]:
    return {key: _scaled(value, scale) if key in keys else value for key, value in item.items()}


def _scaled(duration: str, scale: float) -> str:
    """Multiply a duration; what gets shorter is a second at least."""
    if scale == 1.0:
        return duration
    number, unit = re.fullmatch(r"(\d+)([a-z]+)", duration).groups()  # type: ignore[union-attr]
    milliseconds = round(int(number) * _UNIT_MILLISECONDS[unit] * scale)
    milliseconds = max(_SHORTEST_MILLISECONDS, milliseconds)
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"
