from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import BigInt, DrawnId, Model, TenantKey


class Message(Model):
    """What a caller wants to be told to the business. `handled_by` is the actor who did."""

    __tablename__ = "messages"
    __table_args__ = (
        ForeignKeyConstraint(["business_id", "call_id"], ["calls.business_id", "calls.id"]),
        Index(None, "business_id", "created_at", "id"),
        Index("messages_open_idx", "business_id", "created_at", "id", postgresql_where=text("handled_at IS NULL")),
        Index(None, "business_id", "caller_number"),
        Index(None, "business_id", "call_id"),
    )

    business_id: Mapped[TenantKey] = mapped_column(ForeignKey("businesses.id"))
    id: Mapped[DrawnId]
    call_id: Mapped[BigInt | None]
    caller_name: Mapped[str] = mapped_column(server_default=text("''"))
    caller_number: Mapped[str | None]
    body: Mapped[str]
    created_at: Mapped[datetime]
    handled_at: Mapped[datetime | None]
    handled_by: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default=text("1"))
