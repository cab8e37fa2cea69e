"""Redrive: messages that go the same way together have a row a batch. What stands there message by message stays."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add batches."""
    op.create_table(
        "redrive_batches",
        sa.Column("job", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("stage", sa.String(10), nullable=False),
        sa.Column("at_target", sa.Text, nullable=False),
        sa.Column("messages", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("job", "number", name="pk_redrive_batches"),
        sa.ForeignKeyConstraint(["job"], ["redrive_jobs.id"], name="fk_redrive_batches_job", ondelete="CASCADE"),
    )
