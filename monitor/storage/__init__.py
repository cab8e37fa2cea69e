"""What outlives a restart: one database, SQLite by default, PostgreSQL for several monitors."""
