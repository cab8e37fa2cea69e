"""RabbitMQ 4 on a machine whose own is older. Not part of `make test`: it makes a root folder of 370 MB.

pytest tests/stack/rabbitmq_4.py
"""

import base64
import json
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stack import Options, Stack
from stack.processes import find_marked, mark_of


@pytest.mark.timeout(600)
def test_rabbitmq_4_serves_survives_a_crash_and_leaves_nothing_mounted(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "stack", Options(rabbitmq=4, parts=("rabbitmq",)))
    endpoints = stack.start()
    try:
        assert version(endpoints.rabbitmq.management).startswith("4.")
        stack.kill("rabbitmq")
        stack.restart("rabbitmq")
        assert version(endpoints.rabbitmq.management).startswith("4.")
        assert "rabbitmq-4" not in Path("/proc/mounts").read_text()
    finally:
        stack.stop()
    assert find_marked([mark_of(stack.directory)]) == []


def version(management: str) -> str:
    parts = urlsplit(management)
    login = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    address = f"http://{parts.hostname}:{parts.port}/api/overview"
    request = urllib.request.Request(address, headers={"Authorization": f"Basic {login}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return str(json.load(response)["rabbitmq_version"])
