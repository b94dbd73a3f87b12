from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import BigInt, Model, TenantKey


class UserSession(Model):
    """A browser that has logged in; only its token's SHA-256 is kept."""

    __tablename__ = "user_sessions"
    __table_args__ = (
        ForeignKeyConstraint(["business_id", "user_id"], ["users.business_id", "users.id"]),
        UniqueConstraint("token_sha256"),
        Index(None, "business_id", "user_id"),
    )

    business_id: Mapped[TenantKey]
    token_sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[BigInt]
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
