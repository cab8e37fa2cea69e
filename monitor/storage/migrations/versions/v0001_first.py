"""Counters that outlive a restart, mutes, audit, history."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "counters",
        sa.Column("cluster", sa.String(200), nullable=False),
        sa.Column("family", sa.String(200), nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("settled_until", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "family", "labels", name="pk_counters"),
    )
    op.create_table(
        "mutes",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("subscription", sa.Text, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_mutes"),
    )
    op.create_index("ix_mutes_subscription", "mutes", ["subscription"])
    op.create_table(
        "audit",
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("operation", sa.String(100), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit"),
        sa.UniqueConstraint("id", name="uq_audit_id"),
    )
    op.create_table(
        "history_series",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_history_series"),
        sa.UniqueConstraint("subject", name="uq_history_series_subject"),
    )
    op.create_table(
        "history_points",
        sa.Column("series", sa.Integer, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("messages", sa.Float),
        sa.Column("oldest_age_seconds", sa.Float),
        sa.Column("published_per_second", sa.Float),
        sa.Column("consumed_per_second", sa.Float),
        sa.Column("consumers", sa.Float),
        sa.Column("status", sa.String(10)),
        sa.PrimaryKeyConstraint("series", "step", "at", name="pk_history_points"),
        sa.ForeignKeyConstraint(["series"], ["history_series.id"], name="fk_history_points_series", ondelete="CASCADE"),
    )
