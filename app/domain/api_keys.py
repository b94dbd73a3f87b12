"""API keys as the services speak of them. The token itself appears once, when it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key to be made. `expires_at` None: it holds until somebody revokes it."""

    name: str
    scopes: frozenset[str]
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApiKeyDetails:
    """What is stored of a key. `prefix` is the readable part of its token; `last_used_at` is exact to a minute."""

    id: int
    business_id: int
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class CreatedApiKey:
    """A new key and its token, which is never shown again."""

    details: ApiKeyDetails
    token: str = field(repr=False)
