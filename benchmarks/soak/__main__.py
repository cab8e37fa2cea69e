"""The long proofs, one a name: `make soak NAME=churn`."""

import sys
from collections.abc import Callable, Mapping, Sequence

from benchmarks.soak import churn, kafka_redrive

SOAKS: Mapping[str, Callable[[], int]] = {
    "churn": churn.main,
    "redrive-kafka": kafka_redrive.main,
    "redrive-kafka-faults": kafka_redrive.main_faults,
}


def main(arguments: Sequence[str]) -> int:
    """Run one proof; return its exit code, or 2 when there is none of that name."""
    if len(arguments) != 1 or arguments[0] not in SOAKS:
        print(f"Give one of these names: make soak NAME={'|'.join(SOAKS)}", file=sys.stderr)
        return 2
    return SOAKS[arguments[0]]()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
