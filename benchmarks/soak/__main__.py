"""The long proofs, one a name: `make soak NAME=churn`."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.soak import (
    alerts,
    churn,
    coordinators,
    dashboard,
    faults,
    grafana,
    groups,
    kafka_redrive,
    proxy,
    rabbitmq_redrive,
    redrive_faults,
    redrive_memory,
    redrive_purge,
    runbooks,
    scenarios,
)
from stack.control import Stack
from stack.state import Options


def redrive_sqs() -> int:
    """Run the proof of SQS over an AWS stand-in of its own; the proof starts itself anew to be killed."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), Options(parts=("aws",)))
        endpoint = stack.start().aws
        try:
            command = [sys.executable, "-m", "benchmarks.soak.sqs_redrive", "--endpoint", endpoint]
            return subprocess.run(command, check=False).returncode
        finally:
            stack.stop()


SOAKS: Mapping[str, Callable[[], int]] = {
    "alerts": alerts.main,
    "churn": churn.main,
    "coordinators": coordinators.main,
    "dashboard": dashboard.main,
    "dashboard-proxy": proxy.main,
    "grafana": grafana.main,
    "faults": faults.main,
    "groups": groups.main,
    "redrive-kafka": kafka_redrive.main,
    "redrive-kafka-faults": kafka_redrive.main_faults,
    "redrive-kafka-elsewhere": kafka_redrive.main_elsewhere,
    "redrive-rabbitmq": rabbitmq_redrive.main,
    "redrive-sqs": redrive_sqs,
    "redrive-memory": redrive_memory.main,
    "redrive-purge": redrive_purge.main,
    "runbooks": runbooks.main,
    "scenarios": scenarios.main,
    "redrive-faults-kafka": partial(redrive_faults.main, "kafka"),
    "redrive-faults-rabbitmq": partial(redrive_faults.main, "rabbitmq"),
    "redrive-faults-sqs": partial(redrive_faults.main, "sqs"),
}


def main(arguments: Sequence[str]) -> int:
    """Run one proof; return its exit code, or 2 when there is none of that name."""
    if len(arguments) != 1 or arguments[0] not in SOAKS:
        print(f"Give one of these names: make soak NAME={'|'.join(SOAKS)}", file=sys.stderr)
        return 2
    return SOAKS[arguments[0]]()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
