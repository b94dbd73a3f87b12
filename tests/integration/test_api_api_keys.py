"""API keys over REST: made, listed, revoked; a token is in one answer and nowhere else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Engine, text
from structlog.testing import capture_logs

from app.domain.access import BUSINESS_SCOPES, CREATE_BUSINESSES
from tests.factories import as_tenant
from tests.integration.conftest import ApiClient, MakeApi

NEW = {"name": "Online booking", "scopes": ["appointments:read", "resources:read"]}


def use(client: ApiClient, token: str) -> Any:
    """Ask with another key."""
    return client.get("/credential", headers={"Authorization": f"Bearer {token}"})


def test_a_key_is_made_and_works(api: MakeApi) -> None:
    """For the business of whoever makes it."""
    client = api()
    made = client.post("/api-keys", NEW)
    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    used = use(client, made.json["token"])
    assert (used.status_code, used.json["scopes"]) == (200, NEW["scopes"])
    assert used.json["business_id"] == client.business.id


def test_the_token_is_shown_once(api: MakeApi) -> None:
    """Neither the list nor the key itself has it again."""
    client = api()
    made = client.post("/api-keys", NEW).json
    one = client.get(f"/api-keys/{made['id']}")
    listed = client.get("/api-keys")
    assert one.status_code == listed.status_code == 200
    assert one.json == {name: value for name, value in made.items() if name != "token"}
    assert one.json in listed.json["items"]
    assert made["token"] not in one.text + listed.text


def test_a_key_made_twice_with_one_idempotency_key_is_one(api: MakeApi, engine: Engine) -> None:
    """The second answer lacks the token: to give it again the database would have to keep it."""
    client = api()
    first, second = (client.post("/api-keys", NEW, headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.json == {**first.json, "token": None}
    with as_tenant(engine, client.business.id) as connection:
        rows = connection.execute(text("SELECT * FROM idempotency_keys")).all()
        assert connection.execute(text("SELECT count(*) FROM api_keys")).scalar_one() == 2
    assert len(rows) == 1
    assert first.json["token"] not in repr(rows)


def test_a_revoked_key_is_a_401(api: MakeApi) -> None:
    """At once; revoking it again is no error, and it stands among those that were."""
    client = api()
    made = client.post("/api-keys", NEW).json
    for _ in range(2):
        revoked = client.delete(f"/api-keys/{made['id']}")
        assert (revoked.status_code, revoked.data) == (204, b"")
    assert use(client, made["token"]).status_code == 401
    assert client.get(f"/api-keys/{made['id']}").status_code == 404
    assert made["id"] not in [key["id"] for key in client.get("/api-keys").json["items"]]
    (revoked,) = client.get("/api-keys", query_string={"revoked": "true"}).json["items"]
    assert (revoked["id"], revoked["revoked_at"]) == (made["id"], "2026-11-22T08:00:00+02:00")


def test_nobody_gives_a_scope_that_they_lack(api: MakeApi) -> None:
    """403, and no key."""
    client = api("api-keys:write", "api-keys:read", "appointments:read")
    refused = client.post("/api-keys", NEW)
    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    assert client.post("/api-keys", {**NEW, "scopes": ["appointments:read"]}).status_code == 201
    assert len(client.get("/api-keys").json["items"]) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"scopes": []},
        {"scopes": ["everything"]},
        {"scopes": [CREATE_BUSINESSES]},
        {"scopes": None},
        {"name": ""},
        {"name": " "},
        {"name": "x" * 201},
        {"expires_at": "2026-11-22T05:59:59Z"},
        {"expires_at": "2027-01-01T00:00:00"},
        {"expires_at": "tomorrow"},
        {"business_id": 1},
        {"token": "moed_mine"},
    ],
)
def test_a_key_that_makes_no_sense_is_a_422(api: MakeApi, changes: dict[str, object]) -> None:
    """Naming the field."""
    client = api()
    refused = client.post("/api-keys", {**NEW, **changes})
    assert (refused.status_code, refused.mimetype) == (422, "application/problem+json")
    assert next(iter(changes)) in json.dumps(refused.json)


def test_a_key_expires(api: MakeApi) -> None:
    """The instant is told in the business's zone."""
    made = api().post("/api-keys", {**NEW, "expires_at": "2026-12-01T00:00:00Z"}).json
    assert made["expires_at"] == "2026-12-01T02:00:00+02:00"
    assert made["last_used_at"] is made["revoked_at"] is None


def test_an_operator_makes_keys_for_the_business_that_it_names(api: MakeApi) -> None:
    """The first key of a new business comes this way; without the header there is no business."""
    client = api(operator=True)
    named = {"Moed-Business": str(client.business.id)}
    assert client.post("/api-keys", NEW).status_code == 422
    made = client.post("/api-keys", {**NEW, "scopes": sorted(BUSINESS_SCOPES)}, headers=named)
    assert made.status_code == 201
    assert use(client, made.json["token"]).json["business_id"] == client.business.id
    nowhere = client.post("/api-keys", NEW, headers={"Moed-Business": str(10**12)})
    assert nowhere.status_code == 404


def test_another_business_s_key_is_a_404(api: MakeApi) -> None:
    """Seen or revoked, it is not there."""
    theirs, client = api(), api()
    key = theirs.post("/api-keys", NEW).json
    assert client.get(f"/api-keys/{key['id']}").status_code == 404
    assert client.delete(f"/api-keys/{key['id']}").status_code == 404
    assert use(theirs, key["token"]).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/api-keys", "api-keys:read"),
        ("GET", "/api-keys/1", "api-keys:read"),
        ("POST", "/api-keys", "api-keys:write"),
        ("DELETE", "/api-keys/1", "api-keys:write"),
    ],
)
def test_each_needs_its_scope(api: MakeApi, method: str, path: str, needed: str) -> None:
    """All the others together are not enough."""
    client = api(*(BUSINESS_SCOPES - {needed}))
    refused = client.request(method, path, **({"json": NEW} if method == "POST" else {}))
    assert refused.status_code == 403
    assert needed in refused.json["detail"]


def test_no_token_is_logged(api: MakeApi) -> None:
    """Not when it is made, used, or refused."""
    with capture_logs() as logs:
        client = api()
        token = client.post("/api-keys", NEW).json["token"]
        use(client, token)
        use(client, token[:-1])
    told = repr(logs)
    assert logs
    assert token[14:] not in told
    assert client.token[14:] not in told
