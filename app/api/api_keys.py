"""Keys of programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from app.api.operation import Caller, operation, section, services
from app.api.schemas import api_keys as schemas
from app.domain.api_keys import ApiKeyDetails, NewApiKey
from app.domain.pages import Page

blueprint = section("API keys", "What programs use the API with.")


@operation(
    blueprint,
    "GET",
    "/api-keys",
    scope="api-keys:read",
    summary="List API keys",
    query=schemas.ApiKeyFilter,
    page_of=schemas.ApiKeySchema,
)
def list_api_keys(caller: Caller, query: dict[str, Any]) -> Page[ApiKeyDetails]:
    """The oldest first."""
    return services().api_keys.list_keys(caller.business_id, caller.page, revoked=query["revoked"])


@operation(
    blueprint,
    "POST",
    "/api-keys",
    scope="api-keys:write",
    summary="Make an API key",
    description="The answer holds its token, this once.",
    body=schemas.NewApiKey,
    answer=schemas.CreatedApiKeySchema,
    shown_once="token",
)
def create_api_key(caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
    """For the caller's business; an operator names it."""
    new = NewApiKey(body["name"], frozenset(body["scopes"]), body["expires_at"])
    made = services().api_keys.create_key(caller.business_id, new, caller.actor, caller.credential.scopes)
    return {**asdict(made.details), "token": made.token}


@operation(
    blueprint,
    "GET",
    "/api-keys/<id:key_id>",
    scope="api-keys:read",
    summary="Get an API key",
    answer=schemas.ApiKeySchema,
    problems=(404,),
)
def get_api_key(caller: Caller, key_id: int) -> ApiKeyDetails:
    """One that was not revoked."""
    return services().api_keys.get_key(caller.business_id, key_id)


@operation(
    blueprint,
    "DELETE",
    "/api-keys/<id:key_id>",
    scope="api-keys:write",
    summary="Revoke an API key",
    description="It works no more, from now on and for good, and stands among the revoked ones.",
    problems=(404,),
)
def revoke_api_key(caller: Caller, key_id: int) -> None:
    """For good."""
    services().api_keys.revoke_key(caller.business_id, key_id, caller.actor)
