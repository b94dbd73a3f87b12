"""What is stored under a telephone number. POST, so that numbers stay out of URLs and of everybody's logs."""

from __future__ import annotations

from typing import Any

from app.api.operation import Caller, operation, section, services
from app.api.schemas.customers import CustomerExportSchema, CustomerNumber, ErasureSchema
from app.domain.privacy import CustomerExport, Erasure

blueprint = section("Customers", "Everything that is stored under a telephone number.")


@operation(
    blueprint,
    "POST",
    "/customers/export",
    scope="customers:read",
    summary="Export a customer's data",
    description="Appointments with their history, calls with their timelines, messages.",
    body=CustomerNumber,
    answer=CustomerExportSchema,
    status=200,
)
def export_customer(caller: Caller, body: dict[str, Any]) -> CustomerExport:
    """Empty lists for a number that nothing is stored under."""
    return services().privacy.export_customer(caller.business_id, body["phone"])


@operation(
    blueprint,
    "POST",
    "/customers/erase",
    scope="customers:write",
    summary="Erase a customer's data",
    description=(
        "Appointments keep time and number, calls their measures; names, numbers, notes and what was said go. "
        "Appointments to come are cancelled. If it is interrupted, ask again."
    ),
    body=CustomerNumber,
    answer=ErasureSchema,
    status=200,
)
def erase_customer(caller: Caller, body: dict[str, Any]) -> Erasure:
    """Zeros for a number that nothing is stored under."""
    return services().privacy.erase_customer(caller.business_id, body["phone"], caller.source, caller.actor)
