"""Holds and free times over REST."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.services import Services
from tests.factories import MONDAY, SUNDAY, Clock, as_tenant, local
from tests.integration.conftest import ApiClient, MakeApi

TEN = "2026-11-23T10:00:00+02:00"


def hold(client: ApiClient, **changes: Any) -> Any:
    """POST /holds."""
    headers = changes.pop("headers", None)
    return client.post("/holds", {"starts_at": TEN, **changes}, headers=headers)


def free_at(client: ApiClient, at: str) -> bool:
    """Whether a start of Monday is listed."""
    (monday,) = client.get("/availability?from=2026-11-23&to=2026-11-23").json["days"]
    return at in [slot["starts_at"][11:16] for slot in monday["slots"]]


def test_a_hold_becomes_an_appointment(api: MakeApi) -> None:
    """It keeps its id and number, and its place in between."""
    client = api()
    held = hold(client, minutes=10)
    assert (held.status_code, held.headers["ETag"], held.json["status"]) == (201, '"1"', "held")
    assert (held.json["customer_name"], held.json["expires_at"]) == ("", "2026-11-22T08:10:00+02:00")
    assert not free_at(client, "10:00")
    assert hold(client).json["code"] == "slot_taken"
    path = f"/holds/{held.json['id']}/confirm"
    assert client.post(path, {"customer_name": "Dana"}, headers={"If-Match": '"2"'}).status_code == 412
    confirmed = client.post(path, {"customer_name": "Dana", "customer_phone": "0521234567"})
    assert (confirmed.status_code, confirmed.json["status"], confirmed.json["version"]) == (200, "confirmed", 2)
    assert (confirmed.json["id"], confirmed.json["number"]) == (held.json["id"], held.json["number"])
    again = client.post(path, {"customer_name": "Dana"})
    assert (again.status_code, again.json["code"]) == (409, "invalid_state")
    assert client.delete(f"/holds/{held.json['id']}").status_code == 409


def test_a_released_hold_is_free_and_stays_released(api: MakeApi) -> None:
    """204, twice; its confirmation is 409."""
    client = api()
    held = hold(client).json
    for _ in range(2):
        assert client.delete(f"/holds/{held['id']}").status_code == 204
    assert free_at(client, "10:00")
    refused = client.post(f"/holds/{held['id']}/confirm", {"customer_name": "Dana"})
    assert (refused.status_code, refused.json["code"]) == (409, "invalid_state")


def test_an_overdue_hold_loses_its_place_to_whoever_is_next(api: MakeApi, clock: Clock) -> None:
    """Without anybody sweeping."""
    client = api()
    held = hold(client).json
    clock.advance(minutes=5)
    assert free_at(client, "10:00")
    assert hold(client).status_code == 201
    assert client.post(f"/holds/{held['id']}/confirm", {"customer_name": "Dana"}).status_code == 409


def test_a_key_holds_once_even_if_the_first_answer_was_never_kept(api: MakeApi, engine: Engine) -> None:
    """The service knows the key too."""
    client = api()
    key = {"Idempotency-Key": "k1"}
    first = hold(client, headers=key).json
    with as_tenant(engine, client.business.id) as connection:
        connection.execute(text("DELETE FROM idempotency_keys"))
    assert hold(client, headers=key).json == first


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"minutes": 0}, 422, "minutes"),
        ({"minutes": 61}, 422, "minutes"),
        ({"minutes": "5"}, 422, "minutes"),
        ({"starts_at": "x"}, 422, "starts_at"),
        ({"customer_name": "Dana"}, 422, "customer_name"),
        ({"resource_id": 10**15}, 404, None),
        ({"appointment_type_id": 10**15}, 404, None),
    ],
)
def test_a_bad_hold_names_its_field(api: MakeApi, changes: dict[str, Any], status: int, field: str | None) -> None:
    """And keeps nothing."""
    client = api()
    refused = hold(client, **changes)
    assert (refused.status_code, refused.json.get("field")) == (status, field)
    assert free_at(client, "10:00")


def test_free_times_come_by_day_with_a_reason_for_each_empty_one(api: MakeApi, services: Services) -> None:
    """In the business's offset and zone."""
    client = api()
    services.businesses.set_date_override(client.business.id, MONDAY, [])
    answer = client.get("/availability?from=2026-11-22&to=2026-11-28")
    assert answer.status_code == 200
    assert answer.json["timezone"] == "Asia/Jerusalem"
    days = answer.json["days"]
    assert [(day["day"], len(day["slots"]), day["refusal_code"]) for day in days] == [
        ("2026-11-22", 16, None),
        ("2026-11-23", 0, "closed_date"),
        ("2026-11-24", 16, None),
        ("2026-11-25", 16, None),
        ("2026-11-26", 16, None),
        ("2026-11-27", 0, "outside_hours"),
        ("2026-11-28", 0, "outside_hours"),
    ]
    assert days[0]["slots"][0] == {
        "starts_at": "2026-11-22T09:00:00+02:00",
        "ends_at": "2026-11-22T09:30:00+02:00",
        "resource_id": client.business.resources[0],
    }
    assert days[1]["message"] == "closed on this date"


def test_free_times_are_asked_for_a_type_and_a_resource(api: MakeApi, services: Services) -> None:
    """404 for who does not take it, 409 for what is no longer given."""
    client = api()
    business = client.business
    other = services.businesses.add_resource(business.id, "Room 2")
    values = {"name": "Long", "duration_min": 240, "resource_ids": [other]}
    type_id = services.appointment_types.create_type(business.id, values, "test").id
    query = {"from": str(MONDAY), "to": str(MONDAY), "appointment_type_id": type_id}
    (monday,) = client.get("/availability", query_string=query).json["days"]
    assert [slot["starts_at"][11:16] for slot in monday["slots"]][-1] == "13:00"
    assert {slot["resource_id"] for slot in monday["slots"]} == {other}
    refused = client.get("/availability", query_string={**query, "resource_id": business.resources[0]})
    assert refused.status_code == 404
    services.appointment_types.update_type(business.id, type_id, {"active": False}, None, "test")
    assert client.get("/availability", query_string=query).status_code == 409


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "from"),
        ("from=2026-11-22", "to"),
        ("from=2026-11-22&to=2026-11-21", "to"),
        ("from=2026-11-22&to=2026-12-23", "to"),
        ("from=0001-01-01&to=0001-01-01", "from"),
        ("from=2026-02-30&to=2026-03-01", "from"),
        ("from=2026-11-22&to=2026-11-22&resource_id=x", "resource_id"),
        ("from=2026-11-22&to=2026-11-22&step=5", "step"),
    ],
)
def test_a_bad_range_names_its_parameter(api: MakeApi, query: str, field: str) -> None:
    """422; thirty-one days are the most."""
    client = api()
    refused = client.get(f"/availability?{query}")
    assert (refused.status_code, refused.json["field"]) == (422, field)
    assert len(client.get("/availability?from=2026-11-22&to=2026-12-22").json["days"]) == 31


def test_free_times_of_another_s_resource_are_not_found(api: MakeApi) -> None:
    """Tenants do not see one another."""
    client, other = api(), api()
    query = {"from": str(SUNDAY), "to": str(SUNDAY), "resource_id": other.business.resources[0]}
    assert client.get("/availability", query_string=query).status_code == 404
    assert local(SUNDAY, "09:00").isoformat() in str(
        other.get("/availability", query_string=query).json["days"][0]["slots"][0]
    )
