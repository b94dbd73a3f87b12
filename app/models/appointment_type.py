from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import DrawnId, Model, TenantKey


class AppointmentType(Model):
    """A kind of appointment with its own length. Buffers that are null are the policy's."""

    __tablename__ = "appointment_types"

    business_id: Mapped[TenantKey] = mapped_column(ForeignKey("businesses.id"))
    id: Mapped[DrawnId]
    name: Mapped[str]
    duration_min: Mapped[int]
    buffer_before_min: Mapped[int | None]
    buffer_after_min: Mapped[int | None]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
