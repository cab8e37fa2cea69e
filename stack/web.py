"""Asking a server's HTTP interface whether it is there."""

import base64
import http.client
import json
from typing import Any


def get(port: int, path: str, *, user: str = "", password: str = "", timeout_seconds: float = 2.0) -> tuple[int, bytes]:
    """GET a path from a loopback port; give status and body.

    Raises:
        OSError: it cannot be reached, or what answers does not speak HTTP.
    """
    headers = {}
    if user:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_seconds)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    except http.client.HTTPException as error:
        raise ConnectionResetError(f"it answered with something else than HTTP: {error!r}") from error
    finally:
        connection.close()


def get_json(port: int, path: str) -> Any:
    """GET a JSON document from a loopback port.

    Raises:
        OSError: it cannot be reached, or what it answers is not the document.
    """
    status, body = get(port, path)
    if status != http.client.OK:
        raise ConnectionResetError(f"it answered with status {status}")
    try:
        return json.loads(body)
    except ValueError as error:
        raise ConnectionResetError("it answered with something else than JSON") from error
