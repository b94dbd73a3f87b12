from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped

from app.models.base import BigInt, DrawnId, Model, TenantKey


class AppointmentChange(Model):
    """One line of an appointment's audit trail. `data` holds no personal data."""

    __tablename__ = "appointment_changes"
    __table_args__ = (
        ForeignKeyConstraint(["business_id", "appointment_id"], ["appointments.business_id", "appointments.id"]),
        Index(None, "business_id", "appointment_id"),
    )

    business_id: Mapped[TenantKey]
    id: Mapped[DrawnId]
    appointment_id: Mapped[BigInt]
    kind: Mapped[str]
    source: Mapped[str | None]
    actor: Mapped[str | None]
    data: Mapped[dict[str, Any]]
    changed_at: Mapped[datetime]
