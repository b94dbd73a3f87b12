"""Events: what happened is written in the transaction in which it happens, with a delivery for each endpoint.

Whoever changes an appointment, ends a call or stores a message calls one of the functions below inside its own
transaction, after the flush that gave the row its id. A rollback takes the event along.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, literal, select
from sqlalchemy.orm import Session

from app.domain.appointments import AppointmentDetails
from app.domain.calls import CallDetails
from app.domain.events import EventType
from app.models import Event, WebhookDelivery, WebhookEndpoint
from app.services.calendars import as_local, zone_of

OUTBOX_CHANNEL = "moed_outbox"
"""Notified when a delivery is due; the payload is empty."""

EVENTS_CHANNEL = "moed_events"
"""Notified of each event, with `<business_id>:<event_id>`: never personal data."""


def appointment_event(
    session: Session,
    details: AppointmentDetails,
    type_: EventType,
    now: datetime,
    previous_starts_at: datetime | None = None,
) -> int:
    """Record that an appointment was created, rescheduled, cancelled or marked as no-show; the event's id.

    `details` is the row as this transaction leaves it, with local instants. Give `previous_starts_at` for a
    reschedule, and only then. Holds, and appointments of test calls, are no events: don't call this for them.
    """
    zone = zone_of(session, details.business_id)
    data = {
        "id": details.id,
        "number": details.number,
        "starts_at": details.starts_at.isoformat(),
        "ends_at": details.ends_at.isoformat(),
        "timezone": zone.key,
        "status": details.status,
        "resource_id": details.resource_id,
        "appointment_type_id": details.appointment_type_id,
        "customer_name": details.customer_name,
        "customer_phone": details.customer_phone,
        "source": details.source,
        "call_id": details.call_id,
        "version": details.version,
    }
    if previous_starts_at is not None:
        data["previous_starts_at"] = as_local(previous_starts_at, zone).isoformat()
    return record_event(session, details.business_id, type_, data, now, appointment_id=details.id)


def call_event(session: Session, details: CallDetails, now: datetime) -> int:
    """Record that a call has ended for good; the event's id. What was said in it is read from the API."""
    zone = zone_of(session, details.business_id)
    started, ended = details.started_at, details.ended_at
    data = {
        "id": details.id,
        "call_sid": details.call_sid,
        "state": details.state,
        "end_reason": details.end_reason,
        "caller_number": details.caller_number,
        "created_at": as_local(details.created_at, zone).isoformat(),
        "started_at": None if started is None else as_local(started, zone).isoformat(),
        "ended_at": None if ended is None else as_local(ended, zone).isoformat(),
        "timezone": zone.key,
        "duration_ms": details.duration_ms,
        "barge_ins": details.barge_ins,
    }
    return record_event(session, details.business_id, EventType.CALL_COMPLETED, data, now, call_id=details.id)


def message_event(
    session: Session,
    business_id: int,
    message_row_id: int,
    *,
    call_id: int | None,
    caller_name: str,
    caller_number: str | None,
    body: str,
    now: datetime,
) -> int:
    """Record that a caller left a message, whose row this transaction has made; the event's id."""
    zone = zone_of(session, business_id)
    data = {
        "id": message_row_id,
        "call_id": call_id,
        "caller_name": caller_name,
        "caller_number": caller_number,
        "body": body,
        "created_at": as_local(now, zone).isoformat(),
        "timezone": zone.key,
    }
    return record_event(
        session, business_id, EventType.MESSAGE_CREATED, data, now, call_id=call_id, message_row_id=message_row_id
    )


def record_event(
    session: Session,
    business_id: int,
    type_: str,
    data: Mapping[str, Any],
    now: datetime,
    *,
    appointment_id: int | None = None,
    call_id: int | None = None,
    message_row_id: int | None = None,
    only_to: int | None = None,
) -> int:
    """Write an event with its deliveries, due at once, and wake the sender when this commits; the event's id.

    It goes to every enabled endpoint of the business that subscribes to the type, or to the one of `only_to`,
    whatever that subscribes to. The ids name what the event is about, so that it can be erased with that.
    """
    zone = zone_of(session, business_id)
    payload = {
        "type": str(type_),
        "timestamp": as_local(now, zone).isoformat(),
        "business_id": business_id,
        "data": dict(data),
    }
    event = Event(
        business_id=business_id,
        message_id=f"msg_{secrets.token_urlsafe(18)}",
        type=str(type_),
        payload=payload,
        appointment_id=appointment_id,
        call_id=call_id,
        message_row_id=message_row_id,
        created_at=now,
    )
    session.add(event)
    session.flush()
    if _add_deliveries(session, event, only_to):
        session.execute(select(func.pg_notify(OUTBOX_CHANNEL, "")))
    session.execute(select(func.pg_notify(EVENTS_CHANNEL, f"{business_id}:{event.id}")))
    return event.id


def _add_deliveries(session: Session, event: Event, only_to: int | None) -> bool:
    """One for each endpoint that wants the event; whether there is any."""
    wants = WebhookEndpoint.event_types.any_() == event.type if only_to is None else WebhookEndpoint.id == only_to
    endpoints = select(
        WebhookEndpoint.business_id,
        WebhookEndpoint.id,
        literal(event.id),
        literal("pending"),
        literal(event.created_at),
        literal(event.created_at),
    ).where(
        WebhookEndpoint.business_id == event.business_id,
        WebhookEndpoint.enabled,
        WebhookEndpoint.deleted_at.is_(None),
        wants,
    )
    columns = ["business_id", "endpoint_id", "event_id", "state", "next_attempt_at", "created_at"]
    added = session.execute(
        insert(WebhookDelivery).from_select(columns, endpoints).returning(WebhookDelivery.id),
        execution_options={"synchronize_session": False},
    )
    return bool(added.all())
