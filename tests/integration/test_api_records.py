"""Calls, messages, customers' data and calendar feeds over REST."""

from __future__ import annotations

from typing import Any

import icalendar
import jsonschema_rs
import pytest
from flask import Flask

from app.domain.calls import CallClosing, CallState, IncomingCall, TimelineEntry
from app.domain.messages import NewMessage
from app.services import Services
from tests.factories import MONDAY, Clock, SomeBusiness, booking, local
from tests.integration.conftest import ApiClient, MakeApi

DANA, NOAM = "+972521234567", "+972547654321"
TEN = local(MONDAY, "10:00")
SAID = TimelineEntry(10, "caller_turn", {"text": "Do you have anything?"})


def call(services: Services, business: SomeBusiness, sid: str, number: str | None = DANA) -> int:
    return services.calls.accept_call(IncomingCall(sid, business.phone_number, number)).call_id


def leave(services: Services, business: SomeBusiness, body: str = "Please call back", **values: Any) -> int:
    return services.messages.leave_message(NewMessage(business.id, body, **values)).id


def path_of(url: str) -> str:
    """Under /api/v1."""
    return url.partition("/api/v1")[2]


def make_feed(client: ApiClient, **values: Any) -> Any:
    answer = client.post("/calendar-feeds", {"name": "Room 1", **values})
    assert answer.status_code == 201
    return answer.json


def test_calls_are_listed_and_read(services: Services, api: MakeApi, clock: Clock) -> None:
    """The newest first, local times with the zone's name; one of them with its timeline."""
    client = api("calls:read")
    first = call(services, client.business, f"CA1-{client.business.id}", None)
    clock.advance(minutes=1)
    second = call(services, client.business, f"CA2-{client.business.id}")
    services.calls.append_timeline(client.business.id, second, [SAID])
    services.calls.finish_stream(client.business.id, second, CallClosing(CallState.ENDED, "goodbye", 2, 9000))
    items = client.get("/calls").json["items"]
    assert [item["id"] for item in items] == [second, first]
    assert items[1]["caller_number"] is None
    one = client.get(f"/calls/{second}").json
    assert one["timeline"] == [{"at_ms": 10, "kind": "caller_turn", "data": dict(SAID.data)}]
    assert {**one, "timeline": None} == {**items[0], "timeline": None}
    assert (one["state"], one["barge_ins"], one["duration_ms"]) == ("ended", 2, 9000)
    assert (one["created_at"], one["timezone"]) == ("2026-11-22T08:01:00+02:00", "Asia/Jerusalem")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"from": "2026-11-22T06:01:00Z"}, [2]),
        ({"to": "2026-11-22T08:01:00+02:00"}, [1]),
        ({"state": "ringing"}, [2, 1]),
        ({"state": "ended"}, []),
        ({"caller": DANA}, [1]),
        ({"caller_ends_with": "4321"}, [2]),
        ({"booked": "true"}, [1]),
        ({"booked": "false", "caller": DANA}, []),
    ],
)
def test_calls_are_filtered(
    services: Services, api: MakeApi, clock: Clock, query: dict[str, str], found: list[int]
) -> None:
    """By each parameter of the query."""
    client = api("calls:read")
    first = call(services, client.business, f"CA1-{client.business.id}")
    services.scheduling.book_appointment(booking(client.business, TEN, call_id=first))
    clock.advance(minutes=1)
    ids = {1: first, 2: call(services, client.business, f"CA2-{client.business.id}", NOAM)}
    answer = client.get("/calls", query_string=query)
    assert answer.status_code == 200
    assert [item["id"] for item in answer.json["items"]] == [ids[number] for number in found]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("from", "2026-11-22"),
        ("from", "2026-11-22T06:00:00"),
        ("to", "0001-01-01T00:00:00+23:00"),
        ("state", "over"),
        ("caller", "052-1234567"),
        ("caller_ends_with", "x"),
        ("booked", "1"),
    ],
)
def test_a_filter_that_makes_no_sense_is_named(api: MakeApi, name: str, value: str) -> None:
    """422 with its name."""
    answer = api("calls:read").get("/calls", query_string={name: value})
    assert (answer.status_code, answer.json["field"]) == (422, name)


def test_calls_come_in_pages(services: Services, api: MakeApi) -> None:
    """By cursor, downwards, though all came in at once."""
    client = api("calls:read")
    made = [call(services, client.business, f"CA{number}-{client.business.id}") for number in range(5)]
    seen, query = [], {"limit": "2"}
    while True:
        page = client.get("/calls", query_string=query).json
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == made[::-1]


def test_a_message_is_read_and_marked(services: Services, api: MakeApi) -> None:
    """Against the version that was seen; the lists of open and handled ones follow."""
    client = api("messages:read", "messages:write")
    message_id = leave(services, client.business, caller_name="Dana", caller_number=DANA)
    path = f"/messages/{message_id}"
    seen = client.get(path)
    assert (seen.headers["ETag"], seen.json["handled"], seen.json["body"]) == ('"1"', False, "Please call back")
    assert client.patch(path, {"handled": True}).status_code == 428
    marked = client.patch(path, {"handled": True}, version=1)
    assert (marked.status_code, marked.headers["ETag"], marked.json["handled"]) == (200, '"2"', True)
    assert marked.json["handled_by"].startswith("key:")
    assert client.patch(path, {"handled": False}, version=1).status_code == 412
    assert client.get("/messages?handled=false").json["items"] == []
    assert client.get("/messages?handled=true").json["items"] == [marked.json]
    assert client.get("/messages").json["items"] == [marked.json]


def test_a_customer_is_exported_and_erased(services: Services, api: MakeApi) -> None:
    """By the number as it is dialled; afterwards there is nothing left to export."""
    client = api("customers:read", "customers:write")
    call_id = call(services, client.business, f"CA1-{client.business.id}")
    services.calls.append_timeline(client.business.id, call_id, [SAID])
    made = services.scheduling.book_appointment(booking(client.business, TEN, call_id=call_id, notes="Tall"))
    message_id = leave(services, client.business, caller_number=DANA)
    export = client.post("/customers/export", {"phone": "052-123-4567"})
    assert (export.status_code, export.headers["Cache-Control"]) == (200, "no-store")
    [exported] = export.json["appointments"]
    assert exported["appointment"]["number"] == made.number
    assert exported["appointment"]["notes"] == "Tall"
    assert [entry["kind"] for entry in exported["history"]] == ["booked"]
    assert export.json["calls"][0]["timeline"][0]["data"] == dict(SAID.data)
    assert [message["id"] for message in export.json["messages"]] == [message_id]
    erased = client.post("/customers/erase", {"phone": DANA})
    assert (erased.status_code, erased.json) == (
        200,
        {"appointments": 1, "cancelled": 1, "calls": 1, "messages": 1, "events": 3, "stored_answers": 0},
    )
    empty = client.post("/customers/export", {"phone": DANA}).json
    assert (empty["appointments"], empty["calls"], empty["messages"]) == ([], [], [])


def test_erasing_forgets_the_export_that_was_kept(api: MakeApi, services: Services) -> None:
    """An answer stored for an Idempotency-Key is data about the customer too."""
    client = api("customers:read", "customers:write")
    leave(services, client.business, caller_number=DANA)
    key = {"Idempotency-Key": "export-1"}
    client.post("/customers/export", {"phone": DANA}, headers=key)
    assert client.post("/customers/erase", {"phone": DANA}).json["stored_answers"] == 1
    again = client.post("/customers/export", {"phone": DANA}, headers=key)
    assert (again.json["messages"], again.headers.get("Idempotent-Replayed")) == ([], None)


@pytest.mark.parametrize("phone", ["", "abc", "+999", "1" * 41])
def test_a_customer_s_number_that_is_none_is_refused(api: MakeApi, phone: str) -> None:
    """422 naming the field."""
    client = api()
    for path in ("/customers/export", "/customers/erase"):
        answer = client.post(path, {"phone": phone})
        assert (answer.status_code, answer.json["field"]) == (422, "phone")


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        ("calls:read", "GET", "/messages"),
        ("messages:read", "PATCH", "/messages/1"),
        ("customers:read", "POST", "/customers/erase"),
        ("customers:write", "POST", "/customers/export"),
        ("calendar-feeds:read", "POST", "/calendar-feeds"),
        ("calendar-feeds:read", "DELETE", "/calendar-feeds/1"),
        ("messages:read", "GET", "/calls"),
    ],
)
def test_each_operation_wants_its_own_scope(api: MakeApi, scope: str, method: str, path: str) -> None:
    """Reading is not writing, and one thing is not another."""
    answer = api(scope).request(method, path, json={}, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")


def test_another_business_s_things_are_not_there(services: Services, api: MakeApi) -> None:
    """404, and nothing listed."""
    client, other = api(), api()
    call_id = call(services, client.business, f"CA1-{client.business.id}")
    message_id = leave(services, client.business, caller_number=DANA)
    feed_id = make_feed(client)["id"]
    for path in ("/calls", "/messages", "/calendar-feeds"):
        assert other.get(path).json["items"] == []
    assert other.get(f"/calls/{call_id}").status_code == 404
    assert other.get(f"/messages/{message_id}").status_code == 404
    assert other.patch(f"/messages/{message_id}", {"handled": True}, version=1).status_code == 404
    assert other.delete(f"/calendar-feeds/{feed_id}").status_code == 404
    assert other.post("/customers/export", {"phone": DANA}).json["messages"] == []
    assert other.post("/customers/erase", {"phone": DANA}).json["messages"] == 0
    assert client.get(f"/messages/{message_id}").status_code == 200


def test_a_feed_is_made_read_and_removed(services: Services, app: Flask, api: MakeApi) -> None:
    """Its URL is whole, needs no other credential, and leads nowhere in the end."""
    client = api()
    services.scheduling.book_appointment(booking(client.business, TEN))
    made = make_feed(client, resource_id=client.business.resources[0])
    assert made["url"].startswith("http://localhost/api/v1/feeds/")
    assert made["shows_names"] is False
    [listed] = client.get("/calendar-feeds").json["items"]
    assert listed == {name: value for name, value in made.items() if name != "url"}
    stranger = app.test_client()
    file = stranger.get(f"/api/v1{path_of(made['url'])}")
    assert (file.status_code, file.content_type) == (200, "text/calendar; charset=utf-8")
    assert file.headers["Cache-Control"] == "private, no-cache"
    assert file.last_modified is not None
    [event] = icalendar.Calendar.from_ical(file.data).events
    assert event["SUMMARY"] == "Appointment 1001"
    assert client.delete(f"/calendar-feeds/{made['id']}").status_code == 204
    gone = stranger.get(f"/api/v1{path_of(made['url'])}")
    assert (gone.status_code, gone.json["code"]) == (404, "not_found")
    assert client.delete(f"/calendar-feeds/{made['id']}").status_code == 404


def test_a_feed_s_url_is_told_once(services: Services, api: MakeApi) -> None:
    """Not to whoever sends the same Idempotency-Key again: only its hash is stored."""
    client = api()
    asked = {"json": {"name": "Room 1"}, "headers": {"Idempotency-Key": "feed-1"}}
    first, second = client.post("/calendar-feeds", **asked), client.post("/calendar-feeds", **asked)
    assert first.json["url"] is not None
    assert second.json == {**first.json, "url": None}


def test_a_feed_that_was_seen_is_not_sent_again(services: Services, app: Flask, api: MakeApi) -> None:
    """304 for any of the ETags that the program has, until something changes."""
    client = api()
    path = f"/api/v1{path_of(make_feed(client)['url'])}"
    stranger = app.test_client()
    etag = stranger.get(path).headers["ETag"]
    for header in (etag, f'"other", {etag}', f"W/{etag}"):
        again = stranger.get(path, headers={"If-None-Match": header})
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)
    services.scheduling.book_appointment(booking(client.business, TEN))
    changed = stranger.get(path, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != etag


def test_a_feed_s_url_is_as_the_outside_sees_it(app: Flask, api: MakeApi) -> None:
    """Under PUBLIC_BASE_URL, if that is known."""
    before, app.config["PUBLIC_BASE_URL"] = app.config["PUBLIC_BASE_URL"], "https://moed.example"
    try:
        assert make_feed(api())["url"].startswith("https://moed.example/api/v1/feeds/")
    finally:
        app.config["PUBLIC_BASE_URL"] = before


def test_guessing_feeds_is_limited(app: Flask, clock: Clock, api: MakeApi) -> None:
    """By address: 404 for what is unknown, 429 from too many on."""
    api()
    stranger = app.test_client()

    def guess(address: str) -> int:
        path = "/api/v1/feeds/guess/calendar.ics"
        return stranger.get(path, environ_overrides={"REMOTE_ADDR": address}).status_code

    assert [guess("192.0.2.6") for _ in range(122)] == [404] * 120 + [429] * 2
    assert guess("192.0.2.7") == 404
    clock.advance(seconds=61)
    assert guess("192.0.2.6") == 404


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": "a\nb"}, {"name": "x", "resource_id": 0}, {"name": "x", "shows_names": 1}]
)
def test_a_feed_that_breaks_a_rule_is_refused(api: MakeApi, body: dict[str, Any]) -> None:
    """422; a resource that is not there is a 404."""
    client = api()
    assert client.post("/calendar-feeds", body).status_code == 422
    assert client.post("/calendar-feeds", {"name": "x", "resource_id": 10**12}).status_code == 404


def test_what_is_answered_is_what_the_document_says(services: Services, api: MakeApi) -> None:
    """Of real calls, messages and feeds: the fuzzer makes none of them."""
    client = api()
    for number in (DANA, None):
        call_id = call(services, client.business, f"CA-{number}-{client.business.id}", number)
        services.calls.append_timeline(client.business.id, call_id, [TimelineEntry(0, "call_started"), SAID])
        leave(services, client.business, "Two\nlines", caller_number=number, call_id=call_id)
    services.scheduling.book_appointment(booking(client.business, TEN, call_id=call_id))
    services.calls.finish_stream(client.business.id, call_id, CallClosing(CallState.ENDED, "goodbye", 1, 1))
    number = {"phone": DANA}
    document = client.get("/openapi.json").json
    for name, answer in (
        ("CallList", client.get("/calls")),
        ("CallWithTimeline", client.get(f"/calls/{call_id}")),
        ("MessageList", client.get("/messages")),
        ("CustomerExport", client.post("/customers/export", number)),
        ("CreatedFeed", client.post("/calendar-feeds", {"name": "x"})),
        ("CalendarFeedList", client.get("/calendar-feeds")),
        ("Erasure", client.post("/customers/erase", number)),
        ("CallWithTimeline", client.get(f"/calls/{call_id}")),
    ):
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema_rs.validate(schema, answer.json)
