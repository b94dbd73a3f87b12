"""When appointments are given: the business's rules, and a resource's own."""

from __future__ import annotations

from typing import Any

from app.api.operation import Caller, operation, section, services
from app.api.schemas.availability import AvailabilitySchema
from app.api.schemas.slot_policy import SlotPolicy, SlotPolicyTrial, StoredPolicySchema
from app.domain.appointments import Availability
from app.domain.calendar_settings import StoredPolicy

blueprint = section("Slot policy", "When appointments are given: opening hours, length, buffers, limits.")

FIRST = "It replaces the whole policy. For the first one send `If-Match: *`."


@operation(
    blueprint,
    "GET",
    "/slot-policy",
    scope="slot-policy:read",
    summary="Get the business's slot policy",
    answer=StoredPolicySchema,
    problems=(404,),
)
def get_slot_policy(caller: Caller) -> StoredPolicy:
    """It holds for every resource without one of its own."""
    return services().policies.get_policy(caller.business_id)


@operation(
    blueprint,
    "PUT",
    "/slot-policy",
    scope="slot-policy:write",
    summary="Set the business's slot policy",
    description=FIRST,
    body=SlotPolicy,
    answer=StoredPolicySchema,
    versioned=True,
    problems=(404,),
)
def put_slot_policy(caller: Caller, body: dict[str, Any]) -> StoredPolicy:
    """Appointments stay as they are."""
    return services().policies.put_policy(caller.business_id, body, caller.expected_version, caller.actor)


@operation(
    blueprint,
    "GET",
    "/resources/<id:resource_id>/slot-policy",
    scope="slot-policy:read",
    summary="Get a resource's own slot policy",
    description="404 where the business's holds for it.",
    answer=StoredPolicySchema,
    problems=(404,),
)
def get_resource_slot_policy(caller: Caller, resource_id: int) -> StoredPolicy:
    """What it has instead of the business's."""
    return services().policies.get_policy(caller.business_id, resource_id)


@operation(
    blueprint,
    "PUT",
    "/resources/<id:resource_id>/slot-policy",
    scope="slot-policy:write",
    summary="Give a resource a slot policy of its own",
    description=FIRST,
    body=SlotPolicy,
    answer=StoredPolicySchema,
    versioned=True,
    problems=(404,),
)
def put_resource_slot_policy(caller: Caller, resource_id: int, body: dict[str, Any]) -> StoredPolicy:
    """The business's holds for it no more."""
    return services().policies.put_policy(
        caller.business_id, body, caller.expected_version, caller.actor, resource_id
    )


@operation(
    blueprint,
    "DELETE",
    "/resources/<id:resource_id>/slot-policy",
    scope="slot-policy:write",
    summary="Let the business's slot policy hold for a resource again",
    if_match="optional",
    problems=(404,),
)
def delete_resource_slot_policy(caller: Caller, resource_id: int) -> None:
    """Its own is gone."""
    services().policies.delete_policy(caller.business_id, resource_id, caller.expected_version, caller.actor)


@operation(
    blueprint,
    "POST",
    "/slot-policy/preview",
    scope="slot-policy:read",
    summary="See what would be free under another slot policy",
    description="Nothing is stored. At most 31 days, with appointments, blocks and date overrides as they are.",
    body=SlotPolicyTrial,
    answer=AvailabilitySchema,
    status=200,
    problems=(404,),
)
def preview_slot_policy(caller: Caller, body: dict[str, Any]) -> Availability:
    """Of the resources for which the policy would hold."""
    return services().policies.preview_policy(caller.business_id, **body)
