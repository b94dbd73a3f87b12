"""Webhook endpoints and deliveries over REST."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.services import Services
from tests.factories import Clock, as_tenant
from tests.integration.conftest import ApiClient, MakeApi
from tests.integration.outbox_bench import Bench

NEW = {"url": "https://crm.example.com/moed", "event_types": ["message.created"], "description": "CRM"}


@pytest.fixture
def client(api: MakeApi) -> ApiClient:
    """A key that may do everything."""
    return api()


def happened(client: ApiClient, services: Services, engine: Engine, clock: Clock) -> dict[str, Any]:
    """The delivery of something that has just happened."""
    Bench(services, engine, "", client.business, clock).happen()
    found: dict[str, Any] = client.get("/webhook-deliveries").json["items"][0]
    return found


def test_an_endpoint_is_made_read_changed_and_deleted(client: ApiClient) -> None:
    """The secret stands in the first answer and in none of the others."""
    made = client.post("/webhook-endpoints", NEW)
    assert (made.status_code, made.headers["ETag"]) == (201, '"1"')
    assert made.json["secret"].startswith("whsec_")
    endpoint = {name: value for name, value in made.json.items() if name != "secret"}
    assert endpoint == {
        **NEW,
        "id": endpoint["id"],
        "enabled": True,
        "disabled_reason": None,
        "version": 1,
        "created_at": "2026-11-22T08:00:00+02:00",
    }
    path = f"/webhook-endpoints/{endpoint['id']}"
    assert client.get(path).json == endpoint
    assert client.get("/webhook-endpoints").json["items"] == [endpoint]
    assert client.patch(path, {"enabled": False}).status_code == 428
    changed = client.patch(path, {"enabled": False}, version=1)
    assert (changed.status_code, changed.json) == (200, {**endpoint, "enabled": False, "version": 2})
    assert client.patch(path, {"enabled": True}, version=1).status_code == 412
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_a_secret_is_rotated(client: ApiClient) -> None:
    """200, a new one, another version."""
    made = client.post("/webhook-endpoints", NEW).json
    rotated = client.post(f"/webhook-endpoints/{made['id']}/rotate-secret")
    assert rotated.status_code == 200
    assert rotated.json["secret"] != made["secret"]
    assert rotated.json["version"] == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "http://crm.example.com/"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "crm.example.com"}, "url"),
        ({"url": None}, "url"),
        ({"event_types": []}, "event_types"),
        ({"event_types": ["message.deleted"]}, "event_types.0"),
        ({"description": "x" * 501}, "description"),
        ({"enabled": "true"}, "enabled"),
        ({"secret": "whsec_eA=="}, "secret"),
    ],
)
def test_a_bad_endpoint_is_named(client: ApiClient, changes: dict[str, Any], field: str) -> None:
    """422, and nothing is made."""
    answer = client.post("/webhook-endpoints", {**NEW, **changes})
    assert (answer.status_code, answer.json["field"]) == (422, field)
    assert client.get("/webhook-endpoints").json["items"] == []


def test_a_delivery_is_listed_read_and_replayed(
    client: ApiClient, services: Services, engine: Engine, clock: Clock
) -> None:
    """409 while it is on its way; afterwards it goes again with the same id."""
    endpoint = client.post("/webhook-endpoints", NEW).json
    delivery = happened(client, services, engine, clock)
    assert (delivery["endpoint_id"], delivery["state"]) == (endpoint["id"], "pending")
    assert (delivery["type"], delivery["attempt_count"]) == ("message.created", 0)
    path = f"/webhook-deliveries/{delivery['id']}"
    details = client.get(path).json
    assert details == {**delivery, "attempts": [], "payload": details["payload"]}
    assert details["payload"]["data"]["body"] == "Call me «back»"
    early = client.post(f"{path}/replay")
    assert (early.status_code, early.json["code"]) == (409, "invalid_state")
    with as_tenant(engine, client.business.id) as connection:
        connection.execute(
            text("UPDATE webhook_deliveries SET state = 'failed', next_attempt_at = NULL, attempt_count = 10")
        )
    failed = client.get("/webhook-deliveries", query_string={"state": "failed"})
    assert [item["id"] for item in failed.json["items"]] == [delivery["id"]]
    replayed = client.post(f"{path}/replay")
    assert (replayed.status_code, replayed.json["state"]) == (200, "pending")
    assert (replayed.json["message_id"], replayed.json["attempt_count"]) == (delivery["message_id"], 0)
    none = client.get("/webhook-deliveries", query_string={"endpoint_id": endpoint["id"] + 1})
    assert none.json["items"] == []


def test_a_test_event_is_a_delivery(client: ApiClient) -> None:
    """To see whether a receiver understands; 409 where it could not arrive."""
    endpoint = client.post("/webhook-endpoints", NEW).json
    path = f"/webhook-endpoints/{endpoint['id']}"
    sent = client.post(f"{path}/test")
    assert (sent.status_code, sent.json["type"], sent.json["state"]) == (201, "webhook.test", "pending")
    client.patch(path, {"enabled": False}, version=1)
    assert client.post(f"{path}/test").status_code == 409


def test_reading_scope_changes_nothing(api: MakeApi, client: ApiClient) -> None:
    """Nor does it see a secret."""
    endpoint = client.post("/webhook-endpoints", NEW).json
    reader = api("webhook-endpoints:read", business=client.business)
    path = f"/webhook-endpoints/{endpoint['id']}"
    assert "secret" not in reader.get(path).json
    assert reader.post("/webhook-endpoints", NEW).status_code == 403
    assert reader.post(f"{path}/rotate-secret").status_code == 403
    assert reader.delete(path).status_code == 403


def test_another_business_s_endpoint_is_a_404(api: MakeApi, client: ApiClient) -> None:
    """As if it never was."""
    endpoint = client.post("/webhook-endpoints", NEW).json
    other = api()
    path = f"/webhook-endpoints/{endpoint['id']}"
    assert other.get(path).status_code == 404
    assert other.patch(path, {"enabled": False}, version=1).status_code == 404
    assert other.delete(path).status_code == 404
    assert other.post(f"{path}/rotate-secret").status_code == 404
    assert other.get("/webhook-endpoints").json["items"] == []
