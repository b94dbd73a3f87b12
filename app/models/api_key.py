from __future__ import annotations

from datetime import datetime

from sqlalchemy import LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import DrawnId, Model, TenantKey


class ApiKey(Model):
    """A program's credential; only its SHA-256 is kept. Business 0: the operator's."""

    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("key_sha256"),)

    business_id: Mapped[TenantKey]
    id: Mapped[DrawnId]
    name: Mapped[str]
    prefix: Mapped[str]
    key_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
