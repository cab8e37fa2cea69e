"""What is wrong with the connections to a cluster, put together from what the library says beside its answers."""

import logging
import re
from collections.abc import Callable

from confluent_kafka import KafkaError

from monitor.brokers.handshakes import find_fault
from monitor.brokers.kafka.translation import address_in, alert_in, lacks_token, translate
from monitor.brokers.tls import tell_reason
from monitor.config import KafkaCluster, split_address
from monitor.errors import AuthenticationFailed, BrokerError, TimedOut, TlsFailed, Unreachable

LOG = logging.getLogger(__name__)

_DROPS_OF_TLS = 2
_FIRST_WORDS = re.compile(r"after (\d+ms in state APIVERSION_QUERY|\d{1,3}ms in state UP)\b")
_LONGEST_HANDSHAKE = 5.0
_SHORTEST_HANDSHAKE = 0.1
_MOMENT = 0.5


class Faults:
    """Hears the library's errors and log lines, and makes of them why a cluster cannot be reached.

    `works` says whether a connection of the present handle has ever served.
    """

    def __init__(self, cluster: KafkaCluster, monotonic: Callable[[], float]) -> None:
        self._cluster, self._monotonic = cluster, monotonic
        self.works = False
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._fault: BrokerError | None = None
        self._address = ""
        self._hopeless_since: float | None = None
        self._drops = 0

    def log(self, _level: int, text: str, *arguments: object) -> None:
        """Take one line of the library's log. They repeat with each attempt; what matters reaches people as errors."""
        line = text % arguments
        # A TLS listener takes plain words for noise and hangs up; nothing but the log tells in which state that was.
        # One that wants a login does so in the middle of a conversation, as far as the library can tell.
        if not self.works and "Disconnected" in line and _FIRST_WORDS.search(line):
            self._drops += 1
        LOG.debug("%s", line)

    def take(self, error: KafkaError) -> None:
        """Take one of the errors that the library tells besides its answers."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # comes after the reason for it, and does not tell it
            hopeless = True
        else:
            tokenless, oauth = lacks_token(error), self._cluster.security.oauth
            new = translate(error, oauth.token_url if tokenless and oauth else "")
            if self._fault is None or not self._fault.permanent or new.permanent:
                self._fault = new
                self._address = address_in(error)
            # With a connection that stands, a token that cannot be renewed is no reason to give up yet.
            hopeless = not self.works if tokenless else new.permanent
        if hopeless and self._hopeless_since is None:
            self._hopeless_since = self._monotonic()

    @property
    def hopeless(self) -> bool:
        """Say whether every broker is down or refuses, and has had a moment for thinking better of it."""
        return self._hopeless_since is not None and self._monotonic() - self._hopeless_since > _MOMENT

    def explain(self, error: BrokerError) -> BrokerError:
        """Prefer what the connections told: a request that nobody took only knows that it timed out."""
        if not isinstance(error, TimedOut | Unreachable):
            return error
        if self._fault is None and self._drops >= (1 if self.hopeless else _DROPS_OF_TLS):
            return self._tell_drops()
        return self._fault or error

    def settle(self, error: BrokerError, seconds: float) -> BrokerError:
        """Forget what went wrong, and return it as it is told; a fault of TLS may take a handshake to find."""
        address = self._address or self._cluster.bootstrap_servers.split(",")[0].strip()
        self.forget()
        if isinstance(error, TlsFailed) and self._cluster.security.protocol.endswith("ssl"):
            return self._tell_tls(error, address, seconds)
        return error

    def _tell_tls(self, error: TlsFailed, address: str, left: float) -> TlsFailed:
        files = self._cluster.security
        alert = alert_in(error.problem)
        if alert:
            return tell_reason(alert, address, certified=files.certificate_file is not None)
        seconds = min(_LONGEST_HANDSHAKE, max(_SHORTEST_HANDSHAKE, left))
        return find_fault(*split_address(address), files, address, seconds) or error

    def _tell_drops(self) -> BrokerError:
        target, remedy = self._cluster.bootstrap_servers, "check security.protocol"
        problem = "the broker drops connections at the first word: this listener probably"
        if self._cluster.security.protocol.endswith("ssl"):
            return AuthenticationFailed(f"{problem} wants a login", target=target, remedy=remedy)
        return TlsFailed(f"{problem} speaks TLS, or wants a login", target=target, remedy=remedy)
