"""What a credential is good for: the first thing that a client tries."""

from __future__ import annotations

import marshmallow as ma

from app.api.fields import Whole
from app.api.operation import Caller, operation, section
from app.domain.access import Credential

blueprint = section("Credential", "What the credential of a request is good for.")


class CredentialSchema(ma.Schema):
    """An API key or a session, as the server sees it."""

    actor = ma.fields.String(
        required=True, metadata={"description": "What the audit trail calls it", "example": "key:7"}
    )
    business_id = Whole(
        required=True, metadata={"description": "Its business; 0: the operator's", "example": 1, "format": "int64"}
    )
    scopes = ma.fields.Method(
        "sorted_scopes",
        required=True,
        metadata={
            "type": "array",
            "items": {"type": "string"},
            "description": "What it may do",
            "example": ["appointments:read", "appointments:write"],
        },
    )

    def sorted_scopes(self, credential: Credential) -> list[str]:
        """The same order each time."""
        return sorted(credential.scopes)


@operation(
    blueprint, "GET", "/credential", summary="See what this credential is good for", answer=CredentialSchema
)
def get_credential(caller: Caller) -> Credential:
    """Any credential may ask."""
    return caller.credential
