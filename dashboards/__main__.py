"""`python -m dashboards --port N [--address A]`: serve the dashboard; `eventflow dashboard` does so."""

import argparse
import os
from pathlib import Path

from starlette.middleware import Middleware
from streamlit.starlette import App

from dashboards.gate import GATE, GateMiddleware, make_routes
from dashboards.warming import WARMING

app = App(
    Path(__file__).with_name("app.py").resolve(),
    routes=make_routes(GATE),
    middleware=[Middleware(GateMiddleware, gate=GATE)],
)


def main() -> None:
    """Serve until interrupted."""
    arguments = argparse.ArgumentParser(prog="python -m dashboards")
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--address", default="127.0.0.1")
    given = arguments.parse_args()
    # Else whoever is on this machine could say by X-Forwarded-For to be a listed proxy.
    os.environ["FORWARDED_ALLOW_IPS"] = ""
    WARMING.begin()
    app.run(
        config={
            "server.address": given.address,
            "server.port": given.port,
            "server.headless": True,
            "server.fileWatcherType": "none",
            "browser.gatherUsageStats": False,
            "client.toolbarMode": "minimal",
            "client.showErrorDetails": "none",
            # Readable on their backgrounds: Streamlit's own red is not, by 4.5 to 1.
            "theme.light.primaryColor": "#0b57a4",
            "theme.dark.primaryColor": "#8cc2ff",
        }
    )


if __name__ == "__main__":
    main()
