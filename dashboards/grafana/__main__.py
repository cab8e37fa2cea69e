"""Writes the dashboards.

`provisioned/` is for Grafana's folder, `export/` to be imported in its pages, and `deploy/kubernetes/dashboards.yaml`
for the sidecar that looks for config maps with the label `grafana_dashboard`.
"""

import json
from pathlib import Path

from dashboards.grafana.boards import BOARDS
from dashboards.grafana.panels import as_export

FOLDER = Path(__file__).parent
CONFIG_MAPS = FOLDER.parents[1] / "deploy" / "kubernetes" / "dashboards.yaml"


def render() -> dict[str, str]:
    """Return the text of each file, by its path below this folder."""
    files = {}
    for board in BOARDS:
        document = board.render()
        for folder, content in (("provisioned", document), ("export", as_export(document))):
            files[f"{folder}/{board.name}.json"] = json.dumps(content, indent=2) + "\n"
    return files


def render_config_maps() -> str:
    """Return the config maps, one a dashboard. JSON is YAML, so that no indentation has to be kept in the text."""
    documents = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": f"eventflow-dashboard-{board.name}",
                "namespace": "eventflow",
                "labels": {"grafana_dashboard": "1", "app.kubernetes.io/name": "eventflow-monitor"},
            },
            "data": {f"{board.name}.json": json.dumps(board.render())},
        }
        for board in BOARDS
    ]
    return "# Written by `make docs`.\n" + "---\n".join(json.dumps(it, indent=2) + "\n" for it in documents)


if __name__ == "__main__":
    for name, text in render().items():
        path = FOLDER / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    CONFIG_MAPS.write_text(render_config_maps(), encoding="utf-8")
