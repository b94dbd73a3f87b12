from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import BigInt, Model, TenantKey


class CallEvent(Model):
    """One line of a call's timeline. `at_ms` counts from the first stream's begin."""

    __tablename__ = "call_events"
    __table_args__ = (ForeignKeyConstraint(["business_id", "call_id"], ["calls.business_id", "calls.id"]),)

    business_id: Mapped[TenantKey]
    call_id: Mapped[TenantKey]
    seq: Mapped[int] = mapped_column(primary_key=True)
    at_ms: Mapped[BigInt]
    kind: Mapped[str]
    data: Mapped[dict[str, Any]]
