"""The command `eventflow rules`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from monitor.cli.output import print_json, print_line
from monitor.errors import ConfigurationError
from monitor.rules import DASHBOARD, Adaptation, Format, adapt, lay_out, read_groups, render
from monitor.shipped import find_shipped


def print_rules(
    shape: Annotated[Format, typer.Option("--format", help="A file for Prometheus, or one for its operator.")] = (
        "prometheus"
    ),
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="OLD=NEW", help="Rename a label, such as cluster=exported_cluster. May be repeated."),
    ] = None,
    severity: Annotated[
        list[str] | None, typer.Option(metavar="OLD=NEW", help="Rename a severity, such as critical=page. Repeatable.")
    ] = None,
    runbooks: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the runbooks lie; the dashboard shows them otherwise.")
    ] = None,
    dashboard: Annotated[str, typer.Option(metavar="URL", help="Where people reach the dashboard.")] = DASHBOARD,
    alert: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this alert. May be repeated.")] = None,
    without: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="All but this alert. May be repeated.")
    ] = None,
    time_scale: Annotated[
        float, typer.Option(min=0.001, max=1000.0, help="Multiply waits, ranges and intervals: 0.05 to try alerts out.")
    ] = 1.0,
    name: Annotated[str, typer.Option(help="Of the PrometheusRule.")] = "eventflow",
    metadata_label: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Of the PrometheusRule, for the operator's ruleSelector. Repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the same as JSON.")] = False,
) -> None:
    """Print the alerting and recording rules, adapted to your Prometheus and Alertmanager."""
    adaptation = Adaptation(
        labels=_pairs("--label", label),
        severities=_pairs("--severity", severity),
        runbooks=runbooks,
        dashboard=dashboard,
        chosen=alert or (),
        left_out=without or (),
        time_scale=time_scale,
    )
    groups = adapt(read_groups(find_shipped("alerts/rules")), adaptation)
    laid_out = groups, shape, name, _pairs("--metadata-label", metadata_label)
    if as_json:
        print_json(lay_out(*laid_out))
    else:
        print_line(render(*laid_out).rstrip("\n"))


def _pairs(option: str, texts: Sequence[str] | None) -> dict[str, str]:
    pairs = {}
    for text in texts or ():
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise ConfigurationError(f"{text} is not OLD=NEW", place=option)
        pairs[old] = new
    return pairs
