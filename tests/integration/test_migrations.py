"""The migrations themselves: numbered, reversible, one at a time, and what the models say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import Engine, text

from app import create_app
from app.models import db
from app.schema import MIGRATIONS
from tests.integration.conftest import Server, app_settings

_OBJECTS = """
    SELECT 'relation ' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'policy ' || tablename || ' ' || qual FROM pg_policies
    UNION ALL SELECT 'constraint ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
"""


@pytest.fixture
def empty_app(server: Server, new_database: Callable[[str | None], str]) -> Iterator[Flask]:
    """The application on a database that has nothing in it."""
    app = create_app(app_settings(server.url_of(new_database(None))))
    with app.app_context():
        yield app
        db.engine.dispose()


def objects() -> list[str]:
    with db.engine.connect() as connection:
        return sorted(connection.scalars(text(_OBJECTS)))


def test_migrations_are_numbered_without_a_gap() -> None:
    """The file's number is its revision, and each follows the one before."""
    files = sorted(path for path in MIGRATIONS.glob("*.py"))
    numbers = [f"{number:04d}" for number in range(1, len(files) + 1)]
    assert [re.match(r"(\d{4})_[a-z_]+\.py", path.name)[1] for path in files] == numbers
    script = ScriptDirectory(str(MIGRATIONS.parent))
    revisions = list(script.walk_revisions())[::-1]
    assert [revision.revision for revision in revisions] == numbers
    assert [revision.down_revision for revision in revisions] == [None, *numbers[:-1]]
    assert [Path(revision.path).name[:4] for revision in revisions] == numbers


def test_the_way_down_and_up_again_ends_where_it_began(empty_app: Flask) -> None:
    """Down to nothing, and up to the same relations, functions, policies and constraints."""
    flask_migrate.upgrade()
    before = objects()
    flask_migrate.downgrade(revision="base")
    assert objects() == [
        "constraint alembic_version_pkc PRIMARY KEY (version_num)",
        *(
            ["constraint alembic_version_version_num_not_null NOT NULL version_num"]
            if any("not_null" in name for name in before)
            else []
        ),
        "relation alembic_version",
        "relation alembic_version_pkc",
    ]
    flask_migrate.upgrade()
    assert objects() == before


def test_each_step_down_can_be_taken_back(empty_app: Flask) -> None:
    """One migration at a time."""
    flask_migrate.upgrade()
    whole = objects()
    for _ in range(len(list(MIGRATIONS.glob("*.py")))):
        flask_migrate.downgrade(revision="-1")
    flask_migrate.upgrade()
    assert objects() == whole


def test_several_migrators_at_once_wait_for_each_other(empty_app: Flask) -> None:
    """As when two release phases meet: all succeed, and the schema is there once."""

    def migrate(_: int) -> None:
        with empty_app.app_context():
            flask_migrate.upgrade()

    with ThreadPoolExecutor(1) as alone:  # alembic's context is global: threads can't share it
        blocked = db.engine.connect()
        blocked.execute(text("SELECT pg_advisory_lock(60631968)"))
        waiting = alone.submit(migrate, 0)
        with db.engine.connect() as watcher:
            while not watcher.execute(
                text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            ).scalar_one():
                watcher.rollback()
        assert not waiting.done()
        blocked.execute(text("SELECT pg_advisory_unlock(60631968)"))
        blocked.close()
        waiting.result()
    assert any(name == "relation appointments" for name in objects())


def test_the_models_say_what_the_migrations_made(engine: Engine) -> None:
    """Tables, columns, types, keys, indexes. The EXCLUDE, CHECKs and policies have their own tests."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, db.metadata) == []
