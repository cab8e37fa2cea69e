"""Writes the dashboards: `provisioned/` for Grafana's folder, `export/` to be imported in its pages."""

import json
from pathlib import Path

from dashboards.grafana.boards import BOARDS
from dashboards.grafana.panels import as_export

FOLDER = Path(__file__).parent


def render() -> dict[str, str]:
    """Return the text of each file, by its path below this folder."""
    files = {}
    for board in BOARDS:
        document = board.render()
        for folder, content in (("provisioned", document), ("export", as_export(document))):
            files[f"{folder}/{board.name}.json"] = json.dumps(content, indent=2) + "\n"
    return files


if __name__ == "__main__":
    for name, text in render().items():
        path = FOLDER / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
