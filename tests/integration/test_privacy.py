"""Customers' data: exported whole, erased whole, and nobody else's."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.domain.appointments import Source, Status
from app.domain.calls import CallFilter, IncomingCall, TimelineEntry
from app.domain.idempotency import StoredAnswer
from app.domain.messages import NewMessage
from app.domain.pages import PageRequest
from app.domain.privacy import Erasure
from app.errors import InvalidInput, NotFound
from app.services import Services
from tests.factories import MONDAY, Clock, SomeBusiness, as_tenant, booking, local, new_business

DANA, NOAM = "+972521234567", "+972547654321"
TABLES = (
    "appointments",
    "appointment_changes",
    "calls",
    "call_events",
    "messages",
    "events",
    "webhook_deliveries",
    "idempotency_keys",
)
LEFT = TimelineEntry(10, "caller_turn", {"until_ms": 900, "noise": False})


def said(name: str) -> TimelineEntry:
    return TimelineEntry(10, "caller_turn", {"text": f"{name} speaking", "until_ms": 900, "noise": False})


SAID = said("Dana Levi")


@dataclass(frozen=True)
class Customer:
    """What somebody has left behind: a call that booked, and a message in it."""

    call: int
    appointment: int
    message: int


def leave_traces(services: Services, business: SomeBusiness, number: str | None, name: str, at: str) -> Customer:
    incoming = IncomingCall(f"CA{secrets.token_hex(8)}", business.phone_number, number)
    call_id = services.calls.accept_call(incoming).call_id
    services.calls.append_timeline(business.id, call_id, [TimelineEntry(0, "call_started"), said(name)])
    command = booking(
        business,
        local(MONDAY, at),
        customer_name=name,
        customer_phone=number,
        notes=f"{name} is allergic",
        call_id=call_id,
        idempotency_key=f"{incoming.call_sid}:call_1",
    )
    appointment_id = services.scheduling.book_appointment(command).id
    message = NewMessage(business.id, f"{name} asks for a call", name, number, call_id)
    return Customer(call_id, appointment_id, services.messages.leave_message(message).id)


def everything(engine: Engine, business: SomeBusiness) -> str:
    """All rows of the business in every table that can hold a customer's data, as one text."""
    with as_tenant(engine, business.id) as connection:
        queries = [text(f"SELECT row_to_json(t)::text FROM {table} t") for table in TABLES]  # noqa: S608
        return "\n".join(row for query in queries for row in connection.scalars(query))


def erase(services: Services, business: SomeBusiness, phone: str = DANA) -> Erasure:
    return services.privacy.erase_customer(business.id, phone, Source.DASHBOARD, "user:3")


def test_an_export_has_all_that_is_under_a_number(services: Services, business: SomeBusiness) -> None:
    """Appointments with their history, calls with what was said, messages; nobody else's; ready for JSON."""
    dana = leave_traces(services, business, DANA, "Dana Levi", "10:00")
    leave_traces(services, business, NOAM, "Noam Bar", "11:00")
    export = services.privacy.export_customer(business.id, "052-123-4567")
    assert (export.phone, export.timezone) == (DANA, "Asia/Jerusalem")
    assert export.exported_at.isoformat() == "2026-11-22T08:00:00+02:00"
    [exported] = export.appointments
    assert exported.appointment == services.scheduling.get_appointment(business.id, dana.appointment)
    assert [line.kind for line in exported.history] == ["booked"]
    assert export.calls == (services.call_log.get_call(business.id, dana.call),)
    assert export.messages == (services.messages.get_message(business.id, dana.message),)
    assert SAID in export.calls[0].timeline
    whole = json.dumps(asdict(export), default=str)
    assert "Dana Levi is allergic" in whole
    assert "Noam" not in whole
    assert all(secret not in repr(export) for secret in (DANA, "Dana"))


def test_what_belongs_together_is_found_without_a_number(services: Services, business: SomeBusiness) -> None:
    """A withheld call belongs to its appointment's number, an appointment without number to its call's."""
    withheld = IncomingCall("CA-withheld", business.phone_number, None)
    call_id = services.calls.accept_call(withheld).call_id
    services.scheduling.book_appointment(booking(business, local(MONDAY, "10:00"), call_id=call_id))
    shown = IncomingCall("CA-shown", business.phone_number, DANA)
    shown_id = services.calls.accept_call(shown).call_id
    for at, number in (("11:00", None), ("12:00", NOAM)):
        command = booking(business, local(MONDAY, at), call_id=shown_id, customer_phone=number)
        services.scheduling.book_appointment(command)
    export = services.privacy.export_customer(business.id, DANA)
    assert [call.id for call in export.calls] == [call_id, shown_id]
    assert [exported.appointment.customer_phone for exported in export.appointments] == [DANA, None]


def test_an_unknown_number_has_nothing(services: Services, business: SomeBusiness) -> None:
    """An empty export, and nothing to erase."""
    leave_traces(services, business, DANA, "Dana Levi", "10:00")
    export = services.privacy.export_customer(business.id, NOAM)
    assert (export.appointments, export.calls, export.messages) == ((), (), ())
    assert erase(services, business, NOAM) == Erasure()


@pytest.mark.parametrize("phone", ["", "abc", "1", "+999", "+97252123456789012"])
def test_a_number_that_is_none_is_refused(services: Services, business: SomeBusiness, phone: str) -> None:
    """Naming the field."""
    with pytest.raises(InvalidInput, match="phone"):
        services.privacy.export_customer(business.id, phone)
    with pytest.raises(InvalidInput, match="phone"):
        erase(services, business, phone)


def test_erasing_leaves_no_trace_of_the_customer(
    services: Services, engine: Engine, business: SomeBusiness
) -> None:
    """In no table: no name, number, note or word; and others' data stays as it was."""
    dana = leave_traces(services, business, DANA, "Dana Levi", "10:00")
    noam = leave_traces(services, business, NOAM, "Noam Bar", "11:00")
    kept = services.privacy.export_customer(business.id, NOAM)
    assert erase(services, business, "052 123 4567") == Erasure(
        appointments=1, cancelled=1, calls=1, messages=1, events=3
    )
    left = everything(engine, business)
    assert "Dana" not in left
    assert "521234567" not in left
    assert "7654321259" not in left
    assert "allergic" in left
    assert services.privacy.export_customer(business.id, NOAM) == kept
    assert services.messages.get_message(business.id, noam.message).body == "Noam Bar asks for a call"
    with pytest.raises(NotFound):
        services.messages.get_message(business.id, dana.message)


def test_an_erased_appointment_keeps_its_place_in_the_books(
    services: Services, engine: Engine, business: SomeBusiness
) -> None:
    """Row, time, number and history; one to come is cancelled, and its place is free again."""
    dana = leave_traces(services, business, DANA, "Dana Levi", "10:00")
    before = services.scheduling.get_appointment(business.id, dana.appointment)
    erase(services, business)
    after = services.scheduling.get_appointment(business.id, dana.appointment)
    assert (after.number, after.starts_at, after.call_id) == (before.number, before.starts_at, dana.call)
    assert (after.customer_name, after.customer_phone, after.notes) == ("erased", None, "")
    assert (after.status, after.cancel_reason) == (Status.CANCELLED, "erased")
    assert after.version == before.version + 2
    history = services.scheduling.get_history(business.id, dana.appointment)
    assert [(line.kind, line.actor) for line in history[-2:]] == [("cancelled", "user:3"), ("erased", "user:3")]
    services.scheduling.book_appointment(booking(business, local(MONDAY, "10:00"), customer_phone=NOAM))


def test_a_past_appointment_is_not_cancelled(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """It took place."""
    dana = leave_traces(services, business, DANA, "Dana Levi", "10:00")
    clock.advance(days=2)
    assert erase(services, business).cancelled == 0
    after = services.scheduling.get_appointment(business.id, dana.appointment)
    assert (after.status, after.customer_name) == (Status.CONFIRMED, "erased")


def test_an_erased_call_keeps_its_measures(services: Services, business: SomeBusiness, clock: Clock) -> None:
    """State, length and what happened when; not who and not what was said, then or later."""
    dana = leave_traces(services, business, DANA, "Dana Levi", "10:00")
    erase(services, business)
    services.calls.append_timeline(business.id, dana.call, [SAID])
    call = services.call_log.get_call(business.id, dana.call)
    assert call.caller_number is None
    assert call.timeline == (TimelineEntry(0, "call_started"), LEFT, LEFT)
    assert call.appointment_ids == (dana.appointment,)
    assert call.transcript_erased_at is not None
    assert call.transcript_erased_at.astimezone(clock.now.tzinfo) == clock.now
    assert services.call_log.list_calls(business.id, CallFilter(caller=DANA), PageRequest()).items == ()


def test_a_delivery_under_way_carries_only_ids(services: Services, engine: Engine, business: SomeBusiness) -> None:
    """Of the events about the customer, the cancellation too; none is lost."""
    with as_tenant(engine, business.id) as connection:
        connection.execute(
            text(
                "INSERT INTO webhook_endpoints (business_id, url, event_types, secret, created_at) VALUES"
                " (:id, 'https://example.com', '{appointment.created,appointment.cancelled,message.created}',"
                " 'x', now())"
            ),
            {"id": business.id},
        )
    dana = leave_traces(services, business, DANA, "Dana Levi", "10:00")
    assert erase(services, business).events == 3
    with as_tenant(engine, business.id) as connection:
        events = connection.execute(
            text(
                "SELECT e.type, e.payload, e.message_row_id, d.state FROM events e JOIN webhook_deliveries d"
                " ON d.event_id = e.id ORDER BY e.id"
            )
        ).all()
    ids = [dana.appointment, dana.message, dana.appointment]
    assert [event.payload["data"] for event in events] == [{"id": row_id, "erased": True} for row_id in ids]
    assert [event.type for event in events] == ["appointment.created", "message.created", "appointment.cancelled"]
    assert {event.payload["type"] for event in events} == {event.type for event in events}
    assert {(event.state, event.message_row_id) for event in events} == {("pending", None)}


def test_answers_that_show_the_number_are_forgotten(
    services: Services, engine: Engine, business: SomeBusiness
) -> None:
    """Those kept for Idempotency-Keys; others stay."""
    for key, number in (("a", DANA), ("b", NOAM)):
        services.idempotency.begin(business.id, "key:1", key, secrets.token_bytes(32))
        answer = StoredAnswer(201, {}, json.dumps({"customer_phone": number}))
        services.idempotency.finish(business.id, "key:1", key, answer)
    assert erase(services, business) == Erasure(stored_answers=1)
    assert NOAM in everything(engine, business)


def test_an_event_that_was_told_of_the_number_is_emptied(
    services: Services, engine: Engine, business: SomeBusiness
) -> None:
    """Though the appointment has another number since."""
    dana = leave_traces(services, business, DANA, "Dana Levi", "10:00")
    with as_tenant(engine, business.id) as connection:
        connection.execute(text("UPDATE appointments SET customer_phone = :n, call_id = NULL"), {"n": NOAM})
        connection.execute(text("UPDATE appointments SET phone_reversed = '123456745279'"))
    erase(services, business)
    assert services.scheduling.get_appointment(business.id, dana.appointment).customer_phone == NOAM
    with as_tenant(engine, business.id) as connection:
        told = connection.execute(text("SELECT payload::text FROM events")).scalars().all()
    assert DANA not in str(told)


def test_more_than_one_batch_is_erased(services: Services, engine: Engine, business: SomeBusiness) -> None:
    """A caller of years, in transactions of a bounded size; a second time there is nothing left."""
    with as_tenant(engine, business.id) as connection:
        connection.execute(
            text(
                "INSERT INTO calls (business_id, call_sid, called_number, caller_number, state, created_at)"
                " SELECT :id, 'CA-b-' || n, '+97231234567', :number, 'ringing', now()"
                " FROM generate_series(1, 53) n"
            ),
            {"id": business.id, "number": DANA},
        )
    assert erase(services, business) == Erasure(calls=53)
    assert erase(services, business) == Erasure()


def test_another_business_keeps_its_customers(services: Services, engine: Engine, business: SomeBusiness) -> None:
    """The same number elsewhere is another matter."""
    other = new_business(services)
    leave_traces(services, other, DANA, "Dana Levi", "10:00")
    before = everything(engine, other)
    assert services.privacy.export_customer(business.id, DANA).calls == ()
    assert erase(services, business) == Erasure()
    assert everything(engine, other) == before
    with pytest.raises(NotFound):
        services.privacy.export_customer(2**40, DANA)


def keep_for(engine: Engine, business: SomeBusiness, days: int | None) -> None:
    with as_tenant(engine, business.id) as connection:
        connection.execute(text("UPDATE businesses SET transcript_retention_days = :days"), {"days": days})


def test_transcripts_are_forgotten_when_their_time_is_over(
    services: Services, engine: Engine, business: SomeBusiness, clock: Clock
) -> None:
    """Words go, measures stay; payloads of that age too; younger ones stay; the second time nothing is done."""
    old = leave_traces(services, business, DANA, "Dana Levi", "10:00")
    clock.advance(days=20)
    young = services.calls.accept_call(IncomingCall("CA-young", business.phone_number, DANA)).call_id
    services.calls.append_timeline(business.id, young, [SAID])
    clock.advance(days=10, seconds=1)
    keep_for(engine, business, None)
    assert services.privacy.purge_transcripts(business.id) == 0
    keep_for(engine, business, 31)
    assert services.privacy.purge_transcripts(business.id) == 0
    keep_for(engine, business, 30)
    assert services.privacy.purge_transcripts(business.id) == 3
    assert services.privacy.purge_transcripts(business.id) == 0
    purged = services.call_log.get_call(business.id, old.call)
    assert purged.timeline == (TimelineEntry(0, "call_started"), LEFT)
    assert purged.caller_number == DANA
    assert services.call_log.get_call(business.id, young).timeline == (SAID,)
    assert services.scheduling.get_appointment(business.id, old.appointment).customer_name == "Dana Levi"
    with as_tenant(engine, business.id) as connection:
        payloads = connection.execute(text("SELECT payload::text FROM events")).scalars().all()
    assert "Dana" not in str(payloads)


def test_every_business_s_own_time_counts(
    services: Services, engine: Engine, business: SomeBusiness, clock: Clock
) -> None:
    """The housekeeper's run, more than one batch of calls."""
    other = new_business(services)
    for owner, days in ((business, 1), (other, 90)):
        keep_for(engine, owner, days)
        for number in range(25):
            incoming = IncomingCall(f"CA-{owner.id}-{number}", owner.phone_number, DANA)
            call_id = services.calls.accept_call(incoming).call_id
            services.calls.append_timeline(owner.id, call_id, [SAID])
    clock.advance(days=2)
    assert services.privacy.purge_everywhere() >= 25

    def lines(owner: SomeBusiness) -> list[Any]:
        with as_tenant(engine, owner.id) as connection:
            return list(connection.scalars(text("SELECT data FROM call_events")))

    assert lines(business) == [dict(LEFT.data)] * 25
    assert lines(other) == [dict(SAID.data)] * 25
