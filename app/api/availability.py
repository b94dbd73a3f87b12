"""Free times."""

from __future__ import annotations

from typing import Any

from app.api.operation import Caller, operation, section, services
from app.api.schemas.availability import AvailabilityQuery, AvailabilitySchema
from app.domain.appointments import Availability, FindAvailability

blueprint = section("Availability", "Which starts can be booked now, and why a day has none.")


@operation(
    blueprint,
    "GET",
    "/availability",
    scope="availability:read",
    summary="List the free starts of some days",
    description="At most 31 days. What is listed can be booked, by whoever is first.",
    query=AvailabilityQuery,
    answer=AvailabilitySchema,
    problems=(404, 409),
)
def list_availability(caller: Caller, query: dict[str, Any]) -> Availability:
    """A day without a free start has a reason."""
    return services().scheduling.list_availability(
        FindAvailability(
            caller.business_id, query["from_"], query["to"], query["appointment_type_id"], query["resource_id"]
        )
    )
