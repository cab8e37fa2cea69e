"""What the consumers call: a mail server and a warehouse, simulated, slow, and now and then out of order.

Both know a request by its key, as good services do: what is asked for again under the same key is done once. How they
are doing stands in a database of theirs, so that somebody else can take them out of service (`Condition`).
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from random import Random

from examples.event_flow.events import Item
from examples.event_flow.handling import DownstreamFailed, DownstreamRefused
from examples.event_flow.poison import UNDELIVERABLE_DOMAIN, WITHDRAWN_SKU
from examples.event_flow.store import open_store

MAIL_SERVER = "mail server"
WAREHOUSE = "warehouse"
_TABLES = """
CREATE TABLE IF NOT EXISTS requests (
    system TEXT NOT NULL, key TEXT NOT NULL, times INTEGER NOT NULL, PRIMARY KEY (system, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS conditions (
    system TEXT PRIMARY KEY, is_down INTEGER NOT NULL, extra_seconds REAL NOT NULL, takes_everything INTEGER NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Condition:
    """How a downstream service is doing: `extra_seconds` come on top of each call, `takes_everything` heals poison."""

    is_down: bool = False
    extra_seconds: float = 0.0
    takes_everything: bool = False


class World:
    """The database of the services downstream; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._db = open_store(path, _TABLES)

    def put(self, system: str, condition: Condition) -> None:
        """Have a service do as told, from its next call on."""
        self._db.execute("REPLACE INTO conditions VALUES (?, ?, ?, ?)", (system, *astuple(condition)))

    def condition(self, system: str) -> Condition:
        """Return how a service is doing."""
        query = "SELECT is_down, extra_seconds, takes_everything FROM conditions WHERE system = ?"
        row: tuple[int, float, int] | None = self._db.execute(query, (system,)).fetchone()
        return Condition(bool(row[0]), row[1], bool(row[2])) if row else Condition()

    def take(self, system: str, key: str) -> None:
        """Note a request; done once for each key, whatever the number of times."""
        self._db.execute(
            "INSERT INTO requests VALUES (?, ?, 1) ON CONFLICT (system, key) DO UPDATE SET times = times + 1",
            (system, key),
        )

    def close(self) -> None:
        """Close the database."""
        self._db.close()


class Downstream:
    """Takes `work_seconds` for a call, and fails a share of the calls, which succeed when tried again."""

    name = ""

    def __init__(
        self, world: World, flaky_share: float, work_seconds: float, rng: Random, wait: Callable[[float], object]
    ) -> None:
        self._world, self._flaky_share, self._work_seconds = world, flaky_share, work_seconds
        self._rng, self._wait = rng, wait

    def _call(self, key: str, subject: str, refusal: str | None) -> None:
        condition = self._world.condition(self.name)
        self._wait(self._work_seconds + condition.extra_seconds)
        if condition.is_down or self._rng.random() < self._flaky_share:
            raise DownstreamFailed(f"the {self.name} did not answer in time ({subject})")
        if refusal and not condition.takes_everything:
            raise DownstreamRefused(f"the {self.name} {refusal}")
        self._world.take(self.name, key)


class MailServer(Downstream):
    """Sends mails."""

    name = MAIL_SERVER

    def send(self, key: str, address: str, subject: str) -> None:
        """Send a mail, once for each key. Raises DownstreamFailed or DownstreamRefused."""
        hopeless = address.endswith(f"@{UNDELIVERABLE_DOMAIN}")
        self._call(key, subject, f"refused the mail: 451 no route to {UNDELIVERABLE_DOMAIN}" if hopeless else None)


class Warehouse(Downstream):
    """Keeps stock."""

    name = WAREHOUSE

    def reserve(self, key: str, order_id: str, items: list[Item]) -> None:
        """Put the items of an order aside, once for each key. Raises DownstreamFailed or DownstreamRefused.

        Where it raises, none is put aside.
        """
        hopeless = any(item.sku == WITHDRAWN_SKU for item in items)
        self._call(key, f"order {order_id}", f"has no bin for {WITHDRAWN_SKU}" if hopeless else None)
