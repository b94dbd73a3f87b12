"""Holds: a start that is kept for some minutes."""

from __future__ import annotations

from typing import Any

from app.api.appointments import change
from app.api.operation import Caller, operation, section, services
from app.api.schemas.appointments import AppointmentSchema, HoldConfirmation, NewHold
from app.domain.appointments import AppointmentDetails, ConfirmHold, HoldSlot

blueprint = section(
    "Holds", "A start that is kept while somebody fills in a form. A hold is an appointment without a customer."
)


@operation(
    blueprint,
    "POST",
    "/holds",
    scope="appointments:write",
    summary="Hold a start",
    description="It ends by itself, is released, or becomes an appointment. Refused like a booking.",
    body=NewHold,
    answer=AppointmentSchema,
    problems=(404,),
)
def hold_slot(caller: Caller, body: dict[str, Any]) -> AppointmentDetails:
    """The key goes along, as in a booking."""
    return services().scheduling.hold_slot(
        HoldSlot(
            business_id=caller.business_id,
            source=caller.source,
            actor=caller.actor,
            idempotency_key=caller.idempotency_key,
            **body,
        )
    )


@operation(
    blueprint,
    "POST",
    "/holds/<id:hold_id>/confirm",
    scope="appointments:write",
    summary="Turn a hold into an appointment",
    description="It keeps its id and number. 409 `invalid_state` if it has ended and its place is lost.",
    body=HoldConfirmation,
    answer=AppointmentSchema,
    status=200,
    if_match="optional",
    problems=(404,),
)
def confirm_hold(caller: Caller, hold_id: int, body: dict[str, Any]) -> AppointmentDetails:
    """From here on it is an appointment like any other."""
    return services().scheduling.confirm_hold(
        ConfirmHold(
            business_id=caller.business_id,
            appointment_id=hold_id,
            source=caller.source,
            actor=caller.actor,
            expected_version=caller.expected_version,
            **body,
        )
    )


@operation(
    blueprint,
    "DELETE",
    "/holds/<id:hold_id>",
    scope="appointments:write",
    summary="Release a hold",
    description="One that has ended already stays as it is.",
    if_match="optional",
    problems=(404, 409),
)
def release_hold(caller: Caller, hold_id: int) -> None:
    """Its place is free at once."""
    services().scheduling.release_hold(change(caller, hold_id))
