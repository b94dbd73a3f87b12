"""Calls and what happened in them, as JSON."""

from __future__ import annotations

import marshmallow as ma

from app.api.fields import Flag, Whole, identifier, instant, phone_number, zone_name
from app.domain.calls import CallState

STATES = [str(state) for state in CallState]


def count(description: str, example: int) -> Whole:
    """How many, or how long, in an answer."""
    return Whole(
        required=True,
        validate=ma.validate.Range(0),
        metadata={"description": description, "example": example, "format": "int64"},
    )


class CallSchema(ma.Schema):
    """A telephone call."""

    id = identifier("The call", required=True)
    call_sid = ma.fields.String(
        required=True,
        metadata={"description": "The carrier's id", "example": "CA5f0c3b1e4f1d4d4e9a536d2a8a1f5f10"},
    )
    state = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(STATES),
        metadata={"description": "Where the call is; ended and failed are final", "example": "ended"},
    )
    end_reason = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why its last stream ended", "example": "caller_hung_up"},
    )
    called_number = phone_number("The business's number", required=True)
    caller_number = phone_number("The caller's number; null: withheld or erased", required=True, allow_none=True)
    stream_count = count("How often the carrier connected it to a worker", 1)
    barge_ins = count("How often the caller spoke over the receptionist", 2)
    duration_ms = count("How long the caller was connected, in milliseconds", 61_500)
    created_at = instant("When it came in", "2026-11-22T08:00:00+02:00", required=True)
    started_at = instant("When it was answered", "2026-11-22T08:00:01+02:00", required=True, allow_none=True)
    ended_at = instant("When it was over", "2026-11-22T08:01:02+02:00", required=True, allow_none=True)
    transcript_erased_at = instant(
        "When what was said was erased, by age or on request; null: it was not",
        "2027-11-22T08:01:02+02:00",
        required=True,
        allow_none=True,
    )
    timezone = zone_name()
    appointment_ids = ma.fields.List(
        identifier("An appointment"),
        required=True,
        metadata={"description": "The appointments that it made, whatever became of them", "example": [7]},
    )


class TimelineEntrySchema(ma.Schema):
    """Something that happened in a call."""

    at_ms = count("Milliseconds after its first stream began", 1200)
    kind = ma.fields.String(required=True, metadata={"description": "What it was", "example": "caller_turn"})
    data = ma.fields.Dict(
        required=True,
        metadata={
            "description": "What is known of it, by kind; without words where transcripts are not kept",
            "example": {"text": "Do you have anything on Monday?", "until_ms": 3100, "noise": False},
        },
    )


class CallWithTimelineSchema(CallSchema):
    """A telephone call with all that happened in it."""

    timeline = ma.fields.List(
        ma.fields.Nested(TimelineEntrySchema), required=True, metadata={"description": "In order"}
    )


class CallQuery(ma.Schema):
    """Which calls to list."""

    from_at = instant("Those that came in at this time or later", data_key="from")
    to_at = instant("Those that came in before this time", "2026-11-24T00:00:00+02:00", data_key="to")
    state = ma.fields.String(
        validate=ma.validate.OneOf(STATES), metadata={"description": "Those in this state", "example": "ended"}
    )
    caller = phone_number("Those of this caller")
    caller_ends_with = ma.fields.String(
        validate=ma.validate.Regexp(r"^[0-9]{2,15}$"),
        metadata={"description": "Those of callers whose number ends so", "example": "4567"},
    )
    booked = Flag(
        metadata={"description": "Those that made an appointment, or those that did not", "example": True}
    )
