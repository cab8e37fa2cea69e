"""LocalStack's runtime, listening on loopback alone.

Version 4.12 hands the port of GATEWAY_LISTEN to Twisted and drops the host, so an IPv4 gateway listens everywhere. This
gives Twisted's IPv4 endpoint the address as its default before the runtime makes one.
"""

import importlib
import sys
from functools import partial
from typing import Any

if __name__ == "__main__":
    endpoints: Any = importlib.import_module("twisted.internet.endpoints")
    endpoints.TCP4ServerEndpoint = partial(endpoints.TCP4ServerEndpoint, interface="127.0.0.1")
    sys.exit(importlib.import_module("localstack.runtime.main").main())
