"""Users over REST."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.domain.access import BUSINESS_SCOPES, ROLE_SCOPES, Role
from app.services import Services, build_services
from tests.factories import Clock, as_tenant
from tests.fakes.passwords import CheapHasher
from tests.integration.conftest import ApiClient, MakeApi

PASSWORD, NEW_PASSWORD = "correct horse", "another horse"


@pytest.fixture
def services(engine: Engine, clock: Clock) -> Services:
    """The services with a hasher that costs nothing."""
    return build_services(engine, clock, CheapHasher())


def new(**changes: object) -> dict[str, object]:
    email = f"{secrets.token_hex(6)}@example.com"
    return {"email": email, "name": "Dana Levi", "role": "owner", "password": PASSWORD, **changes}


def add(client: ApiClient, **changes: object) -> dict[str, Any]:
    made = client.post("/users", new(**changes))
    assert made.status_code == 201, made.json
    return made.json


def log_in(client: ApiClient, user: dict[str, Any], password: str = PASSWORD) -> int:
    body = {"email": user["email"], "password": password}
    with client.client.application.test_client() as browser:
        return browser.post("/api/v1/session", json=body).status_code


def test_a_user_is_added_and_can_log_in(api: MakeApi) -> None:
    """The answer has all but the password."""
    client = api()
    user = add(client, role="receptionist", name=" Noa ")
    assert (user["name"], user["role"], user["active"], user["version"]) == ("Noa", "receptionist", True, 1)
    assert (user["created_at"], user["last_login_at"]) == ("2026-11-22T08:00:00+02:00", None)
    assert "password" not in json.dumps(user)
    assert log_in(client, user) == 201
    assert client.get(f"/users/{user['id']}").json["last_login_at"] == "2026-11-22T08:00:00+02:00"


def test_users_are_listed(api: MakeApi) -> None:
    """The oldest first, in pages."""
    client = api()
    users = [add(client) for _ in range(3)]
    first = client.get("/users", query_string={"limit": 2}).json
    second = client.get("/users", query_string={"limit": 2, "cursor": first["next_cursor"]}).json
    assert first["items"] + second["items"] == users
    assert second["next_cursor"] is None


def test_an_e_mail_that_somebody_has_is_a_409(api: MakeApi) -> None:
    """In any business, in any case."""
    user = add(api())
    refused = api().post("/users", new(email=user["email"].upper()))
    assert (refused.status_code, refused.json["code"]) == (409, "already_exists")
    assert refused.json["field"] == "email"


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "nobody"},
        {"email": " dana@example.com"},
        {"email": 5},
        {"name": ""},
        {"name": "a\x00b"},
        {"role": "operator"},
        {"role": None},
        {"password": "short"},
        {"password": "x" * 201},
        {"password": "with\x00nothing"},
        {"password": "with\nline end"},
        {"active": False},
        {"business_id": 1},
    ],
)
def test_a_user_that_makes_no_sense_is_a_422(api: MakeApi, changes: dict[str, object]) -> None:
    """Naming the field."""
    client = api()
    refused = client.post("/users", new(**changes))
    assert (refused.status_code, refused.mimetype) == (422, "application/problem+json")
    assert next(iter(changes)) in json.dumps(refused.json)
    assert client.get("/users").json["items"] == []


def test_a_change_needs_the_version_that_was_seen(api: MakeApi) -> None:
    """What is left out stays."""
    client = api()
    user = add(client)
    path = f"/users/{user['id']}"
    assert client.patch(path, {"name": "Noa"}).status_code == 428
    changed = client.patch(path, {"name": "Noa"}, version=1)
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    assert changed.json == {**user, "name": "Noa", "version": 2}
    assert client.patch(path, {"name": "Dana"}, version=1).status_code == 412
    assert client.get(path).json == changed.json


@pytest.mark.parametrize("changes", [{"role": "receptionist"}, {"active": False}])
def test_the_last_owner_stays_one(api: MakeApi, changes: dict[str, object]) -> None:
    """409, and nothing changed."""
    client = api()
    user = add(client)
    add(client, role="receptionist")
    refused = client.patch(f"/users/{user['id']}", changes, version=1)
    assert (refused.status_code, refused.json["code"]) == (409, "invalid_state")
    assert client.get(f"/users/{user['id']}").json == user


def test_who_is_kept_out_can_not_log_in(api: MakeApi) -> None:
    """Until they are let in again."""
    client = api()
    user = add(client, role="receptionist")
    client.patch(f"/users/{user['id']}", {"active": False}, version=1)
    assert log_in(client, user) == 401
    client.patch(f"/users/{user['id']}", {"active": True}, version=2)
    assert log_in(client, user) == 201


def test_nobody_makes_somebody_who_can_do_more(api: MakeApi) -> None:
    """A key that may write users is no owner for that."""
    client = api("users:read", "users:write", *ROLE_SCOPES[Role.RECEPTIONIST])
    owner = add(api(business=client.business))
    helper = add(client, role="receptionist")
    assert client.post("/users", new()).status_code == 403
    assert client.patch(f"/users/{helper['id']}", {"role": "owner"}, version=1).status_code == 403
    assert client.post(f"/users/{owner['id']}/password", {"password": NEW_PASSWORD}).status_code == 403
    assert log_in(client, owner) == 201


def test_another_s_password_is_set(api: MakeApi) -> None:
    """204; the old one is worth nothing."""
    client = api()
    user = add(client)
    answer = client.post(f"/users/{user['id']}/password", {"password": NEW_PASSWORD})
    assert (answer.status_code, answer.data) == (204, b"")
    assert log_in(client, user) == 401
    assert log_in(client, user, NEW_PASSWORD) == 201


@pytest.mark.parametrize("body", [{}, {"password": "short"}, {"password": None}, {"password": PASSWORD, "x": 1}])
def test_a_password_that_may_not_be_is_a_422(api: MakeApi, body: dict[str, object]) -> None:
    """The old one stays."""
    client = api()
    user = add(client)
    assert client.post(f"/users/{user['id']}/password", body).status_code == 422
    assert log_in(client, user) == 201


def test_a_password_can_not_be_guessed_from_what_is_stored(api: MakeApi, engine: Engine) -> None:
    """The hash of a request with an idempotency key holds the credential's secret too, and differs by it."""
    hashes = []
    body = new()
    for _ in range(2):
        client = api()
        client.post("/users", body, headers={"Idempotency-Key": "k1"})
        with as_tenant(engine, client.business.id) as connection:
            hashes.append(connection.execute(text("SELECT request_sha256 FROM idempotency_keys")).scalar_one())
    assert bytes(hashes[0]) != bytes(hashes[1])


def test_another_business_s_user_is_a_404(api: MakeApi) -> None:
    """Seen, changed, or given a password."""
    theirs, client = api(), api()
    user = add(theirs)
    path = f"/users/{user['id']}"
    assert client.get(path).status_code == 404
    assert client.patch(path, {"name": "X"}, version=1).status_code == 404
    assert client.post(f"{path}/password", {"password": NEW_PASSWORD}).status_code == 404
    assert theirs.get(path).json == user


@pytest.mark.parametrize(
    ("method", "path", "body", "needed"),
    [
        ("GET", "/users", None, "users:read"),
        ("GET", "/users/1", None, "users:read"),
        ("POST", "/users", new(), "users:write"),
        ("PATCH", "/users/1", {"name": "X"}, "users:write"),
        ("POST", "/users/1/password", {"password": NEW_PASSWORD}, "users:write"),
    ],
)
def test_each_needs_its_scope(api: MakeApi, method: str, path: str, body: object, needed: str) -> None:
    """All the others together are not enough."""
    client = api(*(BUSINESS_SCOPES - {needed}))
    sent = {} if body is None else {"json": body}
    refused = client.request(method, path, headers={"If-Match": '"1"'}, **sent)
    assert refused.status_code == 403
    assert needed in refused.json["detail"]
