"""Appointments and holds, as JSON."""

from __future__ import annotations

import marshmallow as ma

from app.api.fields import (
    PROSE,
    BodyFlag,
    BodyWhole,
    Flag,
    Whole,
    identifier,
    instant,
    line,
    phone_number,
    prose,
    version,
    zone_name,
)
from app.domain.appointments import Source, Status

DIALLED = r"^ *\+?[0-9 ()./-]{3,32} *$"


def dialled_number(description: str, **kwargs: object) -> ma.fields.String:
    """A telephone number as people write it."""
    return ma.fields.String(
        validate=[ma.validate.Length(3, 40), ma.validate.Regexp(DIALLED)],
        metadata={
            "description": f"{description} (E.164, or as dialled in its country)",
            "example": "052-123-4567",
        },
        **kwargs,  # type: ignore[arg-type]
    )


class AppointmentSchema(ma.Schema):
    """An appointment, or a hold: then without a customer. Instants carry the business's offset."""

    id = identifier("The appointment; it keeps it when it is moved", required=True)
    number = Whole(required=True, metadata={"description": "What is said on the phone", "example": 1042})
    status = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(list(Status)),
        metadata={"description": "Where it is in its life", "example": "confirmed"},
    )
    starts_at = instant("When it begins", required=True)
    ends_at = instant("When it ends", "2026-11-23T10:30:00+02:00", required=True)
    timezone = zone_name()
    resource_id = identifier("Who or what is booked", required=True)
    appointment_type_id = identifier("Its type, if it has one", required=True, allow_none=True)
    customer_name = ma.fields.String(
        required=True, metadata={"description": "Who it is for; empty for a hold", "example": "Dana Levi"}
    )
    customer_phone = phone_number("Where the customer can be reached", required=True, allow_none=True)
    notes = prose("Notes", "first visit", required=True)
    source = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(list(Source)),
        metadata={"description": "Which door it came through", "example": "api"},
    )
    call_id = identifier("The call in which it was booked", required=True, allow_none=True)
    overbooked = BodyFlag(
        required=True, metadata={"description": "Booked deliberately over something else", "example": False}
    )
    cancel_reason = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "Why it was cancelled", "example": None}
    )
    is_test = BodyFlag(required=True, metadata={"description": "Made in a test call", "example": False})
    expires_at = instant("When a hold ends by itself", required=True, allow_none=True)
    confirmed_to_caller_at = instant(
        "When the caller heard the number", "2026-11-22T08:01:00+02:00", required=True, allow_none=True
    )
    version = version()
    created_at = instant("When it was made", "2026-11-22T08:00:00+02:00", required=True)
    updated_at = instant("When it was last changed", "2026-11-22T08:00:00+02:00", required=True)


class NewAppointment(ma.Schema):
    """An appointment to book."""

    starts_at = instant("When it is to begin: one of the free starts", required=True)
    customer_name = line("Who it is for", "Dana Levi", required=True)
    customer_phone = dialled_number("Where the customer can be reached", load_default=None, allow_none=True)
    notes = prose("Notes", "first visit", load_default="")
    resource_id = identifier("Who or what is wished for; without it, the least busy", load_default=None)
    appointment_type_id = identifier("Its type; without one, as the slot policy says", load_default=None)
    overbook = BodyFlag(
        load_default=False,
        metadata={
            "description": "Book whatever is said against it, but not the past. Needs `resource_id`,"
            " and the scope `appointments:overbook`",
            "example": False,
        },
    )


class AppointmentChanges(ma.Schema):
    """What to correct; what is left out stays."""

    customer_name = line("Who it is for", "Dana Levi")
    customer_phone = dialled_number("Where the customer can be reached; null: unknown", allow_none=True)
    notes = prose("Notes", "second visit")


class Reschedule(ma.Schema):
    """Where to move it."""

    starts_at = instant("When it is to begin", "2026-11-23T12:00:00+02:00", required=True)
    resource_id = identifier("Who or what is wished for; without it, the same if free", load_default=None)


class Cancellation(ma.Schema):
    """Why it is cancelled."""

    reason = ma.fields.String(
        load_default=None,
        allow_none=True,
        validate=[ma.validate.Length(0, 500), ma.validate.Regexp(PROSE)],
        metadata={"description": "Why; shown with the appointment", "example": "is ill"},
    )


class AppointmentQuery(ma.Schema):
    """Which appointments to list. Without `status`: all but holds."""

    from_ = instant("Those that begin then or later", data_key="from")
    to = instant("Those that begin before then", "2026-11-24T00:00:00+02:00")
    phone = dialled_number("The customer's whole number")
    phone_ends_with = ma.fields.String(
        validate=ma.validate.Regexp(r"^[0-9]{3,15}$"),
        metadata={"description": "The last digits of the customer's number", "example": "4567"},
    )
    name = line("How the customer's name begins; case, marks and punctuation do not count", "dana l")
    status = ma.fields.List(
        ma.fields.String(validate=ma.validate.OneOf(list(Status))),
        load_default=(),
        validate=ma.validate.Length(0, len(Status)),
        metadata={"description": "One of these statuses; may be repeated", "example": ["confirmed"]},
    )
    resource_id = identifier("Who or what is booked", in_query=True)
    call_id = identifier("The call in which they were booked", in_query=True)
    include_test = Flag(load_default=False, metadata={"description": "Also those of test calls", "example": False})


class AppointmentChangeSchema(ma.Schema):
    """A line of the audit trail. It holds no personal data."""

    id = identifier("The line", required=True)
    kind = ma.fields.String(required=True, metadata={"description": "What was done", "example": "booked"})
    source = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "Through which door", "example": "api"}
    )
    actor = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Who did it: an API key, a user, a call; null: time itself", "example": "key:7"},
    )
    changed_at = instant("When", "2026-11-22T08:00:00+02:00", required=True)
    data = ma.fields.Dict(
        required=True,
        metadata={
            "description": "The place, resource and status that it left; what a move came from",
            "example": {"starts_at": "2026-11-23T08:00:00+00:00", "resource_id": 7, "status": "confirmed"},
        },
    )


class AppointmentHistorySchema(ma.Schema):
    """All that was ever done to an appointment, in order."""

    changes = ma.fields.List(
        ma.fields.Nested(AppointmentChangeSchema), required=True, metadata={"description": "The oldest first"}
    )


class NewHold(ma.Schema):
    """A start to hold."""

    starts_at = instant("When it is to begin: one of the free starts", required=True)
    minutes = BodyWhole(
        load_default=5,
        validate=ma.validate.Range(1, 60),
        metadata={"description": "How long to hold it", "example": 5},
    )
    resource_id = identifier("Who or what is wished for; without it, the least busy", load_default=None)
    appointment_type_id = identifier("Its type; without one, as the slot policy says", load_default=None)


class HoldConfirmation(ma.Schema):
    """Who a held start is for."""

    customer_name = line("Who it is for", "Dana Levi", required=True)
    customer_phone = dialled_number("Where the customer can be reached", load_default=None, allow_none=True)
    notes = prose("Notes", "first visit", load_default="")
