"""Who and what can be booked."""

from __future__ import annotations

from typing import Any

from app.api.operation import Caller, operation, section, services
from app.api.schemas.resources import (
    ChangedResourceSchema,
    NewResource,
    ResourceChanges,
    ResourceFilter,
    ResourceSchema,
)
from app.domain.calendar_settings import ChangedResource, ResourceDetails
from app.domain.pages import Page

blueprint = section("Resources", "Who and what can be booked: a person, a chair, a room.")


@operation(
    blueprint,
    "GET",
    "/resources",
    scope="resources:read",
    summary="List resources",
    query=ResourceFilter,
    page_of=ResourceSchema,
)
def list_resources(caller: Caller, query: dict[str, Any]) -> Page[ResourceDetails]:
    """The oldest first."""
    return services().resources.list_resources(caller.business_id, caller.page, active=query.get("active"))


@operation(
    blueprint,
    "POST",
    "/resources",
    scope="resources:write",
    summary="Add a resource",
    body=NewResource,
    answer=ResourceSchema,
)
def create_resource(caller: Caller, body: dict[str, Any]) -> ResourceDetails:
    """It takes appointments at once, under the business's slot policy."""
    return services().resources.create_resource(caller.business_id, body["name"], caller.actor)


@operation(
    blueprint,
    "GET",
    "/resources/<id:resource_id>",
    scope="resources:read",
    summary="Get a resource",
    answer=ResourceSchema,
    problems=(404,),
)
def get_resource(caller: Caller, resource_id: int) -> ResourceDetails:
    """One of them."""
    return services().resources.get_resource(caller.business_id, resource_id)


@operation(
    blueprint,
    "PATCH",
    "/resources/<id:resource_id>",
    scope="resources:write",
    summary="Rename, activate or deactivate a resource",
    description="A resource that is deactivated keeps the appointments that it has.",
    body=ResourceChanges,
    answer=ChangedResourceSchema,
    versioned=True,
    problems=(404,),
)
def update_resource(caller: Caller, resource_id: int, body: dict[str, Any]) -> ChangedResource:
    """What is left out stays."""
    return services().resources.update_resource(
        caller.business_id, resource_id, body, caller.expected_version, caller.actor
    )
