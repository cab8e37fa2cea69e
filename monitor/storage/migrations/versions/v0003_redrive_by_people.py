"""Redrive: approval and verdicts, what was edited, what is set aside, what was exported."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what people decide about jobs, and what is kept for them."""
    for column in (
        sa.Column("action", sa.String(10), nullable=False, server_default="redrive"),
        sa.Column("archive", sa.String(36)),
        sa.Column("approval", sa.Text),
        sa.Column("approved_by", sa.String(200)),
        sa.Column("approved_at", sa.Double),
        sa.Column("canary_verdict", sa.String(10)),
        sa.Column("arrivals_before", sa.Double),
        sa.Column("may_have_bounced", sa.BigInteger),
    ):
        op.add_column("redrive_jobs", column)
    op.create_table(
        "redrive_edits",
        sa.Column("job", sa.String(36), nullable=False),
        sa.Column("position", sa.String(500), nullable=False),
        sa.Column("before_sha256", sa.String(64), nullable=False),
        sa.Column("after_sha256", sa.String(64), nullable=False),
        sa.Column("original", sa.LargeBinary),
        sa.Column("delete_at", sa.Double),
        sa.PrimaryKeyConstraint("job", "position", name="pk_redrive_edits"),
        sa.ForeignKeyConstraint(["job"], ["redrive_jobs.id"], name="fk_redrive_edits_job", ondelete="CASCADE"),
    )
    op.create_index("ix_redrive_edits_delete_at", "redrive_edits", ["delete_at"])
    op.create_table(
        "archive",
        sa.Column("job", sa.String(36), nullable=False),
        sa.Column("position", sa.String(500), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("delete_at", sa.Double, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("job", "position", name="pk_archive"),
        sa.ForeignKeyConstraint(["job"], ["redrive_jobs.id"], name="fk_archive_job", ondelete="CASCADE"),
    )
    op.create_index("ix_archive_delete_at", "archive", ["delete_at"])
    op.create_table(
        "exports",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("dead_letters", sa.Text, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_exports"),
    )
