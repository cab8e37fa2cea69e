"""The catalog and the schema registry as they are configured now."""

from pathlib import Path

from monitor.catalog.bodies import Body, read_body
from monitor.catalog.identifying import Identifier
from monitor.catalog.loading import load_catalog
from monitor.catalog.model import Catalog
from monitor.catalog.registry import SchemaRegistry
from monitor.clock import Clock
from monitor.config import Configuration
from monitor.letters import DeadMessage


class Schemas:
    """What is known of schemas. Thread-safe. Raises ConfigurationError for a catalog with mistakes."""

    def __init__(self, configuration: Configuration, clock: Clock) -> None:
        self._clock = clock
        self._settings = configuration.schema_registry
        self.identifier = _load(configuration)
        self._registry = self._open()

    def reconfigure(self, configuration: Configuration) -> None:
        """Go on by another configuration; the catalog is read anew. Raises ConfigurationError, with nothing changed."""
        self.identifier = _load(configuration)
        if configuration.schema_registry != self._settings:
            before, self._settings = self._registry, configuration.schema_registry
            self._registry = self._open()
            if before is not None:
                before.close()

    @property
    def catalog(self) -> Catalog | None:
        """The catalog that is configured now."""
        return self.identifier.catalog if self.identifier else None

    def read(self, message: DeadMessage) -> Body:
        """Return what the body of a message holds."""
        return read_body(message, self.catalog, self._registry)

    def close(self) -> None:
        """Let go of the connections."""
        if self._registry is not None:
            self._registry.close()

    def _open(self) -> SchemaRegistry | None:
        if self._settings.url is None:
            return None
        url = self._settings.url.get_secret_value()
        return SchemaRegistry(url, self._clock, self._settings.make_context() if url.startswith("https:") else None)


def _load(configuration: Configuration) -> Identifier | None:
    return Identifier(load_catalog(Path(configuration.catalog))) if configuration.catalog else None
