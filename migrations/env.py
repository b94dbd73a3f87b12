"""Runs the migrations on the app's own connection settings, one process at a time."""

from alembic import context
from flask import current_app
from sqlalchemy import Connection, text

# Any constant will do, as long as nothing else in the database locks it.
ADVISORY_LOCK = 6_063_1968


def prepare(connection: Connection) -> None:
    """Wait for other migrators without limit, then let a blocked ALTER fail before it queues every reader."""
    for setting, value in (
        ("statement_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
        ("lock_timeout", "0"),
    ):
        connection.execute(
            text("SELECT set_config(:setting, :value, false)"), {"setting": setting, "value": value}
        )
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
    connection.execute(text("SELECT set_config('lock_timeout', '5s', false)"))
    connection.commit()


def run() -> None:
    """Every migration in one transaction: all of them or none."""
    migrate = current_app.extensions["migrate"]
    with migrate.db.engine.connect() as connection:
        # A connection outside the pool is closed at the end, and its session's lock and settings with it.
        connection.detach()
        prepare(connection)
        context.configure(connection=connection, target_metadata=migrate.db.metadata, **migrate.configure_args)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    raise SystemExit("migrations run against a database: there is no --sql mode")
run()
