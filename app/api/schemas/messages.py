"""Callers' messages, as JSON."""

from __future__ import annotations

import marshmallow as ma

from app.api.fields import BodyFlag, Flag, identifier, instant, phone_number, prose, version, zone_name


class MessageSchema(ma.Schema):
    """What a caller left for the receptionist."""

    id = identifier("The message", required=True)
    body = prose("What it says", "Please call me back about Monday.", 4000, required=True)
    caller_name = ma.fields.String(
        required=True,
        validate=ma.validate.Length(0, 200),
        metadata={"description": "Who left it; may be empty", "example": "Dana Levi"},
    )
    caller_number = phone_number("Where to call back; null: not known", required=True, allow_none=True)
    call_id = identifier("The call in which it was left", required=True, allow_none=True)
    handled = BodyFlag(
        required=True, metadata={"description": "Whether somebody has seen to it", "example": False}
    )
    handled_at = instant("When somebody saw to it", "2026-11-22T09:00:00+02:00", required=True, allow_none=True)
    handled_by = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Who did: a user or an API key", "example": "user:3"},
    )
    created_at = instant("When it was left", "2026-11-22T08:00:00+02:00", required=True)
    timezone = zone_name()
    version = version()


class MessageQuery(ma.Schema):
    """Which messages to list."""

    handled = Flag(
        metadata={"description": "Those that somebody has seen to, or those that are open", "example": False}
    )


class MessageChanges(ma.Schema):
    """What to change."""

    handled = BodyFlag(required=True, metadata={"description": "Whether somebody has seen to it", "example": True})
