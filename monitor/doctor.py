"""What a bug report needs: versions, configuration without secrets, what can be reached, how the running monitor is."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import monitor
from monitor.apiclient import ApiClient
from monitor.clock import Clock
from monitor.config import Configuration
from monitor.diagnosis import diagnose
from monitor.errors import EventflowError
from monitor.logs import without_credentials

_LIBRARIES = (
    "confluent-kafka", "pika", "boto3", "apscheduler", "prometheus-client", "streamlit", "fastapi", "uvicorn",
    "sqlalchemy", "psycopg", "pydantic", "numpy", "httpx",
)  # fmt: skip
_HIDDEN = "(hidden)"
_SECRET_KEYS = ("sha256",)
"""What is no password and yet helps to guess one."""


def examine(configuration: Configuration, running: ApiClient, clock: Clock, within: float) -> dict[str, Any]:
    """Return everything as one JSON object; `within` is in seconds, for the brokers to answer.

    What cannot be found out is told in its place: a report from a broken installation is the one that is needed.
    """
    return {
        "taken_at": clock.now(),
        "monitor": monitor.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "configuration": hide(configuration.model_dump(mode="json")),
        "check": diagnose(configuration, clock, within).as_json(),
        "running": _running(running),
    }


def hide(values: Any) -> Any:
    """Return a configuration without its secrets; pydantic has hidden those that are declared as such."""
    match values:
        case dict():
            return {key: _HIDDEN if key in _SECRET_KEYS else hide(value) for key, value in values.items()}
        case list():
            return [hide(value) for value in values]
        case str():
            return without_credentials(values)
    return values


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _running(client: ApiClient) -> dict[str, Any]:
    try:
        return {"url": client.url, "about": client.about(), "collectors": client.collectors()}
    except EventflowError as error:
        return {"url": client.url, "error": str(error)}
