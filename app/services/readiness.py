"""Whether the database is the one that this code was written for, and row security holds in it."""

from __future__ import annotations

from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import text

from app.errors import CalendarUnavailable
from app.services.database import Database

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"

_FACTS = text(
    """
    SELECT rolsuper, rolbypassrls, to_regclass('alembic_version') IS NOT NULL
    FROM pg_roles WHERE rolname = current_user
    """
)


class Readiness:
    """Answers `/readyz`, and the worker that waits for the schema at boot."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._newest = ScriptDirectory(str(MIGRATIONS)).get_current_head()

    def database_problems(self) -> list[str]:
        """One sentence for each thing that is wrong; empty when the database can be used."""
        try:
            with self._db.system() as session:
                superuser, bypasses, migrated = session.execute(_FACTS).one()
                applied = (
                    session.scalars(text("SELECT version_num FROM alembic_version")).one_or_none()
                    if migrated
                    else None
                )
        except CalendarUnavailable:
            return ["the database does not answer"]
        problems = []
        if superuser or bypasses:
            problems.append("the role passes row security (SUPERUSER or BYPASSRLS)")
        if applied != self._newest:
            problems.append(f"the schema is at {applied or 'nothing'}, not at {self._newest}: run the migrations")
        return problems
