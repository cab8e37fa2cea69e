"""Redrive: plans, jobs, and the journal of what became of each message."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables of redrive."""
    op.create_table(
        "redrive_plans",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("dead_letters", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_redrive_plans"),
    )
    op.create_table(
        "redrive_jobs",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("plan", sa.String(36), nullable=False),
        sa.Column("dead_letters", sa.Text, nullable=False),
        sa.Column("active_queue", sa.Text),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("state", sa.String(30), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("wanted", sa.String(10), nullable=False),
        sa.Column("rate_per_second", sa.Double),
        sa.Column("planned", sa.BigInteger, nullable=False),
        sa.Column("sent", sa.BigInteger, nullable=False),
        sa.Column("skipped", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("expired", sa.BigInteger, nullable=False),
        sa.Column("bounced", sa.BigInteger, nullable=False),
        sa.Column("ambiguous", sa.BigInteger, nullable=False),
        sa.Column("left", sa.BigInteger, nullable=False),
        sa.Column("interruptions", sa.Integer, nullable=False),
        sa.Column("resent", sa.BigInteger, nullable=False),
        sa.Column("reached", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_redrive_jobs"),
        sa.UniqueConstraint("sequence", name="uq_redrive_jobs_sequence"),
        sa.UniqueConstraint("active_queue", name="uq_redrive_jobs_active_queue"),
        sa.UniqueConstraint("idempotency_key", name="uq_redrive_jobs_idempotency_key"),
    )
    op.create_table(
        "redrive_items",
        sa.Column("job", sa.String(36), nullable=False),
        sa.Column("position", sa.String(500), nullable=False),
        sa.Column("redrive_id", sa.String(100), nullable=False),
        sa.Column("stage", sa.String(10), nullable=False),
        sa.Column("outcome", sa.String(10)),
        sa.Column("at_target", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("coordinates", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("job", "position", name="pk_redrive_items"),
        sa.ForeignKeyConstraint(["job"], ["redrive_jobs.id"], name="fk_redrive_items_job", ondelete="CASCADE"),
    )
    op.create_index("ix_redrive_items_redrive_id", "redrive_items", ["redrive_id"])
    op.create_table(
        "redrive_ranges",
        sa.Column("job", sa.String(36), nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("sent", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("job", "sequence", name="pk_redrive_ranges"),
        sa.ForeignKeyConstraint(["job"], ["redrive_jobs.id"], name="fk_redrive_ranges_job", ondelete="CASCADE"),
    )
