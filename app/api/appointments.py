"""Appointments."""

from __future__ import annotations

from typing import Any

from app.api.operation import Caller, operation, section, services
from app.api.schemas.appointments import (
    AppointmentChanges,
    AppointmentHistorySchema,
    AppointmentQuery,
    AppointmentSchema,
    Cancellation,
    NewAppointment,
    Reschedule,
)
from app.domain.access import OVERBOOK
from app.domain.appointments import (
    AppointmentDetails,
    AppointmentFilter,
    BookAppointment,
    ChangeStatus,
    RescheduleAppointment,
    Status,
    UpdateDetails,
)
from app.domain.pages import Page

blueprint = section("Appointments", "What is booked: by phone, over this API, in the dashboard.")

_REFUSALS = (
    "Refusals carry free starts near the wanted one in `alternatives`: 409 `slot_taken` where somebody was faster,"
    " 422 `slot_refused` with a `refusal_code` where the slot policy does not give it."
)


@operation(
    blueprint,
    "POST",
    "/appointments",
    scope="appointments:write",
    summary="Book an appointment",
    description=_REFUSALS,
    body=NewAppointment,
    answer=AppointmentSchema,
    problems=(404,),
)
def book_appointment(caller: Caller, body: dict[str, Any]) -> AppointmentDetails:
    """The key goes along, so that even a crash after the commit books once."""
    if body["overbook"]:
        caller.require(OVERBOOK)
    return services().scheduling.book_appointment(
        BookAppointment(
            business_id=caller.business_id,
            source=caller.source,
            actor=caller.actor,
            idempotency_key=caller.idempotency_key,
            **body,
        )
    )


@operation(
    blueprint,
    "GET",
    "/appointments",
    scope="appointments:read",
    summary="List appointments",
    description="In order of time.",
    query=AppointmentQuery,
    page_of=AppointmentSchema,
)
def list_appointments(caller: Caller, query: dict[str, Any]) -> Page[AppointmentDetails]:
    """Every filter narrows."""
    wanted = AppointmentFilter(
        name_begins_with=query.pop("name", None), statuses=tuple(map(Status, query.pop("status"))), **query
    )
    return services().scheduling.list_appointments(caller.business_id, wanted, caller.page)


@operation(
    blueprint,
    "GET",
    "/appointments/<id:appointment_id>",
    scope="appointments:read",
    summary="Get an appointment",
    answer=AppointmentSchema,
    problems=(404,),
)
def get_appointment(caller: Caller, appointment_id: int) -> AppointmentDetails:
    """Holds too."""
    return services().scheduling.get_appointment(caller.business_id, appointment_id)


@operation(
    blueprint,
    "GET",
    "/appointments/<id:appointment_id>/history",
    scope="appointments:read",
    summary="Get what was done to an appointment",
    answer=AppointmentHistorySchema,
    problems=(404,),
)
def get_appointment_history(caller: Caller, appointment_id: int) -> dict[str, Any]:
    """Its audit trail."""
    return {"changes": services().scheduling.get_history(caller.business_id, appointment_id)}


@operation(
    blueprint,
    "PATCH",
    "/appointments/<id:appointment_id>",
    scope="appointments:write",
    summary="Correct the customer's details",
    body=AppointmentChanges,
    answer=AppointmentSchema,
    versioned=True,
    problems=(404, 409),
)
def update_appointment(caller: Caller, appointment_id: int, body: dict[str, Any]) -> AppointmentDetails:
    """What is left out stays."""
    return services().scheduling.update_details(
        UpdateDetails(
            caller.business_id, appointment_id, caller.source, body, caller.actor, caller.expected_version
        )
    )


@operation(
    blueprint,
    "POST",
    "/appointments/<id:appointment_id>/reschedule",
    scope="appointments:write",
    summary="Move an appointment",
    description=f"It keeps its id, number and length. {_REFUSALS}",
    body=Reschedule,
    answer=AppointmentSchema,
    status=200,
    if_match="required",
    problems=(404,),
)
def reschedule_appointment(caller: Caller, appointment_id: int, body: dict[str, Any]) -> AppointmentDetails:
    """To where it is already: as it is."""
    return services().scheduling.reschedule_appointment(
        RescheduleAppointment(
            business_id=caller.business_id,
            appointment_id=appointment_id,
            source=caller.source,
            actor=caller.actor,
            expected_version=caller.expected_version,
            **body,
        )
    )


@operation(
    blueprint,
    "POST",
    "/appointments/<id:appointment_id>/cancel",
    scope="appointments:write",
    summary="Cancel an appointment",
    description="One that is cancelled already stays as it is.",
    body=Cancellation,
    answer=AppointmentSchema,
    status=200,
    if_match="optional",
    problems=(404,),
)
def cancel_appointment(caller: Caller, appointment_id: int, body: dict[str, Any]) -> AppointmentDetails:
    """Its place is free at once."""
    return services().scheduling.cancel_appointment(change(caller, appointment_id, body["reason"]))


@operation(
    blueprint,
    "POST",
    "/appointments/<id:appointment_id>/no-show",
    scope="appointments:write",
    summary="Note that nobody came",
    description="Only once it has begun.",
    answer=AppointmentSchema,
    status=200,
    if_match="optional",
    problems=(404,),
)
def mark_no_show(caller: Caller, appointment_id: int) -> AppointmentDetails:
    """A slip can be corrected by completing it."""
    return services().scheduling.mark_no_show(change(caller, appointment_id))


@operation(
    blueprint,
    "POST",
    "/appointments/<id:appointment_id>/complete",
    scope="appointments:write",
    summary="Note that an appointment took place",
    description="Only once it has begun.",
    answer=AppointmentSchema,
    status=200,
    if_match="optional",
    problems=(404,),
)
def complete_appointment(caller: Caller, appointment_id: int) -> AppointmentDetails:
    """A slip can be corrected by marking it as no-show."""
    return services().scheduling.complete_appointment(change(caller, appointment_id))


def change(caller: Caller, appointment_id: int, reason: str | None = None) -> ChangeStatus:
    """The command of an action without a body of its own."""
    return ChangeStatus(
        caller.business_id, appointment_id, caller.source, caller.actor, reason, caller.expected_version
    )
