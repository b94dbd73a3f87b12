"""API keys as JSON."""

from __future__ import annotations

import marshmallow as ma

from app.api.fields import Flag, identifier, instant, line
from app.domain.access import BUSINESS_SCOPES

SCOPE_NAMES = sorted(BUSINESS_SCOPES)


def scopes(description: str) -> ma.fields.List[str]:
    """What a credential may do."""
    return ma.fields.List(
        ma.fields.String(validate=ma.validate.OneOf(SCOPE_NAMES)),
        required=True,
        validate=ma.validate.Length(1, len(SCOPE_NAMES)),
        metadata={"description": description, "example": ["appointments:read", "appointments:write"]},
    )


class NewApiKey(ma.Schema):
    """A key to make."""

    name = line("What it is for", "Online booking", required=True)
    scopes = scopes("What it may do: nothing that its maker may not")
    expires_at = instant(
        "When it expires; without it, never", "2036-11-23T10:00:00+02:00", allow_none=True, load_default=None
    )


class ApiKeyFilter(ma.Schema):
    """Which keys to list."""

    revoked = Flag(
        load_default=False,
        metadata={"description": "Those that were revoked instead of the others", "example": False},
    )


class ApiKeySchema(ma.Schema):
    """A key, without its token."""

    id = identifier("The key", required=True)
    name = line("What it is for", "Online booking", required=True)
    prefix = ma.fields.String(
        required=True, metadata={"description": "The readable part of its token", "example": "3f9a0c1e"}
    )
    scopes = ma.fields.List(
        ma.fields.String(),
        required=True,
        metadata={"description": "What it may do", "example": ["appointments:read"]},
    )
    created_by = ma.fields.String(required=True, metadata={"description": "Who made it", "example": "user:3"})
    created_at = instant("When it was made", "2026-11-22T08:00:00+02:00", required=True)
    expires_at = instant("When it expires; null: never", allow_none=True, required=True)
    revoked_at = instant("When it was revoked; null: it was not", allow_none=True, required=True)
    last_used_at = instant("When it was last used, exact to a minute", allow_none=True, required=True)


class CreatedApiKeySchema(ApiKeySchema):
    """A key that has just been made."""

    token = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The key itself, shown this once and stored nowhere; null where an Idempotency-Key"
            " repeats the answer",
            "example": "moed_3f9a0c1e_6Wf5nCqXbXhJm0Z8r1Yt2uVwKpLsDgAeBiNoMcQdRkE",
        },
    )
