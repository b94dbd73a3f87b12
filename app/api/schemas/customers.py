"""What is stored under a telephone number, as JSON."""

from __future__ import annotations

import marshmallow as ma

from app.api.fields import instant, phone_number, zone_name
from app.api.schemas.appointments import AppointmentChangeSchema, AppointmentSchema
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


class ExportedAppointmentSchema(ma.Schema):
    """An appointment with all that was ever done to it."""

    appointment = ma.fields.Nested(AppointmentSchema, required=True)
    history = ma.fields.List(
        ma.fields.Nested(AppointmentChangeSchema), required=True, metadata={"description": "Oldest first"}
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
