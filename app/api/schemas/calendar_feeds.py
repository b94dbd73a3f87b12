"""Calendar feeds, as JSON."""

from __future__ import annotations

import marshmallow as ma

from app.api.fields import BodyFlag, identifier, instant, line, zone_name


class CalendarFeedSchema(ma.Schema):
    """A calendar that other programs subscribe to."""

    id = identifier("The feed", required=True)
    name = line("What calendar programs call it", "Dr. Levi", required=True)
    resource_id = identifier("Whose appointments it shows; null: all", required=True, allow_none=True)
    shows_names = BodyFlag(
        required=True, metadata={"description": "Whether it shows customers' names", "example": False}
    )
    created_at = instant("When it was made", "2026-11-22T08:00:00+02:00", required=True)
    timezone = zone_name()


class CreatedFeedSchema(CalendarFeedSchema):
    """A feed just made, with its secret URL."""

    url = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Where to subscribe. Whoever knows it sees the calendar. Shown this once: null when an"
            " Idempotency-Key asks again",
            "example": "https://moed.example/api/v1/feeds/kL2XVbJ0Q5m0cJ0cVt2cGkq7nJ1lWb3T9o8rYyE4x5A/calendar.ics",
        },
    )


class NewCalendarFeed(ma.Schema):
    """A feed to make."""

    name = line("What calendar programs call it", "Dr. Levi", required=True)
    resource_id = identifier("Whose appointments it shows; left out or null: all", allow_none=True)
    shows_names = BodyFlag(metadata={"description": "Whether it shows customers' names", "example": False})
