"""`create_app`, `wsgi` and the database's readiness."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import create_engine

from app import create_app
from app.services import Services, build_services, services_of
from app.services.database import engine_options
from app.settings import Settings, SettingsError, child_environment
from tests.integration.conftest import Server, app_settings

ROOT = Path(__file__).resolve().parents[2]


def problems_of(url: str) -> list[str]:
    engine = create_engine(url, **engine_options(1))
    try:
        return build_services(engine).readiness.database_problems()
    finally:
        engine.dispose()


def test_a_migrated_database_is_ready(services: Services) -> None:
    """Nothing to say."""
    assert services.readiness.database_problems() == []


def test_an_empty_database_is_not_ready(server: Server, new_database: Callable[[str | None], str]) -> None:
    """The migrations have not run."""
    (problem,) = problems_of(server.url_of(new_database(None)))
    assert problem.startswith("the database is at migration 0000, this needs ")


def test_a_superuser_is_not_ready(server: Server, database_url: str) -> None:
    """It passes row security."""
    database = database_url.partition("?")[0].rpartition("/")[2]
    url = server.admin_url.set(database=database).render_as_string(hide_password=False)
    assert problems_of(url) == ["the role passes row security (SUPERUSER or BYPASSRLS)"]


def test_readyz_tells_the_database_s_state(app: Flask) -> None:
    """The route asks the service."""
    response = app.test_client().get("/readyz")
    assert (response.status_code, response.json) == (200, {"status": "ready", "problems": []})


def test_the_services_work_without_a_request(app: Flask) -> None:
    """As the worker uses them: outside any app context."""
    assert services_of(app).businesses.find_by_phone_number("+97299999999") is None


def test_the_webhooks_are_there_only_with_their_settings(database_url: str) -> None:
    """An empty auth token would let anybody sign, so such an app has no webhooks at all."""
    urls = {"PUBLIC_BASE_URL": "https://moed.example", "MEDIA_PUBLIC_URL": "wss://media.example/media"}
    signed = {"TWILIO_AUTH_TOKEN": "secret"}
    statuses = [
        create_app(app_settings(database_url, **settings)).test_client().post("/voice/incoming").status_code
        for settings in ({}, urls, signed, {**urls, **signed}, {**urls, "TWILIO_SIGNATURE_CHECK": "0"})
    ]
    assert [status == 404 for status in statuses] == [True, True, True, False, False]


def test_without_a_database_url_there_is_no_application() -> None:
    """A lost setting must never open an empty calendar."""
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        create_app(Settings())


def flask_command(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flask", "--app", "wsgi", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_migration_command_needs_only_a_database(
    server: Server, new_database: Callable[[str | None], str]
) -> None:
    """`flask --app wsgi db upgrade`, as an operator runs it."""
    url = server.url_of(new_database(None))
    empty = dict.fromkeys(("PUBLIC_BASE_URL", "TWILIO_AUTH_TOKEN", "OPENAI_API_KEY"), "")
    done = flask_command(child_environment({**empty, "DATABASE_URL": url}), "db", "upgrade")
    assert (done.returncode, done.stderr) == (0, "")
    assert problems_of(url) == []


def test_the_migration_command_without_a_database_says_so(server: Server) -> None:
    """One line, exit code 2."""
    done = flask_command(child_environment({"DATABASE_URL": ""}), "db", "upgrade")
    assert done.returncode == 2
    assert done.stderr == "moed: missing setting: DATABASE_URL (see the settings table in README.md)\n"
