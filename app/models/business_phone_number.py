from __future__ import annotations

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Model, TenantKey


class BusinessPhoneNumber(Model):
    """A number that leads to a business. E.164; one business a number, across all tenants."""

    __tablename__ = "business_phone_numbers"
    __table_args__ = (UniqueConstraint("phone_number"),)

    business_id: Mapped[TenantKey] = mapped_column(ForeignKey("businesses.id"))
    phone_number: Mapped[str] = mapped_column(primary_key=True)
