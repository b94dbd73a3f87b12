"""Free times, as JSON."""

from __future__ import annotations

import marshmallow as ma

from app.api.fields import day, identifier, instant, zone_name
from app.domain.availability import REFUSALS


class FreeSlotSchema(ma.Schema):
    """A start that can be booked now."""

    starts_at = instant("When it begins", required=True)
    ends_at = instant("When it ends", "2026-11-23T10:30:00+02:00", required=True)
    resource_id = identifier("Who or what would be booked", required=True)


class DayAvailabilitySchema(ma.Schema):
    """A local date: its free starts, or why it has none."""

    day = day("The date", required=True)
    slots = ma.fields.List(
        ma.fields.Nested(FreeSlotSchema), required=True, metadata={"description": "The free starts, in order"}
    )
    refusal_code = ma.fields.String(
        required=True,
        allow_none=True,
        validate=ma.validate.OneOf([*REFUSALS, None]),
        metadata={"description": "Why there is none", "example": None},
    )
    message = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "The same in words", "example": None}
    )


class AvailabilitySchema(ma.Schema):
    """Every date of the range, in order."""

    timezone = zone_name()
    days = ma.fields.List(
        ma.fields.Nested(DayAvailabilitySchema), required=True, metadata={"description": "The dates"}
    )


class AvailabilityQuery(ma.Schema):
    """Which dates, for what."""

    from_ = day("The first date", required=True, data_key="from")
    to = day("The last date, at most 30 days after the first", "2026-11-29", required=True)
    appointment_type_id = identifier("Free for this type", in_query=True, load_default=None)
    resource_id = identifier("Free with this resource", in_query=True, load_default=None)
