from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import BigInt, Model, TenantKey


class MediaToken(Model):
    """A one-time right to open a call's media stream. Only the token's SHA-256 is kept."""

    __tablename__ = "media_tokens"
    __table_args__ = (
        ForeignKeyConstraint(["business_id", "call_id"], ["calls.business_id", "calls.id"]),
        UniqueConstraint("token_sha256"),
        Index(None, "business_id", "call_id", postgresql_where=text("used_at IS NULL")),
    )

    business_id: Mapped[TenantKey]
    token_sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    call_id: Mapped[BigInt]
    call_sid: Mapped[str]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
