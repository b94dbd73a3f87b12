from __future__ import annotations

from sqlalchemy import ForeignKeyConstraint
from sqlalchemy.orm import Mapped

from app.models.base import Model, TenantKey


class AppointmentTypeResource(Model):
    """A resource that takes a type. A type without any row is taken by every resource."""

    __tablename__ = "appointment_type_resources"
    __table_args__ = (
        ForeignKeyConstraint(
            ["business_id", "appointment_type_id"], ["appointment_types.business_id", "appointment_types.id"]
        ),
        ForeignKeyConstraint(["business_id", "resource_id"], ["resources.business_id", "resources.id"]),
    )

    business_id: Mapped[TenantKey]
    appointment_type_id: Mapped[TenantKey]
    resource_id: Mapped[TenantKey]
