"""People who log in, and what the services tell of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from app.domain.access import Credential, Role


@dataclass(frozen=True, slots=True)
class UserDetails:
    """What is stored of a user, without the password."""

    id: int
    business_id: int
    email: str = field(repr=False)
    name: str = field(repr=False)
    role: Role
    active: bool
    version: int
    created_at: datetime
    last_login_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to be made."""

    email: str = field(repr=False)
    name: str = field(repr=False)
    role: Role
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class UserChanges:
    """What is to be changed of a user; None stays as it is."""

    name: str | None = field(repr=False, default=None)
    role: Role | None = None
    active: bool | None = None


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that has just begun. Its token is shown once; it ends at `expires_at` at the latest."""

    user: UserDetails
    credential: Credential = field(repr=False)
    expires_at: datetime
    token: str = field(repr=False)
