from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Model, TenantKey


class IdempotencyKey(Model):
    """A POST that was asked with an Idempotency-Key, and its answer; without one it is still in flight."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index(None, "business_id", "created_at"),)

    business_id: Mapped[TenantKey]
    owner: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    body: Mapped[str | None]
    created_at: Mapped[datetime]
