from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import DrawnId, Model, TenantKey


class User(Model):
    """A person who logs in. The e-mail is in lower case, and one user's across all tenants."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("email"),)

    business_id: Mapped[TenantKey] = mapped_column(ForeignKey("businesses.id"))
    id: Mapped[DrawnId]
    email: Mapped[str]
    name: Mapped[str]
    role: Mapped[str]
    password_hash: Mapped[str]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[datetime]
    last_login_at: Mapped[datetime | None]
