import subprocess
from collections.abc import Callable, Sequence

import pytest

Run = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]


@pytest.fixture
def run() -> Run:
    """Run a program to its end, whatever it says."""
    return lambda argv: subprocess.run(list(argv), capture_output=True, text=True, check=False, timeout=100)
