"""Kinds of appointments, as JSON."""

from __future__ import annotations

import marshmallow as ma

from app.api.fields import BodyFlag, BodyWhole, Flag, identifier, instant, line, version
from app.api.schemas.answers import AnswerSchema
from app.domain.calendar_settings import MOST_TYPE_RESOURCES
from app.domain.slot_policy import DAY_MIN


def duration(*, required: bool = False) -> BodyWhole:
    """How long one lasts."""
    return BodyWhole(
        required=required,
        validate=ma.validate.Range(1, DAY_MIN),
        metadata={"description": "How many minutes it lasts; with its buffers at most a day", "example": 45},
    )


def buffer(description: str) -> BodyWhole:
    """Minutes that are kept free."""
    return BodyWhole(
        allow_none=True,
        validate=ma.validate.Range(0, DAY_MIN),
        metadata={
            "description": f"Minutes kept free {description}; null: as many as the slot policy says",
            "example": 5,
        },
    )


class AppointmentTypeChanges(ma.Schema):
    """What to change; what is left out stays."""

    name = line("What it is called", "First visit")
    duration_min = duration()
    buffer_before_min = buffer("before")
    buffer_after_min = buffer("after")
    resource_ids = ma.fields.List(
        identifier("A resource"),
        validate=ma.validate.Length(max=MOST_TYPE_RESOURCES),
        metadata={"description": "Which resources take it; none: all", "example": [7]},
    )
    active = BodyFlag(metadata={"description": "Whether it can be booked", "example": True})


class NewAppointmentType(AppointmentTypeChanges):
    """A kind of appointment to add."""

    name = line("What it is called", "First visit", required=True)
    duration_min = duration(required=True)


class AppointmentTypeSchema(AnswerSchema, AppointmentTypeChanges):
    """A kind of appointment with its own length."""

    id = identifier("The type", required=True)
    version = version()
    created_at = instant("When it was added", "2026-11-22T08:00:00+02:00", required=True)


class AppointmentTypeFilter(ma.Schema):
    """Which types to list."""

    active = Flag(metadata={"description": "Only those that can be booked, or only the others", "example": True})
