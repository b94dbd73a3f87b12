"""The people of a business who log in."""

from __future__ import annotations

from typing import Any

from flask import request

from app.api.auth import SESSION_COOKIE
from app.api.operation import Caller, operation, section, services
from app.api.schemas import users as schemas
from app.domain.pages import Page
from app.domain.users import NewUser, UserChanges, UserDetails

blueprint = section("Users", "Owners and receptionists: who logs in to the dashboard.")


@operation(blueprint, "GET", "/users", scope="users:read", summary="List users", page_of=schemas.UserSchema)
def list_users(caller: Caller) -> Page[UserDetails]:
    """Also those who may not log in, the oldest first."""
    return services().users.list_users(caller.business_id, caller.page)


@operation(
    blueprint,
    "POST",
    "/users",
    scope="users:write",
    summary="Add a user",
    description="Nobody can add a user who may do more than they.",
    body=schemas.NewUser,
    answer=schemas.UserSchema,
)
def create_user(caller: Caller, body: dict[str, Any]) -> UserDetails:
    """They can log in at once."""
    new = NewUser(body["email"], body["name"], body["role"], body["password"])
    return services().users.create_user(caller.business_id, new, caller.actor, caller.credential.scopes)


@operation(
    blueprint,
    "GET",
    "/users/<id:user_id>",
    scope="users:read",
    summary="Get a user",
    answer=schemas.UserSchema,
    problems=(404,),
)
def get_user(caller: Caller, user_id: int) -> UserDetails:
    """One of them."""
    return services().users.get_user(caller.business_id, user_id)


@operation(
    blueprint,
    "PATCH",
    "/users/<id:user_id>",
    scope="users:write",
    summary="Change a user's name or role, let them in or keep them out",
    description="Who is kept out is logged out everywhere. The last owner who may log in stays one.",
    body=schemas.UserChanges,
    answer=schemas.UserSchema,
    versioned=True,
    problems=(404, 409),
)
def update_user(caller: Caller, user_id: int, body: dict[str, Any]) -> UserDetails:
    """What is left out stays."""
    return services().users.update_user(
        caller.business_id,
        user_id,
        UserChanges(**body),
        caller.actor,
        caller.credential.scopes,
        caller.expected_version,
    )


@operation(
    blueprint,
    "POST",
    "/users/<id:user_id>/password",
    summary="Set a user's password",
    description="One's own, with the current one; others' with the scope `users:write`, unless they may do more."
    " Ends the user's other sessions.",
    body=schemas.NewPassword,
    problems=(404,),
)
def set_password(caller: Caller, user_id: int, body: dict[str, Any]) -> None:
    """The session in which it is set goes on."""
    services().users.set_password(
        caller.business_id,
        user_id,
        body["password"],
        caller.actor,
        caller.credential.scopes,
        current=body["current_password"],
        kept_token=request.cookies.get(SESSION_COOKIE),
    )
