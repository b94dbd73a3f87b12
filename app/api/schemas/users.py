"""Users and their sessions as JSON."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from app.api.fields import BodyFlag, Whole, identifier, instant, line, version
from app.domain.access import Role

_EMAIL = (
    r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$"
)
_NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f]*$"


def _role(**kwargs: Any) -> ma.fields.Enum[Role]:
    return ma.fields.Enum(
        Role,
        by_value=True,
        metadata={"description": "What they may do in the business", "example": "receptionist"},
        **kwargs,
    )


def _password(description: str) -> ma.fields.String:
    return ma.fields.String(
        required=True,
        validate=[ma.validate.Length(10, 200), ma.validate.Regexp(_NO_CONTROLS)],
        metadata={"description": description, "example": "correct horse battery"},
    )


class UserSchema(ma.Schema):
    """Somebody who logs in."""

    id = identifier("The user", required=True)
    email = ma.fields.String(
        required=True,
        metadata={"description": "What they log in with, in lower case", "example": "dana@example.com"},
    )
    name = line("Their name", "Dana Levi", required=True)
    role = _role(required=True)
    active = BodyFlag(required=True, metadata={"description": "Whether they may log in", "example": True})
    version = version()
    created_at = instant("When they were added", "2026-11-22T08:00:00+02:00", required=True)
    last_login_at = instant("When they last logged in", allow_none=True, required=True)


class NewUser(ma.Schema):
    """A user to add."""

    email = ma.fields.String(
        required=True,
        validate=[ma.validate.Length(3, 254), ma.validate.Regexp(_EMAIL)],
        metadata={
            "description": "What they log in with; nobody else's, in any business",
            "example": "dana@example.com",
        },
    )
    name = line("Their name", "Dana Levi", required=True)
    role = _role(required=True)
    password = _password("Their first password")


class UserChanges(ma.Schema):
    """What to change; what is left out stays."""

    name = line("Their name", "Dana Levi")
    role = _role()
    active = BodyFlag(metadata={"description": "Whether they may log in", "example": True})


class NewPassword(ma.Schema):
    """A password to set."""

    password = _password("The new password")
    current_password = ma.fields.String(
        allow_none=True,
        load_default=None,
        validate=ma.validate.Length(0, 1000),
        metadata={"description": "The one until now: needed for one's own", "example": "correct horse"},
    )


class Login(ma.Schema):
    """Who logs in."""

    email = ma.fields.String(
        required=True,
        validate=ma.validate.Length(1, 254),
        metadata={"description": "The user's e-mail", "example": "dana@example.com"},
    )
    password = ma.fields.String(
        required=True,
        validate=ma.validate.Length(1, 1000),
        metadata={"description": "The user's password", "example": "correct horse battery"},
    )


class SessionSchema(ma.Schema):
    """A session: whose, and what it may do."""

    user = ma.fields.Nested(UserSchema, required=True, metadata={"description": "Who is logged in"})
    business_id = Whole(
        required=True, metadata={"description": "The user's business", "example": 1, "format": "int64"}
    )
    role = _role(required=True)
    scopes = ma.fields.List(
        ma.fields.String(),
        required=True,
        metadata={"description": "What it may do", "example": ["appointments:read", "appointments:write"]},
    )
    csrf_token = ma.fields.String(
        required=True,
        metadata={
            "description": "Goes into X-CSRF-Token of every request that changes something",
            "example": "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg",
        },
    )
