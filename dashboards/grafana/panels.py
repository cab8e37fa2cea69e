"""The parts that Grafana's dashboards are made of, as the JSON that Grafana reads (schema version 41)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
_SCHEMA_VERSION = 41
PROCESS = 'job=~"$job",instance=~"$instance"'
_SCOPE = f'{PROCESS},cluster=~"$cluster"'

GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "text"
Steps = Sequence[tuple[float | None, str]]
CALM: Steps = ((None, GREEN),)
ANY_IS_BAD: Steps = ((None, GREEN), (1, RED))
ANY_IS_POOR: Steps = ((None, GREEN), (1, YELLOW))


def series(name: str, more: str = "") -> str:
    """Return a selector of a family, by its name without prefix, within what the variables choose."""
    return f"eventflow_{name}{{{_SCOPE}{',' if more else ''}{more}}}"


def rate(name: str, more: str = "") -> str:
    """Return the rate of a counter, per second."""
    return f"rate({series(name, more)}[$__rate_interval])"


def rise(name: str, more: str = "") -> str:
    """Return by how much a counter rose within what is shown of it at each point."""
    return f"increase({series(name, more)}[$__rate_interval])"


@dataclass(frozen=True)
class Panel:
    """One panel. `targets` are pairs of expression and legend; `height` and `width` are in Grafana's grid units.

    `reduced` is what single numbers are made of: the last value, or the `mean` of the time that is shown.
    """

    title: str
    description: str
    unit: str
    targets: Sequence[tuple[str, str]]
    kind: str = "timeseries"
    width: int = 12
    height: int = 8
    thresholds: Steps = CALM
    link: str = ""
    reduced: str = "lastNotNull"
    options: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    overrides: Sequence[Json] = ()
    transformations: Sequence[Json] = ()

    def render(self, number: int, x: int, y: int) -> Json:
        """Return the panel's JSON at its place."""
        instant = self.kind in ("table", "bargauge", "stat", "gauge") and self.reduced == "lastNotNull"
        options = {**_OPTIONS.get(self.kind, {}), **self.options}
        if "reduceOptions" in options:
            options["reduceOptions"] = {**_LATEST, "calcs": [self.reduced]}
        steps = [{"color": color, "value": value} for value, color in self.thresholds]
        defaults: Json = {"unit": self.unit, "thresholds": {"mode": "absolute", "steps": steps}, **self.defaults}
        if self.link:
            defaults["links"] = [_link("Open in Eventflow", self.link)]
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "fieldConfig": {"defaults": defaults, "overrides": list(self.overrides)},
            "options": options,
            "transformations": list(self.transformations),
            "targets": [
                {
                    "refId": chr(ord("A") + i),
                    "datasource": DATASOURCE,
                    "expr": expression,
                    "legendFormat": legend,
                    "instant": instant,
                    "range": not instant,
                    "format": "table" if self.kind == "table" else "time_series",
                }
                for i, (expression, legend) in enumerate(self.targets)
            ],
        }


_LATEST: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_LEGEND: Json = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
_TOOLTIP: Json = {"mode": "multi", "sort": "desc"}
# Grafana's own defaults are written out where its schema wants a value.
_OPTIONS: dict[str, Json] = {
    "timeseries": {
        "legend": {**_LEGEND, "displayMode": "table", "calcs": ["lastNotNull", "max"]},
        "tooltip": _TOOLTIP,
    },
    "stat": {
        "reduceOptions": _LATEST,
        "colorMode": "value",
        "graphMode": "area",
        "textMode": "auto",
        "justifyMode": "auto",
        "orientation": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    },
    "gauge": {
        "reduceOptions": _LATEST,
        "showThresholdLabels": False,
        "showThresholdMarkers": True,
        "orientation": "auto",
        "sizing": "auto",
        "minVizWidth": 75,
        "minVizHeight": 75,
    },
    "bargauge": {
        "reduceOptions": _LATEST,
        "displayMode": "gradient",
        "orientation": "horizontal",
        "showUnfilled": True,
        "valueMode": "color",
        "namePlacement": "auto",
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "legend": {**_LEGEND, "showLegend": False},
    },
    "table": {"showHeader": True, "cellHeight": "sm", "frameIndex": 0, "footer": {"show": False, "reducer": ["sum"]}},
    "state-timeline": {
        "mergeValues": True,
        "showValue": "never",
        "rowHeight": 0.8,
        "legend": _LEGEND,
        "tooltip": _TOOLTIP,
    },
}


def table(
    title: str,
    description: str,
    columns: Sequence[tuple[str, str, str]],
    hidden: Sequence[str] = (),
    link: str = "",
    width: int = COLUMNS,
    height: int = 10,
) -> Panel:
    """Return a table with a row for each set of labels; columns are (expression, heading, unit)."""
    letters = [chr(ord("A") + i) for i in range(len(columns))]
    names = {f"Value #{letter}": heading for letter, (_, heading, _) in zip(letters, columns, strict=True)}
    if len(columns) == 1:
        names = {"Value": columns[0][1]}
    overrides = [
        {"matcher": {"id": "byName", "options": heading}, "properties": [{"id": "unit", "value": unit}]}
        for _, heading, unit in columns
    ]
    organize = {"excludeByName": {"Time": True, **dict.fromkeys(hidden, True)}, "renameByName": names}
    return Panel(
        title,
        description,
        columns[0][2],
        [(expression, heading) for expression, heading, _ in columns],
        kind="table",
        width=width,
        height=height,
        link=link,
        overrides=overrides,
        transformations=[{"id": "merge", "options": {}}, {"id": "organize", "options": organize}],
    )


def alert_list(title: str, description: str, width: int, height: int = 8) -> Panel:
    """Return the list of the firing alerts of ours, as Prometheus tells them."""
    options = {
        "viewMode": "list",
        "groupMode": "default",
        "maxItems": 30,
        "sortOrder": 1,
        "alertInstanceLabelFilter": '{product="eventflow",scope!="watchdog"}',
        "stateFilter": {"firing": True, "pending": True, "noData": False, "normal": False, "error": True},
        "datasource": "${datasource}",
    }
    return Panel(title, description, "short", (), kind="alertlist", width=width, height=height, options=options)


@dataclass(frozen=True)
class Board:
    """One dashboard: its panels flow from left to right, row after row."""

    name: str
    title: str
    description: str
    panels: Sequence[Panel]

    def render(self) -> Json:
        """Return what is put into Grafana's provisioning folder."""
        return {
            "id": None,
            "uid": f"eventflow-{self.name}",
            "title": f"Eventflow / {self.title}",
            "description": self.description,
            "tags": ["eventflow"],
            "schemaVersion": _SCHEMA_VERSION,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "timezone": "browser",
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "timepicker": {},
            "templating": {"list": _variables()},
            "annotations": {"list": _annotations()},
            "links": _links(),
            "panels": list(_placed(self.panels)),
        }


def _placed(panels: Sequence[Panel]) -> Sequence[Json]:
    placed, x, y, row = [], 0, 0, 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > COLUMNS:
            x, y, row = 0, y + row, 0
        placed.append(panel.render(number, x, y))
        x, row = x + panel.width, max(row, panel.height)
    return placed


def _variables() -> list[Json]:
    return [
        {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "current": {"text": "", "value": ""},
            "hide": 0,
            "refresh": 1,
            "regex": "",
        },
        _variable("job", "Job", "label_values(eventflow_build_info, job)"),
        _variable("instance", "Instance", 'label_values(eventflow_build_info{job=~"$job"}, instance)'),
        _variable(
            "cluster",
            "Cluster",
            'label_values(eventflow_collector_interval_seconds{job=~"$job",instance=~"$instance"}, cluster)',
        ),
        {
            "name": "eventflow_url",
            "label": "Address of Eventflow's dashboard",
            "type": "textbox",
            "query": "http://127.0.0.1:8501",
            "current": {"text": "http://127.0.0.1:8501", "value": "http://127.0.0.1:8501"},
            "hide": 2,
        },
    ]


def _variable(name: str, label: str, query: str) -> Json:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,  # when the time range changes: what has gone since would be missing otherwise
        "sort": 1,
        "hide": 0,
        "regex": "",
    }


def _annotations() -> list[Json]:
    # Redrives are those of the whole monitor, jobs have no cluster.
    jobs = f'eventflow_redrive_jobs{{{PROCESS},state="running"}}'
    lost = series("subscription_status", 'status=~"losing|stopped|stalled"')
    return [
        _annotation("Redrives", f"sum({jobs}) > 0", "a redrive runs", BLUE),
        _annotation(
            "State changes",
            f"max by (cluster, destination, subscriber, status) ({lost}) == 1",
            "{{subscriber}} on {{destination}} is {{status}}",
            RED,
        ),
    ]


def _annotation(name: str, expression: str, title: str, color: str) -> Json:
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "expr": expression,
        "titleFormat": title,
        "step": "60s",
        "iconColor": color,
    }


def _links() -> list[Json]:
    others: Json = {"type": "dashboards", "url": "", "tags": ["eventflow"], "targetBlank": False}
    return [
        _link("Eventflow", "${eventflow_url}"),
        {**_link("Other dashboards", ""), **others, "asDropdown": True, "includeVars": True, "keepTime": True},
    ]


def _link(title: str, url: str) -> Json:
    """Return a link out of Grafana, in another tab."""
    return {
        "title": title,
        "type": "link",
        "url": url,
        "icon": "external link",
        "tooltip": "",
        "tags": [],
        "targetBlank": True,
        "asDropdown": False,
        "includeVars": False,
        "keepTime": False,
    }


def as_export(board: Json) -> Json:
    """Return the same dashboard for `Import` in Grafana's pages, which asks for the data source."""
    exported: Json = _with_input(board)
    exported["templating"]["list"] = [it for it in exported["templating"]["list"] if it["name"] != "datasource"]
    kinds = sorted({panel["type"] for panel in board["panels"]})
    return {
        "__inputs": [
            {
                "name": "DS_PROMETHEUS",
                "label": "Prometheus",
                "description": "The Prometheus that scrapes Eventflow Monitor",
                "type": "datasource",
                "pluginId": "prometheus",
                "pluginName": "Prometheus",
            }
        ],
        "__requires": [
            {"type": "grafana", "id": "grafana", "name": "Grafana", "version": "11.0.0"},
            {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
            *({"type": "panel", "id": kind, "name": kind, "version": ""} for kind in kinds),
        ],
        **exported,
    }


def _with_input(part: Any) -> Any:
    match part:
        case dict():
            return {key: _with_input(value) for key, value in part.items()}
        case list():
            return [_with_input(value) for value in part]
        case "${datasource}":
            return "${DS_PROMETHEUS}"
    return part
