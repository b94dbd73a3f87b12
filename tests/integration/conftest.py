"""A database built by the migrations, used as the application's role. `postgres_admin_url` is the server's."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import flask_migrate
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import URL, Engine, create_engine, make_url, text
from sqlalchemy.pool import NullPool
from werkzeug.test import TestResponse

from app import create_app
from app.domain.access import BUSINESS_SCOPES, OPERATOR, SCOPES
from app.domain.api_keys import NewApiKey
from app.models import db
from app.services import Services, build_services
from app.settings import Settings, load_settings
from tests.factories import Clock, SomeBusiness, new_business


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server: its admin's URL, and a role like the application's in production."""

    admin_url: URL
    role: str
    password: str

    def run(self, *statements: str) -> None:
        """Run statements as the admin, each by itself (CREATE DATABASE wants no transaction)."""
        engine = create_engine(self.admin_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def url_of(self, database: str) -> str:
        """A database, seen by the application's role."""
        url = self.admin_url.set(username=self.role, password=self.password, database=database)
        return url.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def server(postgres_admin_url: str) -> Iterator[Server]:
    """The server with a role of its own for this test run: several runs may share one server."""
    url = make_url(postgres_admin_url).set(drivername="postgresql+psycopg2")
    name = f"moed_test_{secrets.token_hex(4)}"
    server = Server(url, name, secrets.token_hex(16))
    server.run(
        f"CREATE ROLE {name} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD '{server.password}'"
    )
    yield server
    server.run(f"DROP ROLE {name}")


@pytest.fixture(scope="session")
def new_database(server: Server) -> Iterator[Callable[[str | None], str]]:
    """Makes an empty database, or a copy of one that nobody is connected to; its name."""
    made: list[str] = []

    def make(template: str | None = None) -> str:
        name = f"{server.role}_{len(made)}"
        copied = f" TEMPLATE {template}" if template else ""
        server.run(f"CREATE DATABASE {name} OWNER {server.role}{copied}")
        made.append(name)
        return name

    yield make
    server.run(*(f"DROP DATABASE {name} WITH (FORCE)" for name in made))


@pytest.fixture(scope="session")
def migrated_template(server: Server, new_database: Callable[[str | None], str]) -> str:
    """A database as the migrations leave it; copied, never used."""
    name = new_database(None)
    app = create_app(app_settings(server.url_of(name)))
    with app.app_context():
        flask_migrate.upgrade()
        db.engine.dispose()
    return name


@pytest.fixture(scope="module")
def database_url(server: Server, new_database: Callable[[str | None], str], migrated_template: str) -> str:
    """A migrated database for one module's tests; each makes its own businesses in it."""
    return server.url_of(new_database(migrated_template))


@pytest.fixture(scope="module")
def app(database_url: str) -> Iterator[Flask]:
    """The application on that database, with a pool of ten connections."""
    app = create_app(app_settings(database_url))
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture(scope="module")
def engine(app: Flask) -> Engine:
    """The application's own engine."""
    with app.app_context():
        return db.engine


@pytest.fixture
def clock() -> Clock:
    """Sunday 2026-11-22, 08:00 in Jerusalem, until a test moves it."""
    return Clock()


@pytest.fixture
def services(engine: Engine, clock: Clock) -> Services:
    """The services with the test's clock."""
    return build_services(engine, clock)


@pytest.fixture
def business(services: Services) -> SomeBusiness:
    """A business of this test alone: Sunday to Thursday 09:00-17:00 in Jerusalem, 30 minutes, one resource."""
    return new_business(services)


def app_settings(database_url: str, **overrides: str) -> Settings:
    """Settings of a process that was given nothing but a database."""
    environment = {"DATABASE_URL": database_url, "MOED_ENV": "test", "DB_POOL_SIZE": "10"}
    return load_settings({**environment, **overrides})


@dataclass(frozen=True)
class ApiClient:
    """A program that uses the API with one key, over Flask's test client."""

    client: FlaskClient
    business: SomeBusiness
    token: str
    headers: dict[str, str] = field(default_factory=dict)

    def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **kwargs: Any
    ) -> TestResponse:
        """`path` is under /api/v1; `json=`, `query_string=` as in werkzeug."""
        sent = {"Authorization": f"Bearer {self.token}", **self.headers, **(headers or {})}
        return self.client.open(f"/api/v1{path}", method=method, headers=sent, **kwargs)

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        """GET; `query_string={…}` for the query."""
        return self.request("GET", path, **kwargs)

    def post(self, path: str, json: Any = None, **kwargs: Any) -> TestResponse:
        """POST, with a JSON body if there is one."""
        return self.request("POST", path, **({} if json is None else {"json": json}), **kwargs)

    def put(self, path: str, json: Any, version: int | None = None, **kwargs: Any) -> TestResponse:
        """PUT against a version that was seen."""
        return self._against(version, "PUT", path, json=json, **kwargs)

    def patch(self, path: str, json: Any, version: int | None = None, **kwargs: Any) -> TestResponse:
        """PATCH against a version that was seen."""
        return self._against(version, "PATCH", path, json=json, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> TestResponse:
        """DELETE."""
        return self.request("DELETE", path, **kwargs)

    def _against(self, version: int | None, method: str, path: str, **kwargs: Any) -> TestResponse:
        if version is not None:
            kwargs["headers"] = {"If-Match": f'"{version}"', **kwargs.get("headers", {})}
        return self.request(method, path, **kwargs)


MakeApi = Callable[..., ApiClient]


@pytest.fixture
def api(app: Flask, services: Services) -> MakeApi:
    """`api("calls:read", …)`: a client of a new business, with a key of these scopes (none named: all).

    `business=` takes an existing one, `operator=True` an operator's key. The services behind the routes use the
    test's clock.
    """
    app.extensions["moed"] = services

    def make(*scopes: str, business: SomeBusiness | None = None, operator: bool = False) -> ApiClient:
        owned = business or new_business(services)
        allowed = frozenset(SCOPES) if operator else BUSINESS_SCOPES
        wanted = frozenset(scopes) or allowed
        new = NewApiKey("test", wanted)
        key = services.api_keys.create_key(OPERATOR if operator else owned.id, new, "test", allowed)
        return ApiClient(app.test_client(), owned, key.token)

    return make
