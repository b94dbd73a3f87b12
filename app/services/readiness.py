"""Whether the database has what this code needs, and row security holds in it."""

from __future__ import annotations

from sqlalchemy import text

from app.errors import CalendarUnavailable
from app.schema import newest_revision
from app.services.database import Database

_ROLE = text("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
_MIGRATED = text("SELECT to_regclass('alembic_version') IS NOT NULL")
_REVISION = text("SELECT version_num FROM alembic_version")


class Readiness:
    """Answers `/readyz`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._needed = newest_revision()

    def database_problems(self) -> list[str]:
        """One sentence for each thing that is wrong; empty when the database can be used.

        A newer schema is fine: migrations keep the previous release working while it is replaced.
        """
        try:
            with self._db.system() as session:
                bypasses = session.scalars(_ROLE).one()
                migrated = session.scalars(_MIGRATED).one()
                found = session.scalars(_REVISION).one_or_none() if migrated else None
        except CalendarUnavailable:
            return ["the database does not answer"]
        problems = []
        if bypasses:
            problems.append("the role passes row security (SUPERUSER or BYPASSRLS)")
        if int(found or 0) < self._needed:
            problems.append(f"the database is at migration {found or '0000'}, this needs {self._needed:04d}")
        return problems
