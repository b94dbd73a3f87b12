"""Who asks, and what they may do. The tenant comes from here, never from a request's body."""

from __future__ import annotations

import enum
from dataclasses import dataclass

OPERATOR = 0
"""The business id of what belongs to no business: the operator's keys. No business has it."""

CREATE_BUSINESSES = "businesses:create"
OVERBOOK = "appointments:overbook"

SCOPES = {
    "businesses:read": "see the business and its settings",
    "businesses:write": "change the business and its settings",
    CREATE_BUSINESSES: "list all businesses and make new ones (the operator's keys only)",
    "slot-policy:read": "see slot policies",
    "slot-policy:write": "change slot policies",
    "date-overrides:read": "see closures and special hours",
    "date-overrides:write": "change closures and special hours, import holidays",
    "resources:read": "see who and what can be booked",
    "resources:write": "change who and what can be booked",
    "appointment-types:read": "see appointment types",
    "appointment-types:write": "change appointment types",
    "blocks:read": "see blocked times",
    "blocks:write": "block and unblock times",
    "availability:read": "see free times",
    "appointments:read": "see appointments",
    "appointments:write": "book, hold, move, cancel and close appointments",
    OVERBOOK: "book over another appointment or outside the opening hours, deliberately",
    "calls:read": "see calls and their transcripts",
    "messages:read": "see callers' messages",
    "messages:write": "mark messages as handled",
    "customers:read": "export everything that is stored under a phone number",
    "customers:write": "erase everything that is stored under a phone number",
    "calendar-feeds:read": "see calendar feeds",
    "calendar-feeds:write": "make and remove calendar feeds",
    "webhook-endpoints:read": "see webhook endpoints and deliveries",
    "webhook-endpoints:write": "change webhook endpoints, replay deliveries",
    "api-keys:read": "see API keys",
    "api-keys:write": "make and revoke API keys",
    "users:read": "see users",
    "users:write": "change users",
}
"""Every scope and what it allows."""

BUSINESS_SCOPES = frozenset(SCOPES) - {CREATE_BUSINESSES}
"""All that a business's own credential may have."""


class Role(enum.StrEnum):
    """What a user is in a business."""

    OWNER = "owner"
    RECEPTIONIST = "receptionist"


ROLE_SCOPES = {
    Role.OWNER: BUSINESS_SCOPES,
    Role.RECEPTIONIST: frozenset(
        {scope for scope in BUSINESS_SCOPES if scope.endswith(":read")}
        - {"api-keys:read", "users:read", "webhook-endpoints:read", "customers:read"}
    )
    | {"appointments:write", OVERBOOK, "blocks:write", "messages:write"},
}


@dataclass(frozen=True, slots=True)
class Credential:
    """A checked API key or session. `actor` is what the audit trail keeps: `key:7`, `user:3`.

    `csrf_token` is set for sessions: an unsafe request must repeat it in a header.
    """

    actor: str
    business_id: int
    scopes: frozenset[str]
    csrf_token: str | None = None

    @property
    def is_operator(self) -> bool:
        """Whether it belongs to no business."""
        return self.business_id == OPERATOR
