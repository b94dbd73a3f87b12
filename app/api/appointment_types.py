"""Kinds of appointments, each with its own length."""

from __future__ import annotations

from typing import Any

from app.api.operation import Caller, operation, section, services
from app.api.schemas.appointment_types import (
    AppointmentTypeChanges,
    AppointmentTypeFilter,
    AppointmentTypeSchema,
    NewAppointmentType,
)
from app.domain.calendar_settings import AppointmentTypeDetails
from app.domain.pages import Page

blueprint = section("Appointment types", "Kinds of appointments, each with its own length.")


@operation(
    blueprint,
    "GET",
    "/appointment-types",
    scope="appointment-types:read",
    summary="List appointment types",
    query=AppointmentTypeFilter,
    page_of=AppointmentTypeSchema,
)
def list_appointment_types(caller: Caller, query: dict[str, Any]) -> Page[AppointmentTypeDetails]:
    """The oldest first."""
    return services().appointment_types.list_types(caller.business_id, caller.page, active=query.get("active"))


@operation(
    blueprint,
    "POST",
    "/appointment-types",
    scope="appointment-types:write",
    summary="Add an appointment type",
    body=NewAppointmentType,
    answer=AppointmentTypeSchema,
    problems=(404,),
)
def create_appointment_type(caller: Caller, body: dict[str, Any]) -> AppointmentTypeDetails:
    """It can be booked at once."""
    return services().appointment_types.create_type(caller.business_id, body, caller.actor)


@operation(
    blueprint,
    "GET",
    "/appointment-types/<id:appointment_type_id>",
    scope="appointment-types:read",
    summary="Get an appointment type",
    answer=AppointmentTypeSchema,
    problems=(404,),
)
def get_appointment_type(caller: Caller, appointment_type_id: int) -> AppointmentTypeDetails:
    """One of them."""
    return services().appointment_types.get_type(caller.business_id, appointment_type_id)


@operation(
    blueprint,
    "PATCH",
    "/appointment-types/<id:appointment_type_id>",
    scope="appointment-types:write",
    summary="Change, activate or deactivate an appointment type",
    description="Appointments that were booked keep their length. Types are not deleted but deactivated.",
    body=AppointmentTypeChanges,
    answer=AppointmentTypeSchema,
    versioned=True,
    problems=(404,),
)
def update_appointment_type(
    caller: Caller, appointment_type_id: int, body: dict[str, Any]
) -> AppointmentTypeDetails:
    """What is left out stays."""
    return services().appointment_types.update_type(
        caller.business_id, appointment_type_id, body, caller.expected_version, caller.actor
    )
