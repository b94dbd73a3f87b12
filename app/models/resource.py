from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import DrawnId, Model, TenantKey


class Resource(Model):
    """Who or what is booked: a person, a chair, a room. Ids are unique across tenants (the EXCLUDE needs it)."""

    __tablename__ = "resources"

    business_id: Mapped[TenantKey] = mapped_column(ForeignKey("businesses.id"))
    id: Mapped[DrawnId]
    name: Mapped[str]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
