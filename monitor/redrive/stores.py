"""All that redrive keeps in the database, opened together."""

from dataclasses import dataclass

from monitor.clock import Clock
from monitor.config import Configuration
from monitor.redrive.archive import Archive
from monitor.redrive.audit import Audit
from monitor.redrive.edits import EditLog
from monitor.redrive.exports import Exports
from monitor.redrive.journal import Journal
from monitor.redrive.sealing import Sealer
from monitor.storage.database import Database


@dataclass(frozen=True, slots=True)
class Stores:
    """Jobs and their journal, what was done, edited, set aside and exported."""

    journal: Journal
    audit: Audit
    edits: EditLog
    archive: Archive
    exports: Exports

    @classmethod
    def of(cls, database: Database, configuration: Configuration, clock: Clock) -> "Stores":
        """Return those of one database."""
        wanted = configuration.archive
        sealer = Sealer([key.get_secret_value() for key in wanted.keys])
        return cls(
            Journal(database),
            Audit(database, clock),
            EditLog(database, sealer, wanted.keep, clock),
            Archive(database, sealer, wanted.keep, wanted.most_bytes, clock),
            Exports(database),
        )
