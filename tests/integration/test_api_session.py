"""Logging in and out over REST: the cookie, the CSRF token, and what other sites can't do."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from app import create_app
from app.domain.access import BUSINESS_SCOPES, ROLE_SCOPES, Role
from app.domain.users import NewUser, UserDetails
from app.models import db
from app.services import Services, build_services
from app.services.sessions import MOST_BY_EMAIL
from tests.factories import Clock, SomeBusiness, new_business
from tests.fakes.passwords import CheapHasher
from tests.integration.conftest import MakeApi, app_settings

PASSWORD, NEW_PASSWORD = "correct horse", "another horse"


@pytest.fixture
def services(app: Flask, engine: Engine, clock: Clock) -> Services:
    """The services with a hasher that costs nothing, also behind the routes."""
    services = build_services(engine, clock, CheapHasher())
    app.extensions["moed"] = services
    return services


@dataclass
class Browser:
    """Somebody at a dashboard. `csrf` is what the login told."""

    client: FlaskClient
    user: UserDetails
    address: str
    csrf: dict[str, str] = field(default_factory=dict)

    def log_in(self, password: str = PASSWORD, **headers: str) -> TestResponse:
        body = {"email": self.user.email, "password": password}
        answer = self.send("POST", "/session", json=body, headers=headers)
        if answer.status_code == 201:
            self.csrf = {"X-CSRF-Token": answer.json["csrf_token"]}
        return answer

    def send(self, method: str, path: str, **kwargs: Any) -> TestResponse:
        base = {"REMOTE_ADDR": self.address}
        return self.client.open(f"/api/v1{path}", method=method, environ_base=base, **kwargs)

    @property
    def token(self) -> str | None:
        """What the cookie holds."""
        cookie = self.client.get_cookie("moed_session")
        return None if cookie is None else cookie.value


OpenBrowser = Callable[..., Browser]


@pytest.fixture
def browser(app: Flask, services: Services, business: SomeBusiness) -> OpenBrowser:
    """A browser of a new user, not logged in; each has an address of its own."""

    def make(role: Role = Role.OWNER, place: SomeBusiness | None = None) -> Browser:
        new = NewUser(f"{secrets.token_hex(6)}@example.com", "Dana Levi", role, PASSWORD)
        user = services.users.create_user((place or business).id, new, "operator", BUSINESS_SCOPES)
        return Browser(app.test_client(), user, f"2001:db8::{secrets.token_hex(2)}:{secrets.token_hex(2)}")

    return make


@pytest.mark.parametrize("role", Role)
def test_a_login_tells_who_and_what_and_sets_a_cookie(browser: OpenBrowser, role: Role) -> None:
    """HttpOnly, so that no script reads it; the token is not in the body."""
    somebody = browser(role)
    answer = somebody.log_in()
    assert answer.status_code == 201
    assert answer.json["user"]["id"] == somebody.user.id
    assert (answer.json["business_id"], answer.json["role"]) == (somebody.user.business_id, role)
    assert answer.json["scopes"] == sorted(ROLE_SCOPES[role])
    assert answer.headers["Cache-Control"] == "no-store"
    name, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert name == f"moed_session={somebody.token}"
    assert {"HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=1209600"} <= set(attributes)
    assert not [part for part in attributes if part.startswith("Domain")]
    assert somebody.token is not None
    assert somebody.token not in answer.text


@pytest.mark.parametrize(
    ("env", "url", "secure"),
    [
        ("test", "http://127.0.0.1:8000", False),
        ("development", "http://192.0.2.1", False),
        ("test", "https://moed.example", True),
        ("production", "http://moed.example", True),
        ("production", "https://moed.example", True),
    ],
)
def test_the_cookie_needs_tls_except_where_there_is_none(
    database_url: str, services: Services, browser: OpenBrowser, env: str, url: str, secure: bool
) -> None:
    """On a developer's machine; in production always."""
    app = create_app(app_settings(database_url, MOED_ENV=env, PUBLIC_BASE_URL=url))
    app.extensions["moed"] = services
    somebody = browser()
    somebody.client = app.test_client()
    cookie = somebody.log_in().headers["Set-Cookie"]
    assert ("Secure" in cookie.split("; ")) is secure
    with app.app_context():
        db.engine.dispose()


def test_the_session_is_a_credential_for_reading(browser: OpenBrowser) -> None:
    """And says who is logged in, as the login did."""
    somebody = browser()
    begun = somebody.log_in()
    seen = somebody.send("GET", "/session")
    assert (seen.status_code, seen.json) == (200, begun.json)
    assert somebody.send("GET", "/resources").status_code == 200


@pytest.mark.parametrize("csrf", [None, "", "wrong", "é"])
def test_a_change_without_the_csrf_token_is_refused(browser: OpenBrowser, csrf: str | None) -> None:
    """The cookie alone is sent by any page that links here."""
    somebody = browser()
    somebody.log_in()
    headers = {} if csrf is None else {"X-CSRF-Token": csrf}
    for method, path, body in (("POST", "/resources", {"name": "Room 2"}), ("DELETE", "/session", None)):
        sent = {} if body is None else {"json": body}
        refused = somebody.send(method, path, headers=headers, **sent)
        assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    made = somebody.send("POST", "/resources", json={"name": "Room 2"}, headers=somebody.csrf)
    assert made.status_code == 201


def test_another_session_s_csrf_token_is_worth_nothing(browser: OpenBrowser) -> None:
    """It belongs to one token."""
    somebody, other = browser(), browser()
    somebody.log_in()
    other.log_in()
    refused = somebody.send("POST", "/resources", json={"name": "Room 2"}, headers=other.csrf)
    assert refused.status_code == 403


def test_logging_out_ends_the_session_and_clears_the_cookie(browser: OpenBrowser, app: Flask) -> None:
    """Whoever copied the cookie has nothing."""
    somebody = browser()
    somebody.log_in()
    token = somebody.token
    answer = somebody.send("DELETE", "/session", headers=somebody.csrf)
    assert (answer.status_code, answer.data) == (204, b"")
    assert somebody.token is None
    thief = app.test_client()
    thief.set_cookie("moed_session", str(token))
    assert thief.get("/api/v1/session").status_code == 401


def test_a_login_replaces_the_session_that_was_there(browser: OpenBrowser, app: Flask) -> None:
    """A planted cookie is not taken over, and an old one does not live on unseen."""
    somebody = browser()
    somebody.client.set_cookie("moed_session", "A" * 43)
    somebody.log_in()
    first = somebody.token
    somebody.log_in()
    assert len({first, somebody.token, "A" * 43}) == 3
    older = app.test_client()
    older.set_cookie("moed_session", str(first))
    assert older.get("/api/v1/session").status_code == 401
    assert somebody.send("GET", "/session").status_code == 200


def test_a_login_that_fails_leaves_the_session_alone(browser: OpenBrowser) -> None:
    """And sets no cookie."""
    somebody = browser()
    somebody.log_in()
    refused = somebody.log_in("wrong horse")
    assert (refused.status_code, refused.json["code"]) == (401, "wrong_login")
    assert "Set-Cookie" not in refused.headers
    assert somebody.send("GET", "/session").status_code == 200


def test_wrong_password_and_unknown_user_are_one_answer(browser: OpenBrowser) -> None:
    """To the byte."""
    somebody = browser()
    bodies = [
        {"email": somebody.user.email, "password": "wrong horse"},
        {"email": "nobody@example.com", "password": PASSWORD},
        {"email": "\x00", "password": "\x00"},
        {"email": "\ud800", "password": "\ud800"},
        {"email": "x", "password": "x" * 1000},
    ]
    answers = [somebody.send("POST", "/session", json=body) for body in bodies]
    assert {(answer.status_code, answer.data) for answer in answers} == {(401, answers[0].data)}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "a@b.c"},
        {"email": "a@b.c", "password": ""},
        {"email": "a@b.c", "password": None},
        {"email": "a@b.c", "password": "x" * 1001},
        {"email": "x" * 255, "password": "x"},
        {"email": ["a@b.c"], "password": "x"},
        {"email": "a@b.c", "password": "x", "remember": True},
    ],
)
def test_a_login_that_makes_no_sense_is_a_422(app: Flask, services: Services, body: dict[str, object]) -> None:
    """Before anything is counted or hashed."""
    assert app.test_client().post("/api/v1/session", json=body).status_code == 422


def test_too_many_logins_are_a_429(browser: OpenBrowser) -> None:
    """With the time to wait."""
    somebody = browser()
    answers = [somebody.log_in("wrong horse").status_code for _ in range(MOST_BY_EMAIL)]
    assert set(answers) == {401}
    refused = somebody.log_in()
    assert (refused.status_code, refused.json["code"]) == (429, "rate_limited")
    assert refused.headers["Retry-After"] == "900"


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://blog.localhost"}, False),
        ({"Origin": "http://localhost"}, True),
        ({"Origin": "https://localhost"}, True),
        ({"Origin": "http://localhost:81"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "https://localhost.evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://[x"}, False),
        ({"Origin": ""}, False),
    ],
)
def test_another_site_s_page_logs_nobody_in(browser: OpenBrowser, headers: dict[str, str], allowed: bool) -> None:
    """Else somebody could be made to work in a stranger's account without noticing."""
    somebody = browser()
    answer = somebody.log_in(**headers)
    assert answer.status_code == (201 if allowed else 403)
    assert ("Set-Cookie" in answer.headers) is allowed


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_of_another_site_logs_nobody_in(browser: OpenBrowser, kind: str) -> None:
    """Forms can't send JSON, and this takes nothing else."""
    somebody = browser()
    body = f'{{"email": "{somebody.user.email}", "password": "{PASSWORD}"}}'
    assert somebody.send("POST", "/session", data=body, content_type=kind).status_code == 415


def test_a_key_has_no_session(api: MakeApi) -> None:
    """404 to both, and the key goes on."""
    client = api()
    assert client.get("/session").status_code == 404
    assert client.delete("/session").status_code == 404
    assert client.get("/credential").status_code == 200


def test_a_session_that_is_over_is_a_401(browser: OpenBrowser, clock: Clock) -> None:
    """After twelve hours in which nobody did anything."""
    somebody = browser()
    somebody.log_in()
    clock.advance(hours=12)
    assert somebody.send("GET", "/session").status_code == 401


def test_a_session_stays_in_its_business(browser: OpenBrowser, services: Services) -> None:
    """Naming another one is refused, and its users are not there."""
    other = new_business(services)
    stranger = browser(place=other)
    somebody = browser()
    somebody.log_in()
    named = somebody.send("GET", "/session", headers={"Moed-Business": str(other.id)})
    assert named.status_code == 403
    assert somebody.send("GET", f"/users/{stranger.user.id}").status_code == 404


def test_a_receptionist_sets_their_own_password(browser: OpenBrowser) -> None:
    """With the current one; this session goes on, the others are over. Nobody else's."""
    owner, somebody = browser(), browser(Role.RECEPTIONIST)
    elsewhere = Browser(somebody.client.application.test_client(), somebody.user, somebody.address)
    somebody.log_in()
    elsewhere.log_in()
    path = f"/users/{somebody.user.id}/password"
    wrong = somebody.send("POST", path, json={"password": NEW_PASSWORD}, headers=somebody.csrf)
    assert (wrong.status_code, wrong.json["field"]) == (422, "current_password")
    body = {"password": NEW_PASSWORD, "current_password": PASSWORD}
    assert somebody.send("POST", path, json=body, headers=somebody.csrf).status_code == 204
    assert somebody.send("GET", "/session").status_code == 200
    assert elsewhere.send("GET", "/session").status_code == 401
    assert elsewhere.log_in(NEW_PASSWORD).status_code == 201
    others = somebody.send("POST", f"/users/{owner.user.id}/password", json=body, headers=somebody.csrf)
    assert others.status_code == 403


def test_nothing_of_a_login_is_logged(browser: OpenBrowser) -> None:
    """Neither e-mail nor password, token or address."""
    with capture_logs() as logs:
        somebody = browser()
        somebody.log_in()
        somebody.log_in("wrong horse")
        somebody.send("DELETE", "/session", headers=somebody.csrf)
    told = repr(logs)
    assert {"logged in", "login refused"} <= {entry["event"] for entry in logs}
    for secret in (somebody.user.email, PASSWORD, "wrong horse", somebody.address, *somebody.csrf.values()):
        assert secret not in told
