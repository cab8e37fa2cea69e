"""The catalog and the schema registry as they are configured now."""

from pathlib import Path

from monitor.catalog.bodies import Body, read_body
from monitor.catalog.fitting import Fitter
from monitor.catalog.loading import load_catalog
from monitor.catalog.model import Catalog
from monitor.catalog.registry import SchemaRegistry
from monitor.clock import Clock
from monitor.config import Configuration, RegistrySettings
from monitor.errors import ConfigurationError
from monitor.letters import DeadMessage


class Schemas:
    """What is known of schemas. Thread-safe. Raises ConfigurationError for a catalog with mistakes."""

    def __init__(self, configuration: Configuration, clock: Clock) -> None:
        self._clock = clock
        self._settings = configuration.schema_registry
        self.fitter = _load(configuration)
        self._registry = _open(self._settings, clock)

    def reconfigure(self, configuration: Configuration) -> None:
        """Go on by another configuration; the catalog is read anew. Raises ConfigurationError, with nothing changed."""
        fitter, settings = _load(configuration), configuration.schema_registry
        before = self._registry
        if settings != self._settings or settings.certificate_file or settings.ca_file:  # which may have been renewed
            self._registry = _open(settings, self._clock)
        self.fitter, self._settings = fitter, settings
        if before is not None and before is not self._registry:
            before.close()

    @property
    def catalog(self) -> Catalog | None:
        """The catalog that is configured now."""
        return self.fitter.catalog if self.fitter else None

    def read(self, message: DeadMessage) -> Body:
        """Return what the body of a message holds."""
        return read_body(message, self.catalog, self._registry)

    def close(self) -> None:
        """Let go of the connections."""
        if self._registry is not None:
            self._registry.close()


def _open(settings: RegistrySettings, clock: Clock) -> SchemaRegistry | None:
    if settings.url is None:
        return None
    url = settings.url.get_secret_value()
    try:
        tls = settings.make_context() if url.startswith("https:") else None
    except ValueError as error:  # of files that have become useless since the configuration was checked
        raise ConfigurationError(f"schema_registry: {error}") from error
    return SchemaRegistry(url, clock, tls)


def _load(configuration: Configuration) -> Fitter | None:
    return Fitter(load_catalog(Path(configuration.catalog))) if configuration.catalog else None
