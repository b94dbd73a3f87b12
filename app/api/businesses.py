"""Businesses: the operator makes and lists them, each sees and changes itself."""

from __future__ import annotations

from typing import Any

from app.api.operation import Caller, operation, section, services
from app.api.schemas.businesses import BusinessChanges, BusinessSchema, NewBusiness
from app.domain import businesses as domain
from app.domain.access import CREATE_BUSINESSES
from app.domain.pages import Page

blueprint = section("Businesses", "The businesses that Moed answers the phone for.")


@operation(
    blueprint,
    "GET",
    "/businesses",
    scope=CREATE_BUSINESSES,
    summary="List all businesses",
    description="For operators.",
    page_of=BusinessSchema,
)
def list_businesses(caller: Caller) -> Page[domain.BusinessDetails]:
    """The oldest first."""
    return services().businesses.list_businesses(caller.page)


@operation(
    blueprint,
    "POST",
    "/businesses",
    scope=CREATE_BUSINESSES,
    summary="Make a business",
    description="For operators. It can be booked once it has a resource and a slot policy.",
    body=NewBusiness,
    answer=BusinessSchema,
)
def create_business(caller: Caller, body: dict[str, Any]) -> domain.BusinessDetails:
    """All of it or nothing."""
    made = services().businesses.create_business(domain.NewBusiness(**body))
    return services().businesses.get_business(made)


@operation(
    blueprint,
    "GET",
    "/businesses/<id:business_id>",
    scope="businesses:read",
    summary="Get a business",
    answer=BusinessSchema,
    problems=(404,),
)
def get_business(caller: Caller, business_id: int) -> domain.BusinessDetails:
    """One's own; an operator any."""
    return services().businesses.get_business(caller.own(business_id))


@operation(
    blueprint,
    "PATCH",
    "/businesses/<id:business_id>",
    scope="businesses:write",
    summary="Change a business's settings",
    description="Calls that go on keep theirs. A new time zone moves the opening hours, and no appointment.",
    body=BusinessChanges,
    answer=BusinessSchema,
    versioned=True,
    problems=(404, 409),
)
def update_business(caller: Caller, business_id: int, body: dict[str, Any]) -> domain.BusinessDetails:
    """What is left out stays."""
    return services().businesses.update_business(
        caller.own(business_id), body, caller.expected_version, caller.actor
    )
