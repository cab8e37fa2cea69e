"""Runs the migrations on the connection, and in the transaction, that `monitor.storage.database` opened."""

from alembic import context

from monitor.storage.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
context.run_migrations()
