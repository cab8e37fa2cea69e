"""All tables. A change here needs a migration beside it; a test holds both equal."""

import sqlalchemy as sa

METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Counters that must not begin anew with each start: what has been added so far, and up to which moment.
COUNTERS = sa.Table(
    "counters",
    METADATA,
    sa.Column("cluster", sa.String(200), primary_key=True),
    sa.Column("family", sa.String(200), primary_key=True),
    sa.Column("labels", sa.Text, primary_key=True),  # JSON, keys sorted
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("settled_until", sa.Double, nullable=False),  # Unix seconds
)

MUTES = sa.Table(
    "mutes",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("subscription", sa.Text, nullable=False, index=True),  # an id, or a pattern over ids
    sa.Column("until", sa.Double, nullable=False),  # Unix seconds
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),  # unmuted before its time
)

# Append-only: each record carries the hash of the one before.
AUDIT = sa.Table(
    "audit",
    METADATA,
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("operation", sa.String(100), nullable=False),
    sa.Column("record", sa.Text, nullable=False),  # canonical JSON, the text that is hashed
    sa.Column("previous_hash", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)

HISTORY_SERIES = sa.Table(
    "history_series",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("subject", sa.Text, nullable=False, unique=True),  # subscription:ID or dead_letters:ID
)

HISTORY_POINTS = sa.Table(
    "history_points",
    METADATA,
    sa.Column("series", sa.ForeignKey("history_series.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True),  # seconds that one point stands for
    sa.Column("at", sa.BigInteger, primary_key=True),  # Unix seconds, a multiple of step
    sa.Column("messages", sa.Float),
    sa.Column("oldest_age_seconds", sa.Float),
    sa.Column("published_per_second", sa.Float),
    sa.Column("consumed_per_second", sa.Float),
    sa.Column("consumers", sa.Float),
    sa.Column("status", sa.String(10)),
)

# What was promised before anything was touched; `body` is canonical JSON, and `hash` is its hash.
REDRIVE_PLANS = sa.Table(
    "redrive_plans",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("dead_letters", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

# `active_queue` is the dead-letter queue's id while the job lives and NULL afterwards, so that its uniqueness keeps a
# second job away. The counts of `left` to `planned` always add up.
REDRIVE_JOBS = sa.Table(
    "redrive_jobs",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("sequence", sa.Integer, nullable=False, unique=True),
    sa.Column("plan", sa.String(36), nullable=False),
    sa.Column("dead_letters", sa.Text, nullable=False),
    sa.Column("active_queue", sa.Text, unique=True),
    sa.Column("idempotency_key", sa.String(200), unique=True),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("state", sa.String(30), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("wanted", sa.String(10), nullable=False),  # run, pause, cancel: what people asked for last
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
    sa.Column("resent", sa.BigInteger, nullable=False),  # ambiguous ones that were sent once more
    sa.Column("reached", sa.Text, nullable=False),  # JSON, in the bus's own terms
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("started_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Column("action", sa.String(10), nullable=False, server_default="redrive"),
    sa.Column("archive", sa.String(36)),  # the job whose archive this one restores
    sa.Column("approval", sa.Text),  # why somebody else must approve it; NULL when nobody must
    sa.Column("approved_by", sa.String(200)),
    sa.Column("approved_at", sa.Double),
    sa.Column("canary_verdict", sa.String(10)),
    sa.Column("arrivals_before", sa.Double),  # dead letters that had come in before it began
    sa.Column("may_have_bounced", sa.BigInteger),
)

# Messages that go the same way together, a row a batch; those of one that does not have rows of their own instead.
REDRIVE_BATCHES = sa.Table(
    "redrive_batches",
    METADATA,
    sa.Column("job", sa.ForeignKey("redrive_jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("stage", sa.String(10), nullable=False),  # intent, sent, removed
    sa.Column("at_target", sa.Text, nullable=False),
    sa.Column("messages", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),  # JSON: positions and coordinates of all of them
    sa.Column("at", sa.Double, nullable=False),
)

# One row a message where the broker keeps no proof itself and no batch stands for it; elsewhere only what was not sent.
REDRIVE_ITEMS = sa.Table(
    "redrive_items",
    METADATA,
    sa.Column("job", sa.ForeignKey("redrive_jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.String(500), primary_key=True),
    sa.Column("redrive_id", sa.String(100), nullable=False, index=True),
    sa.Column("stage", sa.String(10), nullable=False),  # intent, sent, removed, settled
    sa.Column("outcome", sa.String(10)),
    sa.Column("at_target", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("coordinates", sa.Text, nullable=False),  # JSON
    sa.Column("at", sa.Double, nullable=False),
)

# What was sent in one transaction of the broker: from which offsets to which.
REDRIVE_RANGES = sa.Table(
    "redrive_ranges",
    METADATA,
    sa.Column("job", sa.ForeignKey("redrive_jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("sent", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),  # JSON
)

# What was changed on the way. `original` is sealed, and goes at its date; the hashes stay.
REDRIVE_EDITS = sa.Table(
    "redrive_edits",
    METADATA,
    sa.Column("job", sa.ForeignKey("redrive_jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.String(500), primary_key=True),
    sa.Column("before_sha256", sa.String(64), nullable=False),
    sa.Column("after_sha256", sa.String(64), nullable=False),
    sa.Column("original", sa.LargeBinary),  # NULL where the broker keeps it
    sa.Column("delete_at", sa.Double, index=True),
)

# What was set aside where the broker cannot keep it: one row a message, sealed.
ARCHIVE = sa.Table(
    "archive",
    METADATA,
    sa.Column("job", sa.ForeignKey("redrive_jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.String(500), primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),  # the order in which they were taken
    sa.Column("bytes", sa.BigInteger, nullable=False),  # of the sealed body
    sa.Column("delete_at", sa.Double, nullable=False, index=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

# Which queues were exported to their end, unmasked: what a purge asks for.
EXPORTS = sa.Table(
    "exports",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("dead_letters", sa.Text, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("messages", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),  # of the stream
)

# What people noted as having happened, such as a deployment: what changed when dead letters began.
MARKS = sa.Table(
    "marks",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False, index=True),  # Unix seconds
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)
