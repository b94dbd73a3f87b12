from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import BigInt, DrawnId, Model, TenantKey


class Event(Model):
    """Something that happened, written with it in one transaction. `message_id` is what receivers see.

    `emptied_at`: since when the payload holds nothing but ids.
    """

    __tablename__ = "events"
    __table_args__ = (
        ForeignKeyConstraint(["business_id", "appointment_id"], ["appointments.business_id", "appointments.id"]),
        ForeignKeyConstraint(["business_id", "call_id"], ["calls.business_id", "calls.id"]),
        ForeignKeyConstraint(["business_id", "message_row_id"], ["messages.business_id", "messages.id"]),
        UniqueConstraint("message_id"),
        Index(None, "business_id", "created_at"),
        Index(None, "business_id", "appointment_id"),
        Index(None, "business_id", "call_id"),
        Index(None, "business_id", "message_row_id"),
        Index("events_full_idx", "business_id", "created_at", postgresql_where=text("emptied_at IS NULL")),
    )

    business_id: Mapped[TenantKey] = mapped_column(ForeignKey("businesses.id"))
    id: Mapped[DrawnId]
    message_id: Mapped[str]
    type: Mapped[str]
    payload: Mapped[dict[str, Any]]
    appointment_id: Mapped[BigInt | None]
    call_id: Mapped[BigInt | None]
    message_row_id: Mapped[BigInt | None]
    created_at: Mapped[datetime]
    emptied_at: Mapped[datetime | None]
