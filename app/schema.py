"""The database's schema from a process's point of view: bring it up to date, or wait until somebody did."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg2

from app.settings import Settings

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations" / "versions"
POLL_S = 1.0
# Below the 60 s in which routers want a starting process to answer.
DEADLINE_S = 50.0

Say = Callable[[str], None]


class SchemaProblem(Exception):
    """The schema is not what this release needs. `str(error)` is one line for the operator."""


def newest_revision() -> int:
    """The number of the newest migration of this release (its files are numbered)."""
    return max(int(path.name[:4]) for path in MIGRATIONS.glob("[0-9]*.py"))


def wait_for_schema(
    database_url: str,
    *,
    say: Say,
    needed: int | None = None,
    deadline_s: float = DEADLINE_S,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return when the database has at least migration `needed` (by default this release's newest).

    Where two apps share the database, the other one migrates, at about the same moment; a newer schema is
    fine, because migrations keep the previous release working. Raises `SchemaProblem` after `deadline_s`.
    """
    wanted = newest_revision() if needed is None else needed
    give_up_at = time.monotonic() + deadline_s
    told = ""
    while (problem := _problem(database_url, wanted)) is not None:
        if time.monotonic() >= give_up_at:
            raise SchemaProblem(f"{problem}: start the release phase (bin/start release) first")
        if problem != told:
            say(f"{problem}: waiting up to {deadline_s:g} s")
            told = problem
        sleep(POLL_S)


def migrate(settings: Settings, *, say: Say) -> None:
    """Run the migrations that are missing, one process at a time (migrations/env.py holds the lock).

    Raises `SchemaProblem` when the database does not answer.
    """
    import flask_migrate
    from sqlalchemy.exc import OperationalError

    from app import create_app

    app = create_app(settings)
    with app.app_context():
        try:
            flask_migrate.upgrade()
        except OperationalError as error:
            raise SchemaProblem(f"the migrations did not run: {_first_line(error.orig)}") from None
    say(f"release: the database is at migration {newest_revision():04d}")


def _problem(database_url: str, wanted: int) -> str | None:
    try:
        found = _revision(database_url)
    except psycopg2.errors.UndefinedTable:
        found = 0
    except psycopg2.OperationalError as error:
        return f"the database does not answer ({_first_line(error)})"
    if found < wanted:
        return f"the database is at migration {found:04d}, this release needs {wanted:04d}"
    return None


def _revision(database_url: str) -> int:
    dsn = database_url.replace("postgresql+psycopg2://", "postgresql://", 1)
    with closing(psycopg2.connect(dsn, connect_timeout=3)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT version_num FROM alembic_version")
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().partition("\n")[0]
