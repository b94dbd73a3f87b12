"""Appointments over REST: booked, listed, corrected, moved, closed; and every way in which that is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.services import Services
from tests.factories import MONDAY, Clock, as_tenant, booking, local
from tests.integration.conftest import ApiClient, MakeApi

TEN = "2026-11-23T10:00:00+02:00"
NOON = "2026-11-23T12:00:00+02:00"


def book(client: ApiClient, starts_at: str = TEN, **changes: Any) -> Any:
    """POST /appointments."""
    headers = changes.pop("headers", None)
    return client.post(
        "/appointments", {"starts_at": starts_at, "customer_name": "Dana Levi", **changes}, headers=headers
    )


def booked(client: ApiClient, starts_at: str = TEN, **changes: Any) -> dict[str, Any]:
    """An appointment, as the API shows it."""
    answer = book(client, starts_at, **changes)
    assert answer.status_code == 201, answer.json
    found: dict[str, Any] = answer.json
    return found


def act(
    client: ApiClient, appointment: dict[str, Any], action: str, version: int | None = None, **body: Any
) -> Any:
    """POST /appointments/{id}/{action}; with a body where the action has one."""
    headers = {} if version is None else {"If-Match": f'"{version}"'}
    has_body = action in ("cancel", "reschedule")
    return client.post(f"/appointments/{appointment['id']}/{action}", body if has_body else None, headers=headers)


def test_a_booking_is_answered_with_the_appointment(api: MakeApi) -> None:
    """201, its ETag, the business's offset and zone; the same on GET."""
    client = api()
    answer = book(client, "2026-11-23T08:00:00Z", customer_phone="052-123-4567", notes="first visit")
    assert (answer.status_code, answer.headers["ETag"]) == (201, '"1"')
    shown = answer.json
    assert (shown["starts_at"], shown["ends_at"]) == (TEN, "2026-11-23T10:30:00+02:00")
    assert (shown["number"], shown["status"], shown["source"]) == (1001, "confirmed", "api")
    assert (shown["timezone"], shown["customer_phone"]) == ("Asia/Jerusalem", "+972521234567")
    assert (shown["resource_id"], shown["version"]) == (client.business.resources[0], 1)
    got = client.get(f"/appointments/{shown['id']}")
    assert (got.status_code, got.json, got.headers["ETag"]) == (200, shown, '"1"')


def test_a_taken_start_is_a_409_with_alternatives(api: MakeApi) -> None:
    """Each can be booked."""
    client = api()
    booked(client)
    refused = book(client)
    assert (refused.status_code, refused.json["code"]) == (409, "slot_taken")
    alternatives = refused.json["alternatives"]
    assert [slot["starts_at"][11:16] for slot in alternatives] == ["09:30", "10:30", "09:00"]
    for slot in alternatives:
        assert booked(client, slot["starts_at"])["ends_at"] == slot["ends_at"]


@pytest.mark.parametrize(
    ("starts_at", "code"),
    [
        ("2026-11-23T08:00:00+02:00", "outside_hours"),
        ("2026-11-23T10:01:00+02:00", "off_grid"),
        ("2026-11-20T10:00:00+02:00", "past"),
    ],
)
def test_what_the_policy_refuses_is_a_422_with_its_code(api: MakeApi, starts_at: str, code: str) -> None:
    """And alternatives."""
    refused = book(api(), starts_at)
    assert (refused.status_code, refused.json["code"]) == (422, "slot_refused")
    assert refused.json["refusal_code"] == code
    assert len(refused.json["alternatives"]) == 3


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"starts_at": "2026-11-23T10:00:00"}, 422, "starts_at"),
        ({"starts_at": "tomorrow"}, 422, "starts_at"),
        ({"starts_at": "0001-01-01T00:00:00Z"}, 422, "starts_at"),
        ({"customer_name": ""}, 422, "customer_name"),
        ({"customer_name": None}, 422, "customer_name"),
        ({"customer_phone": "0521"}, 422, "customer_phone"),
        ({"customer_phone": 5}, 422, "customer_phone"),
        ({"notes": "x" * 2001}, 422, "notes"),
        ({"resource_id": 0}, 422, "resource_id"),
        ({"resource_id": 2**63}, 422, "resource_id"),
        ({"resource_id": "1"}, 422, "resource_id"),
        ({"resource_id": 10**15}, 404, None),
        ({"appointment_type_id": 10**15}, 404, None),
        ({"status": "confirmed"}, 422, "status"),
        ({"business_id": 1}, 422, "business_id"),
        ({"overbook": True}, 422, "resource_id"),
    ],
)
def test_a_bad_booking_names_its_field(
    api: MakeApi, changes: dict[str, Any], status: int, field: str | None
) -> None:
    """And books nothing."""
    client = api()
    refused = client.post("/appointments", {"starts_at": TEN, "customer_name": "Dana Levi", **changes})
    assert (refused.status_code, refused.json.get("field")) == (status, field)
    assert client.get("/appointments").json["items"] == []


def test_an_appointment_type_gives_the_length(api: MakeApi, services: Services) -> None:
    """One that is no longer given is 409."""
    client = api()
    values = {"name": "Long", "duration_min": 90}
    type_id = services.appointment_types.create_type(client.business.id, values, "test").id
    shown = booked(client, appointment_type_id=type_id)
    assert (shown["appointment_type_id"], shown["ends_at"]) == (type_id, "2026-11-23T11:30:00+02:00")
    services.appointment_types.update_type(client.business.id, type_id, {"active": False}, None, "test")
    refused = book(client, NOON, appointment_type_id=type_id)
    assert (refused.status_code, refused.json["code"]) == (409, "invalid_state")


def test_overbooking_needs_a_scope_of_its_own(api: MakeApi) -> None:
    """403 without it; with it the second is booked and marked."""
    client = api("appointments:write")
    resource_id = client.business.resources[0]
    booked(client)
    assert book(client, overbook=True, resource_id=resource_id).status_code == 403
    allowed = api("appointments:write", "appointments:overbook", business=client.business)
    shown = booked(allowed, overbook=True, resource_id=resource_id)
    assert (shown["overbooked"], shown["starts_at"]) == (True, TEN)


def test_a_key_books_once_even_if_the_first_answer_was_never_kept(api: MakeApi, engine: Engine) -> None:
    """A crash between commit and stored answer: the service knows the key too."""
    client = api()
    key = {"Idempotency-Key": "k1"}
    first = booked(client, headers=key)
    with as_tenant(engine, client.business.id) as connection:
        assert connection.execute(text("DELETE FROM idempotency_keys")).rowcount == 1
    assert booked(client, headers=key) == first
    assert len(client.get("/appointments").json["items"]) == 1


def test_a_list_is_filtered_and_paged(api: MakeApi) -> None:
    """By range, name, number, status, resource; a page at a time."""
    client = api()
    for hour, name, phone in ((9, "Dana Levi", "0521234567"), (10, "דָּנָה", "0541234567"), (11, "Noa", None)):
        booked(client, f"2026-11-23T{hour:02}:00:00+02:00", customer_name=name, customer_phone=phone)
    noa = client.get("/appointments", query_string={"name": "NOA"}).json["items"][0]
    act(client, noa, "cancel")

    def names(**query: Any) -> list[str]:
        answer = client.get("/appointments", query_string=query)
        assert answer.status_code == 200, answer.json
        return [item["customer_name"] for item in answer.json["items"]]

    assert names() == ["Dana Levi", "דָּנָה", "Noa"]
    assert names(status=["confirmed", "completed"]) == ["Dana Levi", "דָּנָה"]
    assert names(status="cancelled") == ["Noa"]
    assert names(name="דנה") == ["דָּנָה"]
    assert names(phone="052-1234567") == ["Dana Levi"]
    assert names(phone_ends_with="34567") == ["Dana Levi", "דָּנָה"]
    assert names(resource_id=10**15) == []
    assert names(**{"from": TEN, "to": "2026-11-23T11:00:00+02:00"}) == ["דָּנָה"]
    first = client.get("/appointments?limit=2").json
    rest = client.get("/appointments", query_string={"limit": 2, "cursor": first["next_cursor"]}).json
    assert [item["customer_name"] for item in first["items"] + rest["items"]] == names()
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=2026-11-23", "from"),
        ("from=9999-01-01T00:00:00Z", "from"),
        ("phone=x", "phone"),
        ("phone_ends_with=12", "phone_ends_with"),
        ("status=maybe", "status.0"),
        ("name=%20", "name"),
        ("name=%27", "name"),
        ("call_id=0", "call_id"),
        ("include_test=yes", "include_test"),
    ],
)
def test_a_bad_filter_names_its_parameter(api: MakeApi, query: str, field: str) -> None:
    """422."""
    refused = api().get(f"/appointments?{query}")
    assert (refused.status_code, refused.json["field"]) == (422, field)


def test_details_are_corrected_against_a_version(api: MakeApi) -> None:
    """428 without, 412 with an older one; what is left out stays, null takes the number away."""
    client = api()
    shown = booked(client, customer_phone="0521234567")
    path = f"/appointments/{shown['id']}"
    assert client.patch(path, {"notes": "x"}).status_code == 428
    changed = client.patch(path, {"customer_name": "Noa", "customer_phone": None}, version=1)
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    assert (changed.json["customer_name"], changed.json["customer_phone"]) == ("Noa", None)
    stale = client.patch(path, {"notes": "x"}, version=1)
    assert (stale.status_code, stale.json["code"]) == (412, "stale_version")
    assert client.patch(path, {"customer_name": None}, version=2).status_code == 422
    act(client, shown, "cancel")
    assert client.patch(path, {"notes": "x"}, version=3).status_code == 409


def test_an_appointment_is_moved_against_a_version(api: MakeApi) -> None:
    """428, 412, 409 with alternatives, 422 with a code, 200; and once more is the same."""
    client = api()
    shown = booked(client)
    booked(client, "2026-11-23T14:00:00+02:00")
    assert act(client, shown, "reschedule", starts_at=NOON).status_code == 428
    assert act(client, shown, "reschedule", 7, starts_at=NOON).status_code == 412
    taken = act(client, shown, "reschedule", 1, starts_at="2026-11-23T14:00:00+02:00")
    assert (taken.status_code, taken.json["code"], len(taken.json["alternatives"])) == (409, "slot_taken", 3)
    refused = act(client, shown, "reschedule", 1, starts_at="2026-11-23T23:00:00+02:00")
    assert (refused.status_code, refused.json["refusal_code"]) == (422, "outside_hours")
    moved = act(client, shown, "reschedule", 1, starts_at=NOON)
    assert (moved.status_code, moved.json["starts_at"], moved.headers["ETag"]) == (200, NOON, '"2"')
    assert (moved.json["id"], moved.json["number"]) == (shown["id"], shown["number"])
    assert act(client, shown, "reschedule", 1, starts_at=NOON).json == moved.json
    nowhere = act(client, shown, "reschedule", 2, starts_at=TEN, resource_id=10**15)
    assert (nowhere.status_code, nowhere.json["code"]) == (404, "not_found")


def test_a_cancelled_appointment_stays_cancelled(api: MakeApi) -> None:
    """Twice is once; it can't be moved; its place is free."""
    client = api()
    shown = booked(client)
    assert act(client, shown, "cancel", 5).status_code == 412
    cancelled = act(client, shown, "cancel", 1, reason="is ill")
    assert (cancelled.status_code, cancelled.json["status"]) == (200, "cancelled")
    assert (cancelled.json["cancel_reason"], cancelled.headers["ETag"]) == ("is ill", '"2"')
    assert act(client, shown, "cancel", reason="other").json == cancelled.json
    refused = act(client, shown, "reschedule", 2, starts_at=NOON)
    assert (refused.status_code, refused.json["code"]) == (409, "invalid_state")
    booked(client)


@pytest.mark.parametrize(("action", "status"), [("no-show", "no_show"), ("complete", "completed")])
def test_an_appointment_is_closed_once_it_has_begun(api: MakeApi, clock: Clock, action: str, status: str) -> None:
    """409 before."""
    client = api()
    shown = booked(client)
    early = act(client, shown, action)
    assert (early.status_code, early.json["code"]) == (409, "invalid_state")
    clock.now = local(MONDAY, "10:00") + timedelta(minutes=30)
    assert act(client, shown, action, 9).status_code == 412
    closed = act(client, shown, action, 1)
    assert (closed.status_code, closed.json["status"], closed.json["version"]) == (200, status, 2)


def test_the_history_says_who_did_what(api: MakeApi) -> None:
    """The key, and where it was moved from."""
    client = api()
    actor = client.get("/credential").json["actor"]
    shown = booked(client)
    act(client, shown, "reschedule", 1, starts_at=NOON)
    act(client, shown, "cancel", 2, reason="is ill")
    history = client.get(f"/appointments/{shown['id']}/history")
    assert history.status_code == 200
    changes = history.json["changes"]
    assert [change["kind"] for change in changes] == ["booked", "rescheduled", "cancelled"]
    assert {(change["actor"], change["source"]) for change in changes} == {(actor, "api")}
    assert changes[1]["data"]["previous_starts_at"] == "2026-11-23T08:00:00+00:00"
    assert "ill" not in history.get_data(as_text=True)


def test_another_business_s_appointment_is_not_there(api: MakeApi, services: Services) -> None:
    """On no route, and in no list."""
    client, other = api(), api()
    shown = services.scheduling.book_appointment(booking(other.business, local(MONDAY, "10:00")))
    foreign = {"id": shown.id}
    path = f"/appointments/{shown.id}"
    answers = [
        client.get(path),
        client.get(f"{path}/history"),
        client.patch(path, {"notes": "x"}, version=1),
        act(client, foreign, "reschedule", 1, starts_at=NOON),
        *(act(client, foreign, action) for action in ("cancel", "no-show", "complete")),
        client.post(f"/holds/{shown.id}/confirm", {"customer_name": "Dana"}),
        client.delete(f"/holds/{shown.id}"),
        book(client, NOON, resource_id=other.business.resources[0]),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert client.get("/appointments").json["items"] == []
    assert services.scheduling.get_appointment(other.business.id, shown.id) == shown


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/appointments", "appointments:write"),
        ("GET", "/appointments", "appointments:read"),
        ("GET", "/appointments/1", "appointments:read"),
        ("GET", "/appointments/1/history", "appointments:read"),
        ("PATCH", "/appointments/1", "appointments:write"),
        ("POST", "/appointments/1/reschedule", "appointments:write"),
        ("POST", "/appointments/1/cancel", "appointments:write"),
        ("POST", "/appointments/1/no-show", "appointments:write"),
        ("POST", "/appointments/1/complete", "appointments:write"),
        ("POST", "/holds", "appointments:write"),
        ("POST", "/holds/1/confirm", "appointments:write"),
        ("DELETE", "/holds/1", "appointments:write"),
        ("GET", "/availability", "availability:read"),
    ],
)
def test_every_route_needs_its_scope(api: MakeApi, method: str, path: str, scope: str) -> None:
    """403 naming it, before anything is read."""
    other = "appointments:read" if scope != "appointments:read" else "appointments:write"
    refused = api(other).request(method, path)
    assert refused.status_code == 403
    assert scope in refused.json["detail"]
