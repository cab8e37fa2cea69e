"""A process that looks at the groups of one prefix again and again, and prints a line of JSON for each look.

Usage: polling HOST:PORT PREFIX [admin|offsets_topic]
"""

import json
import sys
import time
from typing import Any

from monitor.errors import BrokerError
from tests.integration.kafka.playground import Playground


def main() -> None:
    playground = Playground(sys.argv[1])
    playground.prefix = sys.argv[2]
    collector = playground.collector(commits=sys.argv[3] if len(sys.argv) > 3 else "admin")
    while True:
        try:
            snapshot = collector.collect(time.monotonic() + 5)
        except BrokerError as error:
            line: dict[str, Any] = {"backlogs": [], "said": str(error)}
        else:
            backlogs = [seen.backlog_messages for seen in snapshot.subscriptions]
            line = {"backlogs": backlogs, "said": " ".join(error.message for error in snapshot.errors)}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
