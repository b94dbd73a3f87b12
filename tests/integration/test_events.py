"""Events and their deliveries: written with what happened, or not at all."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine, text

from app.domain.calls import CallClosing, CallState
from app.domain.events import EventType
from app.services import Services
from app.services.database import Database
from app.services.events import appointment_event, call_event, message_event
from tests.factories import MONDAY, Clock, SomeBusiness, as_tenant, booking, incoming_call, local, new_business


class RolledBack(Exception):
    """What a test breaks a transaction with."""


def add_endpoint(engine: Engine, business_id: int, event_types: Sequence[str], **changes: Any) -> int:
    """An endpoint that no service wrote; its id."""
    values = {"enabled": True, "deleted_at": None, **changes}
    with as_tenant(engine, business_id) as connection:
        return connection.execute(
            text(
                "INSERT INTO webhook_endpoints"
                " (business_id, url, event_types, secret, enabled, created_at, deleted_at) VALUES"
                " (:business_id, 'https://hooks.example/', :types, 'whsec_eA==', :enabled, now(), :deleted_at)"
                " RETURNING id"
            ),
            {"business_id": business_id, "types": list(event_types), **values},
        ).scalar_one()


def rows(engine: Engine, business_id: int, query: str) -> list[Any]:
    """What a query sees as this tenant."""
    with as_tenant(engine, business_id) as connection:
        return list(connection.execute(text(query)).mappings())


@pytest.fixture
def listener(database_url: str) -> Iterator[psycopg2.extensions.connection]:
    """A connection that hears both channels."""
    url = database_url.replace("postgresql+psycopg2", "postgresql")
    with contextlib.closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("LISTEN moed_outbox; LISTEN moed_events")
        yield connection


def heard(connection: psycopg2.extensions.connection) -> list[tuple[str, str]]:
    """What has been notified by now; waits for the first for a while."""
    connection.poll()
    if not connection.notifies:
        select.select([connection], [], [], 5)
        connection.poll()
    return [(notification.channel, notification.payload) for notification in connection.notifies]


def test_appointment_event_holds_the_appointment(
    engine: Engine, services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """The envelope of Standard Webhooks, with local instants, and the place it was moved from."""
    details = services.scheduling.book_appointment(booking(business, local(MONDAY, "10:00")))
    with Database(engine).tenant(business.id) as session:
        event_id = appointment_event(
            session, details, EventType.APPOINTMENT_RESCHEDULED, clock.now, local(MONDAY, "09:00")
        )
    [event] = rows(engine, business.id, "SELECT * FROM events WHERE type = 'appointment.rescheduled'")
    assert event["id"] == event_id
    assert event["message_id"].startswith("msg_")
    assert "." not in event["message_id"]
    assert (event["type"], event["appointment_id"]) == ("appointment.rescheduled", details.id)
    assert event["payload"] == {
        "type": "appointment.rescheduled",
        "timestamp": "2026-11-22T08:00:00+02:00",
        "business_id": business.id,
        "data": {
            "id": details.id,
            "number": details.number,
            "starts_at": "2026-11-23T10:00:00+02:00",
            "ends_at": "2026-11-23T10:30:00+02:00",
            "previous_starts_at": "2026-11-23T09:00:00+02:00",
            "timezone": "Asia/Jerusalem",
            "status": "confirmed",
            "resource_id": business.resources[0],
            "appointment_type_id": None,
            "customer_name": "Dana Levi",
            "customer_phone": "+972521234567",
            "source": "voice",
            "call_id": None,
            "version": 1,
        },
    }


def test_event_gives_a_delivery_to_each_endpoint_that_wants_it(
    engine: Engine, services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """Not to one of other types, a disabled, a deleted one, or another business's."""
    wanted = [EventType.MESSAGE_CREATED, EventType.CALL_COMPLETED]
    first = add_endpoint(engine, business.id, wanted)
    second = add_endpoint(engine, business.id, wanted[:1])
    add_endpoint(engine, business.id, wanted[1:])
    add_endpoint(engine, business.id, wanted, enabled=False)
    add_endpoint(engine, business.id, wanted, deleted_at=clock.now)
    add_endpoint(engine, new_business(services).id, wanted)
    with Database(engine).tenant(business.id) as session:
        event_id = leave_message(session, business.id, clock)
    found = rows(engine, business.id, "SELECT * FROM webhook_deliveries ORDER BY endpoint_id")
    assert [(row["endpoint_id"], row["event_id"], row["state"]) for row in found] == [
        (first, event_id, "pending"),
        (second, event_id, "pending"),
    ]
    assert {(row["next_attempt_at"], row["attempt_count"]) for row in found} == {(clock.now, 0)}


def leave_message(session: Any, business_id: int, clock: Clock) -> int:
    """A message's row and its event, in the caller's transaction; the event's id."""
    message_id = session.execute(
        text("INSERT INTO messages (business_id, body, created_at) VALUES (:id, 'Call me', :now) RETURNING id"),
        {"id": business_id, "now": clock.now},
    ).scalar_one()
    return message_event(
        session,
        business_id,
        message_id,
        call_id=None,
        caller_name="Dana",
        caller_number=None,
        body="Call me",
        now=clock.now,
    )


def test_rollback_takes_the_event_along(
    engine: Engine, business: SomeBusiness, clock: Clock, listener: psycopg2.extensions.connection
) -> None:
    """No row of the three, and nobody is woken; the next transaction's notification is the first."""
    add_endpoint(engine, business.id, [EventType.MESSAGE_CREATED])
    with contextlib.suppress(RolledBack), Database(engine).tenant(business.id) as session:
        leave_message(session, business.id, clock)
        raise RolledBack
    assert rows(engine, business.id, "SELECT id FROM messages") == []
    assert rows(engine, business.id, "SELECT id FROM events") == []
    assert rows(engine, business.id, "SELECT id FROM webhook_deliveries") == []
    with Database(engine).tenant(business.id) as session:
        event_id = leave_message(session, business.id, clock)
    assert heard(listener) == [("moed_outbox", ""), ("moed_events", f"{business.id}:{event_id}")]


def test_event_that_nobody_wants_wakes_no_sender(
    engine: Engine, business: SomeBusiness, clock: Clock, listener: psycopg2.extensions.connection
) -> None:
    """The dashboard hears of it all the same."""
    with Database(engine).tenant(business.id) as session:
        event_id = leave_message(session, business.id, clock)
    assert heard(listener) == [("moed_events", f"{business.id}:{event_id}")]


def test_call_event_names_the_call_and_not_what_was_said(
    engine: Engine, services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """Ids, instants and counts."""
    accepted = services.calls.accept_call(incoming_call(business))
    details = services.calls.get_call(business.id, accepted.call_id)
    clock.now += timedelta(minutes=1)
    with Database(engine).tenant(business.id) as session:
        call_event(session, details, clock.now)
    [event] = rows(engine, business.id, "SELECT * FROM events")
    assert (event["type"], event["call_id"]) == ("call.completed", accepted.call_id)
    assert event["payload"]["timestamp"] == "2026-11-22T08:01:00+02:00"
    assert set(event["payload"]["data"]) == {
        "id",
        "call_sid",
        "state",
        "end_reason",
        "caller_number",
        "created_at",
        "started_at",
        "ended_at",
        "timezone",
        "duration_ms",
        "barge_ins",
    }


def test_call_that_ends_is_an_event_once(
    engine: Engine, services: Services, business: SomeBusiness, clock: Clock
) -> None:
    """A stream that was lost is none; the end is, with the counts of all streams; a late report is no second."""
    incoming = incoming_call(business)
    accepted = services.calls.accept_call(incoming)
    services.calls.open_stream(accepted.media_token, incoming.call_sid, "MZ1")
    lost = CallClosing(CallState.LOST, "worker_lost", barge_ins=1, duration_ms=1000)
    services.calls.finish_stream(business.id, accepted.call_id, lost)
    assert rows(engine, business.id, "SELECT id FROM events") == []
    ended = CallClosing(CallState.ENDED, "caller_hung_up", barge_ins=2, duration_ms=500)
    for _ in range(2):
        services.calls.finish_stream(business.id, accepted.call_id, ended)
    [event] = rows(engine, business.id, "SELECT * FROM events")
    data = event["payload"]["data"]
    assert (event["type"], data["state"], data["end_reason"]) == ("call.completed", "ended", "caller_hung_up")
    assert (data["barge_ins"], data["duration_ms"]) == (3, 1500)
    assert data["ended_at"] == "2026-11-22T08:00:00+02:00"


def test_call_that_nobody_could_answer_is_an_event_too(
    engine: Engine, services: Services, business: SomeBusiness
) -> None:
    """After the last reconnect."""
    incoming = incoming_call(business)
    services.calls.accept_call(incoming)
    while services.calls.after_stream(incoming.call_sid).action == "reconnect":
        assert rows(engine, business.id, "SELECT id FROM events") == []
    [event] = rows(engine, business.id, "SELECT * FROM events")
    assert event["payload"]["data"]["state"] == "failed"
