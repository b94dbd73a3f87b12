"""Every route of the API, tried with every kind of credential that must not get through.

Each operation of the OpenAPI document has an `Entry`; an operation without one fails. What is tried is about a
business that has everything, and whose rows are compared afterwards.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from app.domain.access import BUSINESS_SCOPES, Role
from app.domain.api_keys import NewApiKey
from app.domain.messages import NewMessage
from app.domain.users import NewUser
from app.services import Services
from tests.factories import MONDAY, Clock, as_tenant, incoming_call, local
from tests.integration.conftest import ApiClient, MakeApi
from tests.integration.test_api_conventions import PUBLIC, operations
from tests.integration.test_tenancy import tenant_tables

MARK = "Zerubavel"
"""In every text of the business that has everything: nobody else may ever read it."""

PASSWORD = "correct horse battery"
START = local(MONDAY, "10:00").isoformat()
HOLD_START = local(MONDAY, "11:00").isoformat()
POLICY = {"slot_size_min": 30, "weekly_hours": {"mon": [["09:00", "17:00"]]}}


@dataclass(frozen=True)
class Entry:
    """What to send. `body` may name things of the business that has everything, as `{name}` of its ids.

    `own` is true where another business's credential gets its own things and no 404. `takes_credential`: any
    credential may ask, so that a read-only one may too.
    """

    body: dict[str, Any] | None = None
    query: str = ""
    own: bool = False
    any_scope: bool = False


@dataclass
class Full:
    """A business with one of everything; `ids` by the names of the path's parameters."""

    client: ApiClient
    ids: dict[str, Any] = field(default_factory=dict)


ENTRIES: dict[tuple[str, str], Entry] = {
    ("get", "/credential"): Entry(own=True, any_scope=True),
    ("get", "/session"): Entry(own=True, any_scope=True),
    ("delete", "/session"): Entry(own=True, any_scope=True),
    ("get", "/businesses"): Entry(own=True),
    ("post", "/businesses"): Entry({"name": "New", "timezone": "Asia/Jerusalem", "language": "en"}, own=True),
    ("get", "/businesses/{business_id}"): Entry(),
    ("patch", "/businesses/{business_id}"): Entry({"name": "Taken over"}),
    ("get", "/slot-policy"): Entry(own=True),
    ("put", "/slot-policy"): Entry(POLICY, own=True),
    ("post", "/slot-policy/preview"): Entry(
        {
            "policy": POLICY,
            "first_day": str(MONDAY),
            "last_day": str(MONDAY),
            "resource_id": "{resource_id}",
        }
    ),
    ("get", "/resources/{resource_id}/slot-policy"): Entry(),
    ("put", "/resources/{resource_id}/slot-policy"): Entry(POLICY),
    ("delete", "/resources/{resource_id}/slot-policy"): Entry(),
    ("get", "/date-overrides"): Entry(own=True),
    ("post", "/date-overrides"): Entry({"first_day": str(MONDAY), "windows": [], "resource_id": "{resource_id}"}),
    ("delete", "/date-overrides/{date_override_id}"): Entry(),
    ("post", "/date-overrides/import-holidays"): Entry(
        {"first_day": "2027-01-01", "last_day": "2027-12-31"}, own=True
    ),
    ("get", "/resources"): Entry(own=True),
    ("post", "/resources"): Entry({"name": "New"}, own=True),
    ("get", "/resources/{resource_id}"): Entry(),
    ("patch", "/resources/{resource_id}"): Entry({"name": "Taken over"}),
    ("get", "/appointment-types"): Entry(own=True),
    ("post", "/appointment-types"): Entry({"name": "New", "duration_min": 30, "resource_ids": ["{resource_id}"]}),
    ("get", "/appointment-types/{appointment_type_id}"): Entry(),
    ("patch", "/appointment-types/{appointment_type_id}"): Entry({"name": "Taken over"}),
    ("get", "/blocks"): Entry(own=True),
    ("post", "/blocks"): Entry({"starts_at": START, "ends_at": HOLD_START, "resource_id": "{resource_id}"}),
    ("get", "/blocks/{block_id}"): Entry(),
    ("delete", "/blocks/{block_id}"): Entry(),
    ("get", "/availability"): Entry(query=f"?from={MONDAY}&to={MONDAY}&resource_id={{resource_id}}"),
    ("get", "/appointments"): Entry(own=True),
    ("post", "/appointments"): Entry({"starts_at": START, "customer_name": "New", "resource_id": "{resource_id}"}),
    ("get", "/appointments/{appointment_id}"): Entry(),
    ("get", "/appointments/{appointment_id}/history"): Entry(),
    ("patch", "/appointments/{appointment_id}"): Entry({"customer_name": "Taken over"}),
    ("post", "/appointments/{appointment_id}/reschedule"): Entry({"starts_at": START}),
    ("post", "/appointments/{appointment_id}/cancel"): Entry({"reason": "x"}),
    ("post", "/appointments/{appointment_id}/no-show"): Entry(),
    ("post", "/appointments/{appointment_id}/complete"): Entry(),
    ("post", "/holds"): Entry({"starts_at": START, "resource_id": "{resource_id}"}),
    ("post", "/holds/{hold_id}/confirm"): Entry({"customer_name": "Taken over"}),
    ("delete", "/holds/{hold_id}"): Entry(),
    ("get", "/calls"): Entry(own=True),
    ("get", "/calls/{call_id}"): Entry(),
    ("get", "/messages"): Entry(own=True),
    ("get", "/messages/{message_id}"): Entry(),
    ("patch", "/messages/{message_id}"): Entry({"handled": True}),
    ("post", "/customers/export"): Entry({"phone": "+972521234567"}, own=True),
    ("post", "/customers/erase"): Entry({"phone": "+972521234567"}, own=True),
    ("get", "/calendar-feeds"): Entry(own=True),
    ("post", "/calendar-feeds"): Entry({"name": "New", "resource_id": "{resource_id}"}),
    ("delete", "/calendar-feeds/{feed_id}"): Entry(),
    ("get", "/api-keys"): Entry(own=True),
    ("post", "/api-keys"): Entry({"name": "New", "scopes": ["calls:read"]}, own=True),
    ("get", "/api-keys/{key_id}"): Entry(),
    ("delete", "/api-keys/{key_id}"): Entry(),
    ("get", "/users"): Entry(own=True),
    ("post", "/users"): Entry(
        {"email": "{new_email}", "name": "New", "role": "receptionist", "password": PASSWORD}, own=True
    ),
    ("get", "/users/{user_id}"): Entry(),
    ("patch", "/users/{user_id}"): Entry({"name": "Taken over"}),
    ("post", "/users/{user_id}/password"): Entry({"password": PASSWORD + "!"}),
    ("get", "/webhook-endpoints"): Entry(own=True),
    ("post", "/webhook-endpoints"): Entry(
        {"url": "https://example.com/hook", "event_types": ["appointment.created"]}, own=True
    ),
    ("get", "/webhook-endpoints/{endpoint_id}"): Entry(),
    ("patch", "/webhook-endpoints/{endpoint_id}"): Entry({"description": "Taken over"}),
    ("delete", "/webhook-endpoints/{endpoint_id}"): Entry(),
    ("post", "/webhook-endpoints/{endpoint_id}/rotate-secret"): Entry(),
    ("post", "/webhook-endpoints/{endpoint_id}/test"): Entry(),
    ("get", "/webhook-deliveries"): Entry(own=True),
    ("get", "/webhook-deliveries/{delivery_id}"): Entry(),
    ("post", "/webhook-deliveries/{delivery_id}/replay"): Entry(),
}


@pytest.fixture
def full(api: MakeApi, services: Services) -> Full:
    """A business that has one of everything, each with `MARK` in its texts."""
    client = api()
    made = Full(client, {"business_id": client.business.id, "resource_id": client.business.resources[0]})
    made.ids["new_email"] = f"{secrets.token_hex(6)}@example.com"

    def make(path: str, body: dict[str, Any], name: str) -> Any:
        answer = client.post(path, body)
        assert answer.status_code == 201, answer.text
        made.ids[name] = answer.json.get("id")
        return answer.json

    resource = client.get(f"/resources/{made.ids['resource_id']}").json
    client.patch(f"/resources/{resource['id']}", {"name": MARK}, resource["version"])
    client.put(f"/resources/{resource['id']}/slot-policy", POLICY, headers={"If-Match": "*"})
    hook = {"url": f"https://example.com/{MARK}", "event_types": ["appointment.created"], "description": MARK}
    make("/webhook-endpoints", hook, "endpoint_id")
    make("/date-overrides", {"first_day": "2026-12-24", "windows": [], "name": MARK}, "date_override_id")
    made.ids["date_override_id"] = client.get("/date-overrides").json["items"][0]["id"]
    make("/appointment-types", {"name": MARK, "duration_min": 60}, "appointment_type_id")
    day = "2026-12-30T"
    make(
        "/blocks",
        {"starts_at": f"{day}09:00:00+02:00", "ends_at": f"{day}10:00:00+02:00", "reason": MARK},
        "block_id",
    )
    make(
        "/appointments",
        {"starts_at": START, "customer_name": MARK, "customer_phone": "+972521234567", "notes": MARK},
        "appointment_id",
    )
    make("/holds", {"starts_at": HOLD_START}, "hold_id")
    make("/calendar-feeds", {"name": MARK}, "feed_id")
    make("/api-keys", {"name": MARK, "scopes": ["calls:read"]}, "key_id")
    email = f"{secrets.token_hex(6)}@example.com"
    make("/users", {"email": email, "name": MARK, "role": "receptionist", "password": PASSWORD}, "user_id")
    call = services.calls.accept_call(incoming_call(client.business))
    made.ids["call_id"] = call.call_id
    message = services.messages.leave_message(NewMessage(client.business.id, MARK, caller_name=MARK))
    made.ids["message_id"] = message.id
    made.ids["delivery_id"] = client.get("/webhook-deliveries").json["items"][0]["id"]
    return made


def filled_in(template: Any, ids: dict[str, Any]) -> Any:
    """A body or query with the names in braces replaced by ids."""
    if isinstance(template, dict):
        return {name: filled_in(value, ids) for name, value in template.items()}
    if isinstance(template, list):
        return [filled_in(value, ids) for value in template]
    if isinstance(template, str) and template[:1] == "{" and template[1:-1] in ids:
        return ids[template[1:-1]]
    return template


def attempt(method: str, path: str, entry: Entry, client: ApiClient, full: Full) -> TestResponse:
    """One request about things of `full`, with the credential of `client`."""
    target = (path + entry.query).format(**full.ids)
    body = {} if entry.body is None else {"json": filled_in(entry.body, full.ids)}
    return client.request(method.upper(), target, headers={"If-Match": "*"}, **body)


def rows_of(engine: Engine, business_id: int) -> dict[str, list[str]]:
    """Everything that is stored of a business, but for when its key was used."""
    with as_tenant(engine, business_id) as connection:
        found = {}
        for table in tenant_tables(engine):
            key = "id" if table == "businesses" else "business_id"
            query = f"SELECT to_jsonb(t) - 'last_used_at' FROM {table} t WHERE {key} = :id"  # noqa: S608 - our tables
            rows = connection.execute(text(query), {"id": business_id}).scalars()
            found[table] = sorted(json.dumps(row, sort_keys=True) for row in rows)
    return found


@pytest.fixture
def paths(app: Flask) -> list[tuple[str, str]]:
    """(method, path below /api/v1) of every operation with a credential."""
    with app.test_client().get("/api/v1/openapi.json") as response:
        document = json.loads(response.data)
    return [
        (method, path.removeprefix("/api/v1"))
        for method, path, _ in operations(document)
        if (method, path) not in PUBLIC
    ]


def test_every_operation_has_an_entry(paths: list[tuple[str, str]]) -> None:
    """And every entry an operation: so the walks below leave nothing out."""
    assert set(ENTRIES) == set(paths)


def walk(paths: list[tuple[str, str]]) -> Iterator[tuple[str, str, Entry]]:
    """What the tests go through."""
    for method, path in paths:
        yield method, path, ENTRIES[method, path]


def with_token(client: ApiClient, token: str) -> ApiClient:
    """The same client with another key."""
    return ApiClient(client.client, client.business, token)


def new_key(services: Services, full: Full, scopes: frozenset[str], **changes: Any) -> tuple[int, str]:
    key = services.api_keys.create_key(
        full.client.business.id, NewApiKey("test", scopes, **changes), "test", BUSINESS_SCOPES
    )
    return key.details.id, key.token


def test_without_a_good_credential_every_operation_is_a_401(
    app: Flask, services: Services, engine: Engine, clock: Clock, paths: list[tuple[str, str]], full: Full
) -> None:
    """None at all, one that was revoked, one that has expired."""
    revoked_id, revoked = new_key(services, full, BUSINESS_SCOPES)
    services.api_keys.revoke_key(full.client.business.id, revoked_id, "test")
    later = clock().replace(hour=7)
    _, expired = new_key(services, full, BUSINESS_SCOPES, expires_at=later)
    clock.advance(hours=2)
    before = rows_of(engine, full.client.business.id)
    passed = []
    for method, path, entry in walk(paths):
        nobody = app.test_client().open("/api/v1" + path.format(**full.ids), method=method.upper())
        answers = [nobody] + [
            attempt(method, path, entry, with_token(full.client, token), full) for token in (revoked, expired)
        ]
        passed += [f"{method} {path}: {a.status_code}" for a in answers if a.status_code != 401 or MARK in a.text]
    assert passed == []
    assert rows_of(engine, full.client.business.id) == before


def test_a_read_only_key_changes_nothing(
    services: Services, engine: Engine, paths: list[tuple[str, str]], full: Full
) -> None:
    """It sees everything, and every operation that writes is a 403."""
    scopes = frozenset(scope for scope in BUSINESS_SCOPES if scope.endswith(":read"))
    reader = with_token(full.client, new_key(services, full, scopes)[1])
    before = rows_of(engine, full.client.business.id)
    wrong = []
    for method, path, entry in walk(paths):
        if entry.any_scope:
            continue
        answer = attempt(method, path, entry, reader, full)
        reads = method == "get" or path in ("/customers/export", "/slot-policy/preview")
        expected = reads and path != "/businesses"
        if (answer.status_code == 200) != expected or (not expected and answer.status_code != 403):
            wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
    assert wrong == []
    assert rows_of(engine, full.client.business.id) == before


OtherTenant = Callable[[Services, MakeApi, Flask], ApiClient]


def other_key(services: Services, api: MakeApi, app: Flask) -> ApiClient:
    """Another business's key that may do everything."""
    return api()


def other_session(services: Services, api: MakeApi, app: Flask) -> ApiClient:
    """Another business's owner, logged in."""
    stranger = api()
    email = f"{secrets.token_hex(6)}@example.com"
    services.users.create_user(
        stranger.business.id, NewUser(email, "Stranger", Role.OWNER, PASSWORD), "test", BUSINESS_SCOPES
    )
    browser = app.test_client()
    answer = browser.post("/api/v1/session", json={"email": email, "password": PASSWORD})
    return SessionClient(browser, stranger.business, "", {"X-CSRF-Token": answer.json["csrf_token"]})


class SessionClient(ApiClient):
    """A browser: its cookie instead of a key."""

    def request(self, method: str, path: str, *, headers: Any = None, **kwargs: Any) -> TestResponse:
        """Without the Authorization header."""
        sent = {**self.headers, **(headers or {})}
        return self.client.open(f"/api/v1{path}", method=method, headers=sent, **kwargs)


@pytest.mark.parametrize("other", [other_key, other_session])
def test_another_business_sees_and_changes_nothing(
    app: Flask,
    services: Services,
    engine: Engine,
    api: MakeApi,
    paths: list[tuple[str, str]],
    full: Full,
    other: OtherTenant,
) -> None:
    """What it names of ours is not there; what it lists, makes or erases is its own."""
    before = rows_of(engine, full.client.business.id)
    wrong, stranger = [], other(services, api, app)
    for method, path, entry in sorted(walk(paths), key=lambda step: step[:2] == ("delete", "/session")):
        answer = attempt(method, path, entry, stranger, full)
        found = answer.status_code if answer.status_code in (403, 404) else answer.status_code // 100
        allowed = {"/businesses": (403,)}.get(path, (2, 404) if entry.own else (404,))
        if found not in allowed or MARK in answer.text:
            wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
    assert wrong == []
    assert rows_of(engine, full.client.business.id) == before
