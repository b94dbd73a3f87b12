"""What is stored under a telephone number, as JSON."""

from __future__ import annotations

import marshmallow as ma

from app.api.fields import BodyFlag, Whole, identifier, instant, phone_number, zone_name
from app.api.schemas.calls import CallWithTimelineSchema, count
from app.api.schemas.messages import MessageSchema


class CustomerNumber(ma.Schema):
    """Whose data."""

    phone = ma.fields.String(
        required=True,
        validate=ma.validate.Length(3, 40),
        metadata={
            "description": "The number, in E.164 or as it is dialled in the business's country",
            "example": "052-123-4567",
        },
    )


class ExportedChangeSchema(ma.Schema):
    """A line of an appointment's history."""

    id = identifier("The line", required=True)
    kind = ma.fields.String(required=True, metadata={"description": "What was done", "example": "booked"})
    source = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "Through which door", "example": "voice"}
    )
    actor = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "Who did it", "example": "user:3"}
    )
    data = ma.fields.Dict(
        required=True, metadata={"description": "What it left", "example": {"status": "confirmed"}}
    )
    changed_at = instant("When", "2026-11-22T08:00:00+02:00", required=True)


class StoredAppointmentSchema(ma.Schema):
    """An appointment, as far as it concerns its customer."""

    id = identifier("The appointment", required=True)
    number = Whole(required=True, metadata={"description": "As it was said on the phone", "example": 1042})
    resource_id = identifier("Who or what is booked", required=True)
    appointment_type_id = identifier("Its type", required=True, allow_none=True)
    starts_at = instant("Its beginning", required=True)
    ends_at = instant("Its end", "2026-11-23T10:30:00+02:00", required=True)
    timezone = zone_name()
    status = ma.fields.String(required=True, metadata={"description": "Where it is", "example": "confirmed"})
    source = ma.fields.String(required=True, metadata={"description": "Who made it", "example": "voice"})
    customer_name = ma.fields.String(
        required=True, metadata={"description": "The customer's name", "example": "Dana Levi"}
    )
    customer_phone = phone_number("The customer's number", required=True, allow_none=True)
    notes = ma.fields.String(required=True, metadata={"description": "What else is known", "example": ""})
    cancel_reason = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "Why it was cancelled", "example": None}
    )
    call_id = identifier("The call that made it", required=True, allow_none=True)
    is_test = BodyFlag(required=True, metadata={"description": "Whether a test call made it", "example": False})
    created_at = instant("When it was made", "2026-11-22T08:00:00+02:00", required=True)
    updated_at = instant("When it was last changed", "2026-11-22T08:00:00+02:00", required=True)


class ExportedAppointmentSchema(ma.Schema):
    """An appointment with all that was ever done to it."""

    appointment = ma.fields.Nested(StoredAppointmentSchema, required=True)
    history = ma.fields.List(
        ma.fields.Nested(ExportedChangeSchema), required=True, metadata={"description": "Oldest first"}
    )


class CustomerExportSchema(ma.Schema):
    """All that is stored under a number."""

    phone = phone_number("The number", required=True)
    exported_at = instant("When this was read", "2026-11-22T08:00:00+02:00", required=True)
    timezone = zone_name()
    appointments = ma.fields.List(
        ma.fields.Nested(ExportedAppointmentSchema),
        required=True,
        metadata={"description": "Of this number, or made by its calls"},
    )
    calls = ma.fields.List(
        ma.fields.Nested(CallWithTimelineSchema), required=True, metadata={"description": "Of this number"}
    )
    messages = ma.fields.List(
        ma.fields.Nested(MessageSchema), required=True, metadata={"description": "Of this number, or its calls"}
    )


class ErasureSchema(ma.Schema):
    """How much was erased."""

    appointments = count("Appointments that lost name, number and notes", 3)
    cancelled = count("Those of them that were still to come, and are cancelled", 1)
    calls = count("Calls that lost the number and what was said", 2)
    messages = count("Messages that were deleted", 1)
    events = count("Webhook events of which only ids are left", 6)
    stored_answers = count("Answers kept for Idempotency-Keys that were deleted", 0)
