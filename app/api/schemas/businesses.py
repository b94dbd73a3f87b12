"""A business and its settings, as JSON."""

from __future__ import annotations

import marshmallow as ma

from app.api.fields import BodyFlag, BodyWhole, identifier, instant, line, phone_number, prose, version
from app.api.schemas.answers import AnswerSchema
from app.domain.businesses import (
    LANGUAGES,
    MAX_CALL_MINUTES,
    MOST_PHONE_NUMBERS,
    RETENTION_DAYS,
    SILENCE_TIMEOUT_MS,
)
from app.domain.calls import CallGoal
from app.domain.slot_policy import zone_names
from app.services.businesses import COUNTRIES

ZONES = [name for name in zone_names() if "GMT+" not in name and "GMT-" not in name]
"""Without the zones of a fixed offset: clients generated from the document can't tell their names apart."""


def flag(description: str, *, example: bool) -> BodyFlag:
    """A switch."""
    return BodyFlag(metadata={"description": description, "example": example})


def within(bounds: range, description: str, example: int | None, *, allow_none: bool = False) -> BodyWhole:
    """A number that is one of `bounds`."""
    return BodyWhole(
        allow_none=allow_none,
        validate=ma.validate.Range(bounds[0], bounds[-1]),
        metadata={"description": description, "example": example},
    )


class BusinessChanges(ma.Schema):
    """What to change; what is left out stays."""

    name = line("What it is called", "Levi Dental Clinic")
    timezone = ma.fields.String(
        validate=ma.validate.OneOf(ZONES),
        metadata={"description": "The IANA zone of its opening hours", "example": "Asia/Jerusalem"},
    )
    country = ma.fields.String(
        validate=ma.validate.OneOf(sorted(COUNTRIES)),
        metadata={
            "description": "Where it is (ISO 3166): its holidays, and how its customers dial",
            "example": "IL",
        },
    )
    language = ma.fields.String(
        validate=ma.validate.OneOf(LANGUAGES), metadata={"description": "What is spoken", "example": "he"}
    )
    phone_numbers = ma.fields.List(
        phone_number("A number that leads to it"),
        validate=ma.validate.Length(max=MOST_PHONE_NUMBERS),
        metadata={"description": "All its numbers; no other business has them", "example": ["+97235550123"]},
    )
    call_goal = ma.fields.String(
        validate=ma.validate.OneOf([goal.value for goal in CallGoal]),
        metadata={"description": "What its calls are for", "example": "appointment"},
    )
    greeting = prose("The first sentence of a call", "Levi Dental Clinic, how can I help?")
    instructions = prose("What the receptionist should know", "We do not treat children.", 20_000)
    voice = line("The voice model's voice", "marin", 100)
    barge_in_enabled = flag("Whether callers can interrupt", example=True)
    barge_in_after_greeting = flag("Whether they can only when the greeting is over", example=False)
    silence_timeout_ms = within(SILENCE_TIMEOUT_MS, "How long a caller may be silent", 10_000)
    max_call_minutes = within(MAX_CALL_MINUTES, "How long a call may last", 20)
    transcripts_kept = flag("Whether what is said is written down", example=True)
    transcript_retention_days = within(
        RETENTION_DAYS, "After how many days transcripts are deleted; null: never", 90, allow_none=True
    )


class NewBusiness(BusinessChanges):
    """A business to make. It can be booked once it has a resource and a slot policy."""

    name = line("What it is called", "Levi Dental Clinic", required=True)
    timezone = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(ZONES),
        metadata={"description": "The IANA zone of its opening hours", "example": "Asia/Jerusalem"},
    )
    language = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(LANGUAGES),
        metadata={"description": "What is spoken", "example": "he"},
    )


class BusinessSchema(AnswerSchema, BusinessChanges):
    """A business with all its settings."""

    id = identifier("The business", required=True)
    timezone = ma.fields.String(metadata={"description": "Its IANA zone", "example": "Asia/Jerusalem"})
    country = ma.fields.String(metadata={"description": "Where it is (ISO 3166)", "example": "IL"})
    version = version()
    created_at = instant("When it was made", "2026-11-22T08:00:00+02:00", required=True)
