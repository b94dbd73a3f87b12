from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import BigInt, Model, TenantKey


class Calendar(Model):
    """The one row that every calendar write of a business locks first. It also draws appointment numbers."""

    __tablename__ = "calendars"

    business_id: Mapped[TenantKey] = mapped_column(ForeignKey("businesses.id"))
    next_number: Mapped[BigInt]
